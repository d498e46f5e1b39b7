// The frames of a picture: of stacks, found when they are asked for, so that only what is wide
// enough to be seen costs anything; or those of a picture that came with the page.

class StackFrame {
  // `members` are frames of the stacks that are one frame here, each with what it counts with.
  constructor(tree, name, colour, members, upwards) {
    Object.assign(this, { tree, name, colour, members, upwards });
    this.figure = { sum: 0, width: 0, variance: 0, oneMore: 0 };
    for (const { held } of members) {
      this.figure.sum += held.sum;
      this.figure.width += held.width;
      this.figure.variance += held.variance;
      this.figure.oneMore = Math.max(this.figure.oneMore, held.oneMore);
    }
    this.width = this.figure.width;
  }

  get children() {
    this.kept ??= this.upwards ? this.tree.callersOf(this) : this.tree.calleesOf(this);
    return this.kept;
  }

  get figures() {
    const { measure, each, moment } = this.tree.weights;
    const share = percentOf(this.figure.sum, this.tree.whole.sum);
    return estimateOf(measure, each, this.figure) + " " + wordsOf(measure, each, moment)
      + (share ? ", " + share : "");
  }
}

class StackTree {
  constructor(stacks, view) {
    Object.assign(this, { stacks, view });
    this.weights = stacks.weigh(view);
    this.whole = this.held(stacks.count);
    this.root = new StackFrame(this, "all", "#e4e4df",
      [{ at: stacks.count, held: this.whole }], false);
  }

  held(at) {
    const { sum, width, variance, oneMore } = this.weights;
    return { sum: sum[at], width: width[at], variance: variance[at], oneMore: oneMore[at] };
  }

  isShown(at) {
    return this.view.runtime || !this.stacks.isOuter(at);
  }

  // One frame for each name among members.
  grouped(members, upwards) {
    const groups = new Map();
    for (const member of members) {
      const text = this.stacks.text(member.at);
      if (!groups.has(text)) groups.set(text, []);
      groups.get(text).push(member);
    }
    return [...groups].map(([text, group]) => {
      const widest = group.reduce((a, b) => b.held.width > a.held.width ? b : a);
      return new StackFrame(this, this.stacks.data.texts[text], this.stacks.colour(widest.at), group,
        upwards);
    });
  }

  calleesOf(frame) {
    const found = [];
    const waiting = frame.members.map(({ at }) => at);
    while (waiting.length > 0) {
      for (let at = this.stacks.firstChild[waiting.pop()]; at >= 0;
        at = this.stacks.nextSibling[at]) {
        if (!this.isShown(at)) waiting.push(at);
        else if (this.weights.width[at] > 0) found.push({ at, held: this.held(at) });
      }
    }
    return this.grouped(found, false);
  }

  callersOf(frame) {
    const found = [];
    for (const { at, held } of frame.members) {
      let parent = this.stacks.parents[at];
      if (parent === this.stacks.count || !this.isShown(parent)) continue;
      found.push({ at: parent, held });
    }
    return this.grouped(found, true);
  }

  // A function wherever it is, once upwards and once downwards; `null` where it holds nothing.
  about(name) {
    const { found } = this.stacks.outermost(this.view, (text) => text === name);
    const members = found.filter((at) => this.weights.width[at] > 0)
      .map((at) => ({ at, held: this.held(at) }));
    if (members.length === 0) return null;
    const colour = this.stacks.colour(members[0].at);
    return [true, false].map((up) => new StackFrame(this, name, colour, members, up));
  }

  // The stacks that end at a site, seen from it.
  aboutSite(site) {
    const members = [];
    this.weights.ofStack.forEach((held, stack) => {
      const end = this.stacks.data.ends[stack];
      if (!held || end === null || this.stacks.data.siteOf[stack] !== site) return;
      members.push({ at: end, held: { ...held, width: Math.max(0, held.sum) } });
    });
    if (!members.some(({ held }) => held.width > 0)) return null;
    const name = this.stacks.data.texts[this.stacks.text(members[0].at)];
    const colour = this.stacks.colour(members[0].at);
    return [new StackFrame(this, name, colour, members, true), null];
  }

  // How much of everything a search matches.
  search(test) {
    const { found, names } = this.stacks.outermost(this.view, test);
    const held = found.map((at) => this.held(at));
    const sum = held.reduce((all, one) => all + one.sum, 0);
    const { measure, each, moment } = this.weights;
    return names + (names === 1 ? " name, " : " names, ")
      + (percentOf(sum, this.whole.sum) || "nothing") + " of "
      + wordsOf(measure, each, moment) + ": " + numberOf(measure, each, sum);
  }
}

// The frames of a picture that came with the page, which has no figures but those it shows.
class DrawnTree {
  constructor(picture) {
    const row = 18;
    const open = [];
    for (const element of picture.querySelectorAll("svg")) {
      const [name, figures] = element.querySelector("title").textContent.split("\n");
      const depth = Math.round(Number(element.getAttribute("y")) / row);
      const [before, after] = (element.dataset.sides || "0 0").split(" ").map(Number);
      const change = parseFloat(element.getAttribute("width"));
      const frame = {
        name, figures, children: [],
        colour: element.querySelector("rect").getAttribute("fill"),
        sides: { change, before: Math.max(0, before), after: Math.max(0, after) },
        width: change,
      };
      if (depth > 0) open[depth - 1].children.push(frame);
      open[depth] = frame;
    }
    this.root = open[0];
  }

  // Each frame as wide as what it holds on one side, and wide enough for what is in it.
  show(side) {
    const set = (frame) => {
      const inside = frame.children.reduce((sum, child) => sum + set(child), 0);
      frame.width = Math.max(frame.sides[side], inside);
      return frame.width;
    };
    set(this.root);
  }

  search(test) {
    let count = 0;
    let width = 0;
    const look = (frame, inside) => {
      const hit = test(frame.name);
      if (hit) count += 1;
      if (hit && !inside) width += frame.width;
      for (const child of frame.children) look(child, inside || hit);
    };
    look(this.root, false);
    return count + (count === 1 ? " frame, " : " frames, ")
      + percentOf(width, this.root.width) + " of the width";
  }
}
