// Flamegraphs: enlarge, search, turn over, move by keyboard, callers and callees of a function.
// The pictures are drawn without this script, too.

const SVG = "http://www.w3.org/2000/svg";
const ROW = 18;
// In parts of the picture: less than a pixel on most screens.
const LEAST_WIDTH = 0.001;
const MOST_DRAWN = 20000;

// Text as a regular expression, or as itself where it is none.
const patternOf = (text) => {
  try {
    const pattern = new RegExp(text, "i");
    return { test: (name) => pattern.test(name), note: "" };
  } catch {
    const plain = text.toLowerCase();
    return {
      test: (name) => name.toLowerCase().includes(plain),
      note: " (as plain text: it is no regular expression)",
    };
  }
};

class Flame {
  constructor(figure, stacks, view) {
    Object.assign(this, { figure, stacks, view });
    this.stage = figure.querySelector(".stage");
    this.picture = this.stage.querySelector("svg");
    this.box = figure.querySelector("input[type=search]");
    this.whole = figure.querySelector(".whole");
    this.matched = figure.querySelector(".matched");
    this.said = figure.querySelector(".said output");
    this.looks = figure.querySelector(".looks");
    this.link = figure.querySelector(".link");
    this.caption = figure.querySelector("figcaption");
    this.written = [...this.caption.childNodes];
    this.onLink = () => "";
    this.onRow = () => {};
    this.tree = stacks ? null : new DrawnTree(this.picture);
    this.described = [...this.picture.children].filter((one) => one.localName !== "svg");
    this.looks.hidden = false;
    this.box.value = view.search;
    for (const input of this.looks.querySelectorAll("select, input")) {
      if (input.type === "checkbox") input.checked = view[input.name];
      else input.value = view[input.name];
    }
    this.listen();
    this.choose();
  }

  // Draws under a new choice of figures.
  choose() {
    if (this.stacks) this.tree = new StackTree(this.stacks, this.view);
    else this.tree.show(this.view.side);
    if (this.stacks) this.describe();
    this.draw();
  }

  // The caption that came with the page has figures of the choice that it came with.
  describe() {
    const { view, stacks } = this;
    const isFirst = view.measure === stacks.data.measures[stacks.data.shown].id
      && stacks.moment(view) === "" && view.hidden.size === 0 && view.roots === "above"
      && (view.of === "connection" || !stacks.data.connections);
    const words = "Callers " + (view.roots === "above" ? "on top, allocations below"
      : "below, allocations on top") + "; the last frame of a stack is the line that asked. "
      + this.tree.root.figures + "; frames narrower than 0.1 % are left out.";
    this.caption.replaceChildren(...(isFirst ? this.written : [words]));
  }

  // The chosen path as frames, as far as it is there.
  opened() {
    const path = [this.tree.root];
    for (const name of this.view.path) {
      const next = path[path.length - 1].children.find((child) => child.name === name);
      if (!next || next.width <= 0) break;
      path.push(next);
    }
    return path;
  }

  sorted(frames) {
    const byName = (a, b) => a.name < b.name ? -1 : Number(a.name > b.name);
    return [...frames].sort(this.view.order === "name" ? byName
      : (a, b) => b.width - a.width || byName(a, b));
  }

  // Frames inside of each other, each with its place in parts of the picture.
  lay(items, frame, parent, depth, step, left, scale) {
    const width = frame.width * scale;
    if (width < LEAST_WIDTH || items.length >= MOST_DRAWN) return;
    const item = { frame, parent, depth, left, width, outer: false };
    items.push(item);
    let from = left;
    for (const child of this.sorted(frame.children)) {
      this.lay(items, child, item, depth + step, step, from, scale);
      from += child.width * scale;
    }
  }

  layout() {
    const items = [];
    const about = this.stacks && this.view.about !== null
      && (typeof this.view.about === "number" ? this.tree.aboutSite(this.view.about)
        : this.tree.about(this.view.about));
    this.centre = about || null;
    if (about) {
      const [callers, callees] = about;
      this.lay(items, callers, null, 0, -1, 0, 1 / callers.width);
      if (callees) {
        const below = [];
        this.lay(below, callees, null, 0, 1, 0, 1 / callees.width);
        for (const item of below) if (item.parent === below[0]) item.parent = items[0];
        items.push(...below.slice(1));
      }
      return items;
    }
    if (!(this.tree.root.width > 0)) return items;
    const path = this.opened();
    this.view.path = path.slice(1).map((frame) => frame.name);
    let parent = null;
    path.slice(0, -1).forEach((frame, depth) => {
      const item = { frame, parent, depth, left: 0, width: 1, outer: true };
      items.push(item);
      parent = item;
    });
    const target = path[path.length - 1];
    this.lay(items, target, parent, path.length - 1, 1, 0, 1 / target.width);
    return items;
  }

  draw() {
    const focus = this.current ? this.current.frame.name : null;
    const items = this.layout();
    this.items = items;
    const depths = items.map((item) => item.depth);
    const least = depths.reduce((a, b) => Math.min(a, b), 0);
    const rows = depths.reduce((a, b) => Math.max(a, b), 0) - least + 1;
    const pattern = this.view.search ? patternOf(this.view.search) : null;
    for (const item of items) {
      item.row = this.view.roots === "below" ? rows - 1 - (item.depth - least)
        : item.depth - least;
      item.element = this.element(item, pattern);
    }
    this.picture.setAttribute("height", rows * ROW);
    this.picture.classList.toggle("searching", pattern !== null);
    this.picture.replaceChildren(...this.described, ...items.map((item) => item.element));
    const top = this.top();
    this.current = items.find((item) => item.frame.name === focus) || top;
    this.whole.disabled = !this.isChanged();
    this.matched.textContent = pattern ? this.tree.search(pattern.test) + pattern.note : "";
    this.say(top);
    if (this.link) this.link.href = this.onLink();
  }

