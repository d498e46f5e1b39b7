// Tables of sites: under the choice of figures, sorted by their headings, filtered by a text.

// Rows that are in the page at once; more come when they are asked for.
const ROWS = 500;

class Sites {
  constructor(box, stacks, view) {
    Object.assign(this, { box, stacks, view });
    this.table = box.querySelector("table");
    this.body = this.table.tBodies[0];
    this.headings = [...this.table.tHead.rows[0].cells];
    this.title = box.previousElementSibling;
    this.filter = box.querySelector("input");
    this.matched = box.querySelector(".matched");
    this.more = box.querySelector(".more-rows");
    this.collator = new Intl.Collator("en", { numeric: true });
    this.room = ROWS;
    this.onSite = () => {};
    this.column = 0;
    this.order = "descending";
    this.all = stacks ? stacks.sites.map((site, at) => ({ site, at })) : this.drawn();
    this.filter.value = view.filter;
    this.listen();
    if (stacks) {
      box.querySelector(".smaller")?.remove();
      this.choose();
    } else {
      this.show();
    }
  }

  // The rows that came with the page, where there is nothing else.
  drawn() {
    return [...this.body.rows].map((element, at) => ({
      at, element,
      text: element.textContent.toLowerCase(),
      keys: [...element.cells].map((cell) => cell.classList.contains("n")
        ? Number(cell.dataset.v ?? -Infinity) : cell.textContent.trim().toLowerCase()),
    }));
  }

  // Adds up anew. What is sampled is left to the picture: it never adds into what is exact.
  choose() {
    const { stacks, view } = this;
    const chosen = stacks.measure(view.measure);
    const bytes = stacks.beside(chosen, "bytes");
    const blocks = stacks.beside(chosen, "blocks");
    this.chosen = chosen;
    this.each = stacks.isPerConnection(view, chosen);
    const none = () => ({ sum: 0, variance: 0, oneMore: 0 });
    const sums = stacks.sites.map(() => ({ bytes: none(), blocks: none(), counts: false }));
    const add = (sum, more) => {
      sum.sum += more.sum;
      sum.variance += more.variance;
      sum.oneMore = Math.max(sum.oneMore, more.oneMore);
    };
    stacks.data.siteOf.forEach((site, stack) => {
      if (stacks.sites[site].domain === "rust") return;
      for (const [kind, measure] of [["bytes", bytes], ["blocks", blocks]]) {
        const figure = measure && stacks.figure(view, measure, stack);
        if (figure) add(sums[site][kind], figure);
      }
    });
    const first = chosen.unit;
    const whole = sums.reduce((sum, one) => sum + one[first].sum, 0);
    this.rows = [];
    for (const row of this.all) {
      const held = sums[row.at];
      const isOff = (figure) => figure.variance + figure.oneMore > 0;
      if (held.bytes.sum === 0 && held.blocks.sum === 0 && !isOff(held.bytes)) continue;
      const share = whole > 0 ? held[first].sum / whole : null;
      this.fill(row, { bytes, blocks, held, share });
      this.rows.push(row);
    }
    this.title.textContent = "Sites: " + wordsOf(chosen, this.each, stacks.moment(view));
    this.sort();
  }

  fill(row, { bytes, blocks, held, share }) {
    const { site } = row;
    row.element ??= this.element(site, row.at);
    const [byteCell, shareCell, blockCell] = row.element.cells;
    const write = (cell, measure, figure) => {
      if (!measure) {
        cell.textContent = "\u2013";
        delete cell.dataset.v;
        return;
      }
      cell.dataset.v = figure.sum;
      const margin = marginOf(figure.variance, figure.oneMore);
      cell.textContent = numberOf(measure, this.each, figure.sum);
      if (!(margin > 0)) return;
      const off = document.createElement("span");
      off.className = "margin";
      off.textContent = " \u00b1 " + numberOf(measure, this.each, margin);
      cell.append(off);
    };
    write(byteCell, bytes, held.bytes);
    write(blockCell, blocks, held.blocks);
    shareCell.dataset.v = share ?? "";
    shareCell.textContent = share === null ? "\u2013"
      : minusOf(oneDecimal.format(share * 100)) + " %";
    row.text ??= row.element.textContent.toLowerCase();
    row.keys = [bytes ? held.bytes.sum : -Infinity, share ?? -Infinity,
      blocks ? held.blocks.sum : -Infinity,
      site.category, site.place, site.name, site.telling];
  }

