// The stacks of a capture with all of their figures, as the page carries them, and what they add
// up to under a choice.
"use strict";

const thousands = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const oneDecimal = new Intl.NumberFormat("en-US", {
  minimumFractionDigits: 1, maximumFractionDigits: 1,
});
const percentOf = (part, whole) => whole > 0 ? oneDecimal.format(part / whole * 100) + " %" : "";
const minusOf = (text) => text.replace("-", "\u2212");

// Of a figure that is estimated from samples: half the width of its 95 % interval.
const marginOf = (variance, oneMore) => 1.96 * Math.sqrt(variance + oneMore);

class Stacks {
  constructor(data) {
    this.data = data;
    this.count = data.depths.length;
    this.parents = new Int32Array(this.count);
    this.firstChild = new Int32Array(this.count + 1).fill(-1);
    this.nextSibling = new Int32Array(this.count).fill(-1);
    const open = [];
    const youngest = new Int32Array(this.count + 1).fill(-1);
    for (let at = 0; at < this.count; at += 1) {
      const depth = data.depths[at];
      // What has no caller is called by the root, which comes after all.
      const parent = depth > 0 ? open[depth - 1] : this.count;
      this.parents[at] = parent;
      if (youngest[parent] < 0) this.firstChild[parent] = at;
      else this.nextSibling[youngest[parent]] = at;
      youngest[parent] = at;
      open[depth] = at;
    }
    this.sites = data.sites.map(([place, name, category, domain, ...telling]) => ({
      place: data.texts[place],
      name: data.texts[name],
      category: data.texts[category],
      group: data.texts[category].split(".")[0],
      domain: data.texts[domain],
      telling: telling.map((text) => data.texts[text]).join(" \u203a "),
    }));
  }

  // Names are told apart by their text: one may have several colours.
  text(frame) {
    return this.data.names[this.data.frames[frame] >> 1];
  }

  colour(frame) {
    return this.data.colours[this.data.frames[frame] >> 1];
  }

  isOuter(frame) {
    return (this.data.frames[frame] & 1) === 1;
  }

  measure(id) {
    return this.data.measures.find((one) => one.id === id) || this.data.measures[this.data.shown];
  }

  // The other figure of the same column: blocks beside bytes.
  beside(measure, unit) {
    return this.data.measures.find((one) => one.column === measure.column && one.unit === unit);
  }

  // Figures of the capture, or of an earlier one of its series.
  valuesAt(view) {
    return this.data.seriesValues[view.at] ?? this.data.values;
  }

  // What is taken off them: those of a capture before that, or nothing.
  valuesSince(view) {
    const last = view.at ?? this.data.series.length;
    return view.since !== null && view.since < last ? this.data.seriesValues[view.since] : null;
  }

  // Which moments that is, in words; empty for the capture itself.
  moment(view) {
    const second = (at) => oneDecimal.format(this.data.series[at]) + " s";
    return (this.data.series[view.at] === undefined ? "" : " at " + second(view.at))
      + (this.valuesSince(view) ? " more than at " + second(view.since) : "");
  }

  isPerConnection(view, measure) {
    return this.moment(view) === "" && view.of === "connection" && measure.ofConnections && this.data.connections > 0;
  }

  isHidden(view, site) {
    return view.hidden.has("domain " + site.domain) || view.hidden.has("group " + site.group);
  }

