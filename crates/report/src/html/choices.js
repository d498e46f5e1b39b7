// What a reader has chosen, for each subject of the page: figures, what is hidden, and how the
// picture stands. A link holds the same.

const VIEW = "#view=";

// Kept while a live page reads itself again.
const views = new Map();

const viewOf = (id) => {
  if (!views.has(id)) {
    views.set(id, {
      measure: "", of: "connection", hidden: new Set(), at: null, since: null, path: [], about: null, search: "",
      filter: "", through: null, roots: "above", order: "size", side: "change", runtime: false,
    });
  }
  return views.get(id);
};

const linkTo = (id, view) => VIEW + encodeURIComponent(JSON.stringify({
  id, ...view, hidden: [...view.hidden], filter: undefined, through: undefined,
}));

// A link may come from anywhere: what has another type than it should have is left as it is.
const readLink = (hash) => {
  if (!hash.startsWith(VIEW)) return null;
  let told;
  try {
    told = JSON.parse(decodeURIComponent(hash.slice(VIEW.length)));
  } catch {
    return null;
  }
  if (typeof told !== "object" || told === null || typeof told.id !== "string") return null;
  const view = viewOf(told.id);
  for (const name of ["measure", "search"]) {
    if (typeof told[name] === "string") view[name] = told[name];
  }
  const words = { of: ["connection", "process"], roots: ["above", "below"],
    order: ["size", "name"] };
  for (const name of Object.keys(words)) {
    if (words[name].includes(told[name])) view[name] = told[name];
  }
  const texts = (list) => Array.isArray(list) && list.every((one) => typeof one === "string");
  if (texts(told.hidden)) view.hidden = new Set(told.hidden);
  if (texts(told.path)) view.path = told.path;
  if (told.about === null || ["string", "number"].includes(typeof told.about)) {
    view.about = told.about;
  }
  for (const name of ["at", "since"]) {
    if (Number.isInteger(told[name]) && told[name] >= 0) view[name] = told[name];
  }
  view.runtime = told.runtime === true;
  return told.id;
};

// The form above a subject's picture; `changed` is called when something else is to be seen.
const listenToChoices = (form, stacks, view, changed) => {
  const said = form.querySelector("output");
  form.hidden = false;
  view.measure ||= stacks.data.measures[stacks.data.shown].id;
  form.elements.measure.value = view.measure;
  if (form.elements.of) form.elements.of.value = view.of;
  const { at, since } = form.elements;
  if (at) {
    // One that a link names and that is not there is the capture itself.
    if (view.at >= stacks.data.series.length) view.at = null;
    if (view.since >= stacks.data.series.length) view.since = null;
    at.value = view.at ?? stacks.data.series.length;
    since.value = view.since ?? "";
  } else {
    view.at = null;
    view.since = null;
  }
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  for (const box of boxes) box.checked = !view.hidden.has(box.name + " " + box.value);
  const say = () => {
    const measure = stacks.measure(view.measure);
    const notes = [];
    if (at) {
      notes.push(view.at === null ? "the last of "
        + (stacks.data.series.length + 1) + " captures" : "the capture at "
        + oneDecimal.format(stacks.data.series[view.at]) + " s");
    }
    if (view.since !== null && !stacks.valuesSince(view)) {
      notes.push("nothing lies between: the other moment is not before this one");
    }
    if (form.elements.of && stacks.moment(view) === "" && view.of === "connection" && !measure.ofConnections) {
      notes.push("of the whole process: which connections had a hand in it is not known");
    }
    if (stacks.isPerConnection(view, measure) && stacks.data.withoutBefore.length > 0) {
      notes.push("without " + stacks.data.withoutBefore.join(", ")
        + ": what it held before the first connection is not known");
    }
    if (view.hidden.size > 0) notes.push(view.hidden.size + " hidden");
    if (stacks.data.gathered > 0) {
      notes.push(thousands.format(stacks.data.gathered) + " smaller stacks are one in this page");
    }
    said.textContent = notes.join("; ");
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", () => {
    view.measure = form.elements.measure.value;
    if (form.elements.of) view.of = form.elements.of.value;
    if (at) {
      const last = stacks.data.series.length;
      view.at = Number(at.value) < last ? Number(at.value) : null;
      view.since = since.value === "" ? null : Number(since.value);
    }
    view.hidden = new Set(boxes.filter((box) => !box.checked)
      .map((box) => box.name + " " + box.value));
    say();
    changed();
  });
  say();
};