  element(site, at) {
    const row = document.createElement("tr");
    const cell = (name, content) => {
      const one = row.insertCell();
      one.className = name;
      if (content) one.append(content);
      return one;
    };
    const code = (text) => {
      const one = document.createElement("code");
      text.split("/").forEach((part, index) => {
        if (index > 0) one.append("/", document.createElement("wbr"));
        one.append(part);
      });
      return one;
    };
    cell("n");
    cell("n");
    cell("n");
    cell("category", site.category + (site.domain && site.domain !== "openssl"
      ? " (" + site.domain + ")" : ""));
    const lead = document.createElement("button");
    lead.type = "button";
    lead.className = "lead";
    lead.title = "Show the stacks of this site in the flamegraph";
    lead.append(code(site.place));
    lead.addEventListener("click", () => this.onSite(at));
    cell("place", lead);
    cell("place", code(site.name));
    cell("story", code(site.telling));
    return row;
  }

  sort() {
    for (const [at, heading] of this.headings.entries()) {
      heading.setAttribute("aria-sort", at === this.column ? this.order : "none");
    }
    const number = this.headings[this.column].classList.contains("n");
    const sign = this.order === "ascending" ? 1 : -1;
    const compare = number ? (a, b) => a - b : (a, b) => this.collator.compare(a, b);
    const size = (row) => Number.isFinite(row.keys[0]) ? row.keys[0] : 0;
    // Equal rows stay in one order: most bytes first.
    (this.rows ??= this.all).sort((a, b) => sign * compare(a.keys[this.column], b.keys[this.column])
      || size(b) - size(a) || a.at - b.at);
    this.show();
  }

  show() {
    const rows = this.rows ??= this.all;
    const words = this.view.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const through = this.view.through;
    const among = through && this.stacks.sitesThrough(this.view, through);
    const shown = rows.filter((row) => (!among || among.has(row.at))
      && words.every((word) => row.text.includes(word)));
    this.body.replaceChildren(...shown.slice(0, this.room).map((row) => row.element));
    const left = shown.length - this.room;
    this.more.parentElement.hidden = left <= 0;
    this.more.textContent = "Show " + Math.min(left, ROWS) + " more of " + thousands.format(left);
    const bytes = shown.reduce((sum, row) =>
      sum + (Number.isFinite(row.keys[0]) ? row.keys[0] : 0), 0);
    this.matched.textContent = words.length === 0 && !among
      ? thousands.format(rows.length) + " sites"
      : thousands.format(shown.length) + " of " + thousands.format(rows.length) + " sites, "
        + minusOf(thousands.format(bytes)) + " bytes"
        + (among ? ", reached through " + through : "");
  }

  // Rows with these words, and, where a function is named, of stacks that it is on.
  find(text, through = null) {
    this.filter.value = text;
    Object.assign(this.view, { filter: text, through });
    this.room = ROWS;
    this.show();
  }

  listen() {
    this.headings.forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => {
        const number = heading.classList.contains("n");
        const [first, second] = number ? ["descending", "ascending"] : ["ascending", "descending"];
        const again = column === this.column && this.order === first;
        this.column = column;
        this.order = again ? second : first;
        this.sort();
      });
    });
    this.filter.addEventListener("input", () => this.find(this.filter.value));
    this.filter.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.find("");
    });
    this.more.addEventListener("click", () => {
      this.room += ROWS;
      this.show();
    });
  }
}