  // One stack's figure, and how far off it may be; nothing of what the choice leaves out.
  figure(view, measure, stack) {
    const data = this.data;
    const site = this.sites[data.siteOf[stack]];
    const each = this.isPerConnection(view, measure);
    if (this.isHidden(view, site)) return null;
    // What jemalloc samples is what is in use: how much was freed again it does not say.
    if (measure.less !== null && site.domain === "rust") return null;
    if (each && data.withoutBefore.includes(site.domain)) return null;
    const read = (columns, value) => columns[value] ? columns[value][stack] : 0;
    const sum = (columns) => read(columns, measure.value)
      - (measure.less === null ? 0 : read(columns, measure.less));
    const off = (columns) => read(columns, measure.value)
      + (measure.less === null ? 0 : read(columns, measure.less));
    if (!each) {
      const since = this.valuesSince(view);
      const here = sum(this.valuesAt(view)) - (since ? sum(since) : 0);
      return { sum: here, variance: off(data.variance), oneMore: off(data.oneMore) };
    }
    const n = data.connections;
    return {
      sum: (sum(data.values) - sum(data.before)) / n,
      variance: (off(data.variance) + off(data.varianceBefore)) / n / n,
      oneMore: Math.max(off(data.oneMore), off(data.oneMoreBefore)) / n / n,
    };
  }

  // What every frame holds under a choice. What shrank has no width, but counts in the figures.
  weigh(view) {
    const measure = this.measure(view.measure);
    const make = () => new Float64Array(this.count + 1);
    const weights = { measure, sum: make(), width: make(), variance: make(), oneMore: make() };
    weights.moment = this.moment(view);
    weights.each = this.isPerConnection(view, measure);
    weights.ofStack = new Array(this.data.ends.length).fill(null);
    this.data.ends.forEach((end, stack) => {
      const figure = this.figure(view, measure, stack);
      if (!figure) return;
      weights.ofStack[stack] = figure;
      const at = end === null ? this.count : end;
      weights.sum[at] += figure.sum;
      weights.width[at] += Math.max(0, figure.sum);
      weights.variance[at] += figure.variance;
      weights.oneMore[at] = Math.max(weights.oneMore[at], figure.oneMore);
    });
    for (let at = this.count - 1; at >= 0; at -= 1) {
      const parent = this.parents[at];
      weights.sum[parent] += weights.sum[at];
      weights.width[parent] += weights.width[at];
      weights.variance[parent] += weights.variance[at];
      weights.oneMore[parent] = Math.max(weights.oneMore[parent], weights.oneMore[at]);
    }
    return weights;
  }

  // The outermost frames that a test holds for, and how many names it holds for. Frames that are
  // too small to be drawn are among them.
  outermost(view, test) {
    const known = new Map();
    const holds = (at) => {
      const text = this.text(at);
      if (!known.has(text)) known.set(text, test(this.data.texts[text]));
      return known.get(text);
    };
    const inside = new Uint8Array(this.count + 1);
    const found = [];
    const names = new Set();
    for (let at = 0; at < this.count; at += 1) {
      const hit = (view.runtime || !this.isOuter(at)) && holds(at);
      if (hit) names.add(this.text(at));
      if (hit && !inside[this.parents[at]]) found.push(at);
      inside[at] = hit || inside[this.parents[at]] ? 1 : 0;
    }
    return { found, names: names.size };
  }

  // Places of the sites that are reached through a function.
  sitesThrough(view, name) {
    const inside = new Uint8Array(this.count + 1);
    for (const at of this.outermost(view, (text) => text === name).found) inside[at] = 1;
    for (let at = 0; at < this.count; at += 1) inside[at] |= inside[this.parents[at]];
    const sites = new Set();
    this.data.ends.forEach((end, stack) => {
      if (end !== null && inside[end]) sites.add(this.data.siteOf[stack]);
    });
    return sites;
  }
}

// Figures as the page writes them.
const wordsOf = (measure, each, moment) => measure.name + (each ? " per connection" : "") + moment;
const numberOf = (measure, each, figure) => minusOf(measure.unit === "blocks" && each
  ? oneDecimal.format(figure) : thousands.format(figure));
const estimateOf = (measure, each, { sum, variance, oneMore }) => {
  const margin = marginOf(variance, oneMore);
  return numberOf(measure, each, sum)
    + (margin > 0 ? " \u00b1 " + numberOf(measure, each, margin) : "");
};
