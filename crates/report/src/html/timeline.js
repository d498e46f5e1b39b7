// Memory over time: what was there at a moment, and what was kept from one moment to another. The
// figures are those of the table below the picture.

// The seconds of the spans that were chosen, by picture: a live page is made anew. An end that is the
// last moment is null, and stays the last one.
const chosenSpans = new Map();

class OverTime {
  constructor(figure) {
    this.figure = figure;
    this.picture = figure.querySelector("svg");
    this.said = figure.querySelector("output.span");
    const tools = figure.querySelector("div.span");
    [this.from, this.to] = tools.querySelectorAll("input");
    const table = figure.querySelector("details table");
    this.names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    this.moments = [...table.tBodies[0].rows].map((row) =>
      [...row.cells].map((cell) => cell.textContent.trim()));
    this.seconds = this.moments.map((moment) => Number(moment[0]));
    this.plot = figure.dataset.plot.split(" ").map(Number);
    const make = (name, className) => {
      const element = document.createElementNS(SVG, name);
      element.setAttribute("class", className);
      element.setAttribute("pointer-events", "none");
      this.picture.append(element);
      return element;
    };
    this.band = make("rect", "band");
    this.line = make("line", "moment");
    tools.hidden = false;
    for (const input of [this.from, this.to]) {
      input.addEventListener("input", () => this.choose());
    }
    this.name = figure.querySelector(".scroll").getAttribute("aria-label");
    const [from, to] = chosenSpans.get(this.name) ?? [null, null];
    if (from !== null) this.from.value = this.at(from);
    if (to !== null) this.to.value = this.at(to);
    this.listen();
    this.tell();
  }

  // The moment at which so many seconds had passed.
  at(seconds) {
    const later = this.seconds.findIndex((one) => one >= seconds);
    return later < 0 ? this.seconds.length - 1 : later;
  }

  choose() {
    const [from, to] = [this.from, this.to].map((input) => Number(input.value));
    const last = this.seconds.length - 1;
    chosenSpans.set(this.name, [this.seconds[from], to === last ? null : this.seconds[to]]);
    this.tell();
  }

  x(at) {
    const [left, right] = this.plot;
    const [first, last] = [this.seconds[0], this.seconds[this.seconds.length - 1]];
    return left + (right - left) * (this.seconds[at] - first) / (last - first);
  }

  // The moment that is nearest to a pointer.
  near(event) {
    const box = this.picture.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * this.picture.viewBox.baseVal.width;
    let nearest = 0;
    this.seconds.forEach((_, at) => {
      if (Math.abs(this.x(at) - x) < Math.abs(this.x(nearest) - x)) nearest = at;
    });
    return nearest;
  }

  mark(at) {
    const [, , top, bottom] = this.plot;
    for (const end of ["x1", "x2"]) this.line.setAttribute(end, this.x(at).toFixed(1));
    this.line.setAttribute("y1", top);
    this.line.setAttribute("y2", bottom);
  }

  atMoment(at) {
    const figures = this.moments[at].slice(1).map((figure, column) =>
      figure && figure !== "0" ? this.names[column + 1] + " " + figure : "");
    return "At " + this.moments[at][0] + " s: " + figures.filter(Boolean).join(", ");
  }

  tell() {
    const ends = [Number(this.from.value), Number(this.to.value)].sort((a, b) => a - b);
    const [top, bottom] = this.plot.slice(2);
    const [left, right] = ends.map((at) => this.x(at));
    this.band.setAttribute("x", left.toFixed(1));
    this.band.setAttribute("width", (right - left).toFixed(1));
    this.band.setAttribute("y", top);
    this.band.setAttribute("height", bottom - top);
    this.mark(ends[1]);
    const number = (text) => text === "" ? null : Number(text.split(" ")[0].replaceAll(",", ""));
    const [first, last] = ends.map((at) => this.moments[at]);
    const kept = this.names.map((name, column) => {
      const [a, b] = [number(first[column]), number(last[column])];
      if (column === 0 || a === null || b === null || a === b) return "";
      return name + " " + (b > a ? "+" : "") + minusOf(thousands.format(b - a));
    });
    const estimated = this.moments.some((moment) => moment.some((text) => text.includes("\u00b1")));
    this.said.textContent = ends[0] === ends[1] ? this.atMoment(ends[0])
      : "From " + first[0] + " s to " + last[0] + " s was kept: "
        + (kept.filter(Boolean).join(", ") || "nothing more and nothing less")
        + (estimated ? " (estimates)" : "");
  }

  listen() {
    let begun = null;
    this.picture.addEventListener("pointermove", (event) => {
      const at = this.near(event);
      if (begun !== null && event.buttons) {
        this.from.value = begun;
        this.to.value = at;
        this.choose();
        return;
      }
      this.mark(at);
      this.said.textContent = this.atMoment(at);
    });
    this.picture.addEventListener("pointerdown", (event) => {
      begun = this.near(event);
      event.preventDefault();
    });
    this.picture.addEventListener("pointerup", () => {
      begun = null;
    });
    this.picture.addEventListener("pointerleave", () => {
      begun = null;
      this.tell();
    });
  }
}
