// What inferno's pictures have by mouse, by keyboard: arrow keys from frame to frame, Enter enlarges,
// Escape shows everything. And the roots are in sight when the picture opens.
"use strict";
window.addEventListener("load", () => {
  const frames = [...document.querySelectorAll("#frames > *")].filter((one) => one.querySelector("rect"));
  const number = (frame, name) => parseFloat(frame.querySelector("rect").getAttribute(name));
  const isShown = (frame) => !frame.classList.contains("hide");
  const click = (element) => element.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  for (const id of ["search", "unzoom"]) {
    const button = document.getElementById(id);
    button.setAttribute("tabindex", "0");
    button.setAttribute("role", "button");
  }
  const widest = (list) => list.reduce((a, b) => number(b, "width") > number(a, "width") ? b : a);
  if (frames.length === 0) return;
  // Roots stand at one end of the picture, on top in an icicle.
  const outer = (a, b) => (number(b, "y") < number(a, "y")) === inverted ? b : a;
  const root = frames.reduce((a, b) => number(a, "y") === number(b, "y") ? a : outer(a, b));
  let current = root;
  const stop = (frame) => {
    current.removeAttribute("tabindex");
    current = frame;
    frame.setAttribute("tabindex", "0");
    frame.setAttribute("role", "button");
    frame.setAttribute("aria-label", frame.querySelector("title").textContent);
  };
  stop(root);
  root.scrollIntoView({ block: inverted ? "nearest" : "end" });
  const next = (key) => {
    const [x, y, width] = ["x", "y", "width"].map((name) => number(current, name));
    const shown = frames.filter((frame) => frame !== current && isShown(frame));
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const side = shown.filter((frame) => number(frame, "y") === y
        && (key === "ArrowRight" ? number(frame, "x") > x : number(frame, "x") < x));
      return side.sort((a, b) => Math.abs(number(a, "x") - x) - Math.abs(number(b, "x") - x))[0];
    }
    const row = y + (key === "ArrowDown" ? 16 : -16);
    const there = shown.filter((frame) => number(frame, "y") === row
      && number(frame, "x") < x + width && number(frame, "x") + number(frame, "width") > x);
    return there.length > 0 ? widest(there) : undefined;
  };
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const on = document.activeElement;
    if (event.key === "Escape") {
      click(document.getElementById("unzoom"));
    } else if ((event.key === "Enter" || event.key === " ") && on?.getAttribute("role") === "button") {
      click(on.querySelector("rect") ?? on);
    } else if (on === current && event.key.startsWith("Arrow")) {
      const frame = next(event.key);
      if (!frame) return;
      stop(frame);
      frame.focus();
    } else {
      return;
    }
    event.preventDefault();
  });
  // What the mouse shows of a frame, the focus shows too.
  window.addEventListener("focusin", (event) => {
    event.target.dispatchEvent?.(new MouseEvent("mouseover", { bubbles: true }));
  });
});
