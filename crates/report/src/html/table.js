// Tables of sites: sorted by their headings, filtered by a text.
for (const box of document.querySelectorAll("[data-table]")) {
  const table = box.querySelector("table");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const filter = box.querySelector("input");
  const matched = box.querySelector(".matched");
  const rows = [...body.rows].map((element, at) => ({
    at, element,
    text: element.textContent.toLowerCase(),
    keys: [...element.cells].map((cell) => cell.classList.contains("n")
      ? Number(cell.dataset.v ?? -Infinity) : cell.textContent.trim().toLowerCase()),
  }));
  const collator = new Intl.Collator("en", { numeric: true });

  const sort = (column) => {
    const heading = headings[column];
    const number = heading.classList.contains("n");
    const first = number ? "descending" : "ascending";
    const second = number ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of headings) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = number ? (a, b) => a - b : collator.compare;
    // Equal rows stay in the order of the file: most bytes first.
    rows.sort((a, b) => sign * compare(a.keys[column], b.keys[column]) || a.at - b.at);
    body.append(...rows.map((one) => one.element));
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => sort(column));
  });

  const thousands = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    let bytes = 0;
    for (const one of rows) {
      const shown = words.every((word) => one.text.includes(word));
      one.element.hidden = !shown;
      if (!shown) continue;
      count += 1;
      bytes += Number.isFinite(one.keys[0]) ? one.keys[0] : 0;
    }
    matched.textContent = words.length === 0 ? thousands.format(rows.length) + " sites"
      : count + " of " + thousands.format(rows.length) + " sites, " + thousands.format(bytes)
        + " bytes";
  };
  filter.addEventListener("input", show);
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    filter.value = "";
    show();
  });
}
