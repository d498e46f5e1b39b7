// Brings the page to life; a live page does it again with each reading of itself.
const begin = () => {
  const linked = readLink(location.hash);
  const figureOf = (id) => document.querySelector('[data-flame="' + id + '-flame"]');
  const taken = new Set();
  for (const form of document.querySelectorAll("[data-choices]")) {
    const id = form.dataset.choices;
    const view = viewOf(id);
    const data = document.querySelector('script[data-stacks="' + id + '"]');
    const stacks = new Stacks(JSON.parse(data.textContent));
    const box = document.querySelector('[data-table="' + id + '"]');
    const figure = figureOf(id);
    taken.add(box).add(figure);
    let flame = null;
    let sites = null;
    listenToChoices(form, stacks, view, () => {
      flame?.choose();
      sites?.choose();
    });
    if (figure) flame = new Flame(figure, stacks, view);
    if (box) sites = new Sites(box, stacks, view);
    if (flame) {
      flame.onLink = () => linkTo(id, view);
      flame.link.href = flame.onLink();
    }
    if (flame && sites) {
      sites.onSite = (site) => {
        flame.look(site);
        figure.scrollIntoView({ block: "nearest" });
        flame.stage.focus({ preventScroll: true });
      };
      flame.onRow = (name) => {
        sites.find("", name);
        box.scrollIntoView({ block: "nearest" });
        sites.filter.focus({ preventScroll: true });
      };
    }
    if (figure && linked === id) figure.scrollIntoView({ block: "start" });
  }
  for (const figure of document.querySelectorAll("[data-flame]")) {
    if (!taken.has(figure)) new Flame(figure, null, viewOf(figure.dataset.flame));
  }
  for (const box of document.querySelectorAll("[data-table]")) {
    if (!taken.has(box)) new Sites(box, null, viewOf(box.dataset.table));
  }
  for (const figure of document.querySelectorAll("[data-timeline]")) new OverTime(figure);
};
begin();