  // The frame that everything else is inside of.
  top() {
    if (this.centre) return this.items[0];
    return this.items[this.view.path.length] || this.items[0];
  }

  isChanged() {
    return this.centre !== null || this.view.path.length > 0;
  }

  element(item, pattern) {
    const { frame } = item;
    const make = (name, attributes) => {
      const element = document.createElementNS(SVG, name);
      for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
      return element;
    };
    const element = make("svg", {
      x: (item.left * 100).toFixed(4) + "%",
      y: item.row * ROW,
      width: (item.width * 100).toFixed(4) + "%",
      height: ROW - 1,
    });
    const title = make("title", {});
    title.textContent = frame.name + "\n" + frame.figures;
    element.append(title, make("rect", { fill: frame.colour }));
    if (item.width >= 0.01) {
      const text = make("text", { x: 3, y: 12.5 });
      text.textContent = frame.name;
      element.append(text);
    }
    if (item.outer) element.classList.add("outer");
    if (pattern && pattern.test(frame.name)) element.classList.add("hit");
    element.item = item;
    return element;
  }

  say(item) {
    this.said.textContent = item ? item.frame.name + ": " + item.frame.figures
      : "Nothing is left of what was chosen.";
  }

  point(item) {
    if (!item) return;
    this.current.element.classList.remove("current");
    this.current = item;
    item.element.classList.add("current");
    this.say(item);
  }

  // Enlarges a frame; among callers and callees, that function takes the middle.
  open(item) {
    if (this.centre) {
      this.look(item.frame.name);
      return;
    }
    const path = [];
    for (let at = item; at.parent; at = at.parent) path.unshift(at.frame.name);
    this.view.path = path;
    this.draw();
    this.current = this.top();
  }

  look(name) {
    this.view.about = name;
    this.draw();
    this.current = this.top();
  }

  reset() {
    this.view.path = [];
    this.view.about = null;
    this.draw();
    this.current = this.top();
  }

  search(text) {
    this.view.search = text.trim();
    this.draw();
  }

  step(key) {
    const { items, current } = this;
    const inside = (item) => items.filter((other) => other.parent === item);
    const away = (sign) => {
      const row = items.filter((other) => other.row === current.row)
        .sort((a, b) => a.left - b.left);
      return row[row.indexOf(current) + sign];
    };
    const down = this.view.roots === "below" ? "ArrowUp" : "ArrowDown";
    if (key === "ArrowLeft") return away(-1);
    if (key === "ArrowRight") return away(1);
    if (key === "Home") return items[0];
    // Among callers and callees both lead away from the middle.
    const next = [current.parent, ...inside(current)].filter(Boolean);
    const wanted = key === "ArrowDown" ? 1 : -1;
    const vertical = next.filter((other) => Math.sign(other.row - current.row) === wanted);
    return vertical.sort((a, b) => key === down ? b.width - a.width || a.left - b.left : 0)[0];
  }

  listen() {
    const { stage, picture } = this;
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.current) return;
      if (["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home"].includes(event.key)) {
        const next = this.step(event.key);
        if (next) {
          this.point(next);
          this.follow(next);
        }
      } else if (event.key === "Enter" || event.key === " ") {
        this.open(this.current);
        this.point(this.current);
      } else if (event.key === "c" && this.stacks && this.current.frame !== this.tree.root) {
        this.look(this.current.frame.name);
        this.point(this.current);
      } else if (event.key === "Escape") {
        this.reset();
      } else {
        return;
      }
      event.preventDefault();
    });
    stage.addEventListener("focus", () => {
      if (stage.matches(":focus-visible")) this.point(this.current);
    });
    stage.addEventListener("blur", () => {
      if (this.current) this.current.element.classList.remove("current");
    });
    const itemOf = (event) => event.target.closest("svg")?.item;
    picture.addEventListener("click", (event) => {
      const item = itemOf(event);
      if (item) this.open(item);
    });
    picture.addEventListener("pointerover", (event) => {
      const item = itemOf(event);
      if (item) this.say(item);
    });
    picture.addEventListener("pointerleave", () => this.say(this.top()));
    this.whole.addEventListener("click", () => {
      this.reset();
      stage.focus();
    });
    this.figure.querySelector(".about")?.addEventListener("click", () => {
      if (this.current && this.current.frame !== this.tree.root) {
        this.look(this.current.frame.name);
      } else {
        this.said.textContent = "Choose a frame first: click it, or move to it with the arrow keys.";
      }
      stage.focus();
    });
    this.figure.querySelector(".row")?.addEventListener("click", () => {
      if (!this.current) return;
      const isAll = this.current.frame === this.tree.root;
      this.onRow(isAll ? null : this.current.frame.name);
    });
    this.box.addEventListener("input", () => this.search(this.box.value));
    this.box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.box.value = "";
      this.search("");
    });
    this.looks.addEventListener("change", (event) => {
      const input = event.target;
      this.view[input.name] = input.type === "checkbox" ? input.checked : input.value;
      this.choose();
    });
  }

  follow(item) {
    const box = item.element.getBoundingClientRect();
    if (box.top < 40 || box.bottom > window.innerHeight - 80) {
      window.scrollBy({ top: box.top - window.innerHeight / 2 });
    }
  }
}
