// A page of what is held now: it reads itself again from where it came, and from nowhere else.
const bar = document.querySelector("[data-live]");
const every = Number(bar.dataset.live) * 1000;
const state = bar.querySelector("output");
const pause = bar.querySelector("button");
let heldUntil = 0;
let paused = false;

// Who looks into it closely is not to have it change under the hand.
for (const kind of ["pointerdown", "keydown", "input"]) {
  document.querySelector("main").addEventListener(kind, () => {
    heldUntil = Date.now() + 30000;
    state.textContent = "held while it is used";
  });
}

const renew = async () => {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(await answer.text());
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceChildren(...next.querySelector("main").childNodes);
    document.querySelector("header").replaceChildren(...next.querySelector("header").childNodes);
    bar.querySelector("p").replaceChildren(...next.querySelector("[data-live] p").childNodes);
    document.title = next.title;
    begin();
    state.textContent = "live";
  } catch (error) {
    state.textContent = "not reached: what was watched may have ended";
  }
};

const wait = () => setTimeout(async () => {
  if (!paused && !document.hidden && Date.now() >= heldUntil) await renew();
  wait();
}, every);
wait();

pause.addEventListener("click", async () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  state.textContent = paused ? "paused" : "live";
  if (!paused) {
    heldUntil = 0;
    await renew();
  }
});
