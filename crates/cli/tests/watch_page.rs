//! The live page of `tlsheap watch --listen`, in a browser: each part of it, as on a report.

mod browser;
mod program;
mod watched;

use browser::{Browser, View};
use program::{path, printed_json};
use serde_json::Value;
use watched::at_rest::AtRest;
use watched::listening::Listening;
use watched::{CONNECTIONS, until};

/// What the scripts have in common.
const COMMON: &str = "
    const main = document.querySelector('main');
    const figure = main.querySelector('[data-flame]');
    const stage = figure.querySelector('.stage');
    const form = main.querySelector('[data-choices]');
    const box = main.querySelector('[data-table]');
    const frames = () => [...stage.querySelectorAll(':scope > svg > svg')];
    const name = (frame) => frame.querySelector('title').textContent.split('\\n')[0];
    const named = (wanted) => frames().find((frame) => name(frame) === wanted);
    const row = (wanted) => Number(named(wanted)?.getAttribute('y') ?? NaN) / 18;
    const changed = (input) => input.dispatchEvent(new Event('change', { bubbles: true }));
    const click = (frame) => frame.querySelector('rect')
      .dispatchEvent(new MouseEvent('click', { bubbles: true }));
    const key = (key) => stage.dispatchEvent(new KeyboardEvent('keydown', { key }));
    const search = figure.querySelector('input[type=search]');
    const find = (text) => {
      search.value = text;
      search.dispatchEvent(new Event('input'));
      return figure.querySelector('.matched').textContent;
    };
    const sum = (column) => [...box.querySelectorAll('tbody tr')].reduce((all, row) =>
      all + Number(row.cells[column].dataset.v), 0);
    const choose = (which, value) => {
      form.elements[which].value = value;
      changed(form.elements[which]);
      return sum(0);
    };
";

fn ask(test: &str, page: &str, script: &str) -> Option<Value> {
    Some(Browser::for_test(test)?.ask(page, View::Desktop, &format!("{COMMON}{script}")))
}

#[test]
fn the_flamegraph_of_a_live_page_is_that_of_a_report() {
    let at_rest = AtRest::with_connections();
    let page = Listening::on(path(&at_rest.ledger())).get("/").text();
    let script = "
        const look = (which, value) => {
          const input = figure.querySelector('.looks [name=' + which + ']');
          if (input.type === 'checkbox') input.checked = value;
          else input.value = value;
          changed(input);
          return frames().map(name);
        };
        const first = { all: row('all'), names: frames().map(name) };
        look('roots', 'below');
        const below = row('all');
        look('roots', 'above');
        const ordered = look('order', 'name');
        look('order', 'size');
        const runtime = look('runtime', true);
        look('runtime', false);
        const matched = { some: find('^SSL_new$'), none: find('no such thing'), all: find('.') };
        find('');
        click(named('SSL_new'));
        const zoomed = { width: named('SSL_new').getAttribute('width'),
          link: figure.querySelector('.link').getAttribute('href') };
        key('c');
        const about = { all: row('all'), self: row('SSL_new') };
        figure.querySelector('.row').click();
        const filter = box.querySelector('.matched').textContent;
        box.querySelector('input').value = '';
        box.querySelector('input').dispatchEvent(new Event('input'));
        box.querySelector('.lead').click();
        const place = box.querySelector('.lead').textContent;
        const led = row(place);
        key('Escape');
        return { first, below, ordered, runtime, matched, zoomed, about, filter, led,
          whole: row('all') };";
    let test = "the_flamegraph_of_a_live_page_is_that_of_a_report";
    let Some(answer) = ask(test, &page, script) else { return };
    assert_eq!(answer["first"]["all"], 0);
    assert!(answer["below"].as_f64() > Some(3.0), "{answer}");
    let names = |of: &Value| {
        let mut names: Vec<String> =
            of.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_ne!(answer["ordered"], answer["first"]["names"]);
    assert_eq!(names(&answer["ordered"]), names(&answer["first"]["names"]));
    let is_runtimes = |name: &String| name.contains("start_thread") || name.contains("tokio");
    assert!(names(&answer["runtime"]).iter().any(is_runtimes), "{answer}");
    let said = |which: &str| answer["matched"][which].as_str().unwrap();
    assert!(said("some").starts_with("1 name, ") && said("some").contains(" % of "), "{answer}");
    assert!(said("none").starts_with("0 names, 0.0 %"), "{answer}");
    assert!(said("all").contains(" 100.0 % of "), "{answer}");
    assert_eq!(answer["zoomed"]["width"], "100.0000%");
    assert!(answer["zoomed"]["link"].as_str().unwrap().starts_with("#view="), "{answer}");
    assert!(answer["about"]["self"].as_f64() > Some(0.0), "callers stand above: {answer}");
    assert!(answer["about"]["all"].is_null(), "{answer}");
    assert!(answer["filter"].as_str().unwrap().ends_with(", reached through SSL_new"));
    assert!(answer["led"].as_f64().is_some(), "a row leads to its frames: {answer}");
    assert_eq!(answer["whole"], 0);
}

#[test]
fn figures_of_a_live_page_are_chosen_and_those_of_short_life_told() {
    let at_rest = AtRest::with_connections();
    let page = Listening::on(path(&at_rest.ledger())).get("/").text();
    let script = "
        const measures = {};
        for (const option of [...form.elements.measure.options]) {
          measures[option.value] = choose('measure', option.value);
        }
        choose('measure', 'in-use-bytes');
        const all = sum(0);
        const tls = [...form.querySelectorAll('[name=group]')].find((one) => one.value === 'tls');
        tls.checked = false;
        changed(tls);
        const hidden = { bytes: sum(0), note: form.querySelector('output').textContent };
        const heading = [...main.querySelectorAll('h3')]
          .find((one) => one.textContent === 'Sizes of blocks');
        const classes = [...heading.nextElementSibling.querySelectorAll('tbody tr')]
          .map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
        const findings = main.querySelector('#findings')?.textContent ?? '';
        return { measures, all, hidden, classes, findings };";
    let test = "figures_of_a_live_page_are_chosen_and_those_of_short_life_told";
    let Some(answer) = ask(test, &page, script) else { return };
    let measures = &answer["measures"];
    for (measure, figure) in [
        ("in-use-bytes", "inuse_bytes"),
        ("peak-bytes", "peak_bytes"),
        ("allocated-bytes", "alloc_bytes"),
    ] {
        let total = at_rest.total(figure);
        assert_eq!(measures[measure].as_f64(), Some(total as f64), "{measure}");
    }
    let freed = at_rest.total("alloc_bytes") - at_rest.total("inuse_bytes");
    assert_eq!(measures["freed-bytes"].as_f64(), Some(freed as f64), "allocated and freed again");
    let of_classes = |at: usize| -> i64 {
        let classes = answer["classes"].as_array().unwrap();
        classes
            .iter()
            .map(|it| it[at].as_str().unwrap().replace(',', "").parse::<i64>().unwrap())
            .sum()
    };
    assert_eq!(of_classes(1), at_rest.total("inuse_blocks"), "{answer}");
    assert_eq!(of_classes(2), at_rest.total("inuse_bytes"), "{answer}");
    assert!(answer["hidden"]["bytes"].as_f64() < answer["all"].as_f64(), "{answer}");
    assert_eq!(answer["hidden"]["note"], "1 hidden");
    assert!(!answer["findings"].as_str().unwrap().is_empty(), "{answer}");
}

#[test]
fn a_live_page_has_what_was_in_use_since_it_was_first_looked_at() {
    let mut at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    at_rest.connect(5);
    let top = at_rest.top(&["--by", "category"]);
    let has_both = |page: &String| {
        let figures = page.split("data-timeline").nth(1).unwrap_or_default();
        let has =
            |connections: u64| figures.contains(&format!("<td class=\"n\">{connections}</td>"));
        has(CONNECTIONS) && has(CONNECTIONS + 5)
    };
    let page =
        until("both numbers of connections", || Some(server.get("/").text()).filter(has_both));
    let script = "
        const over = main.querySelector('[data-timeline]');
        const picture = over.querySelector('svg');
        const bounds = picture.getBoundingClientRect();
        const said = () => over.querySelector('output.span').textContent;
        const kept = said();
        picture.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, buttons: 0,
          clientX: bounds.left + bounds.width * 0.926 }));
        const moment = said();
        const [from, to] = over.querySelectorAll('input[type=range]');
        from.value = 1;
        from.dispatchEvent(new Event('input'));
        picture.dispatchEvent(new PointerEvent('pointerleave'));
        const chosen = said();
        // What live.js does with what it has read.
        const whole = main.cloneNode(true);
        for (const added of whole.querySelectorAll('[data-timeline] .band, [data-timeline] .moment'))
          added.remove();
        main.replaceChildren(...whole.childNodes);
        begin();
        const renewed = main.querySelector('[data-timeline] output.span').textContent;
        return { kept, moment, chosen, renewed, caption: over.querySelector('figcaption').textContent,
          names: [...over.querySelectorAll('details thead th')].map((cell) => cell.textContent),
          last: [...over.querySelector('details tbody').lastElementChild.cells]
            .map((cell) => cell.textContent.trim()) };";
    let test = "a_live_page_has_what_was_in_use_since_it_was_first_looked_at";
    let Some(answer) = ask(test, &page, script) else { return };
    let said = |what: &str| answer[what].as_str().unwrap();
    assert!(said("kept").contains("connections +5"), "{answer}");
    assert!(said("kept").contains("tls +"), "{answer}");
    assert!(said("moment").starts_with("At "), "{answer}");
    assert_ne!(said("chosen"), said("kept"));
    assert_eq!(said("renewed"), said("chosen"));
    assert!(said("caption").starts_with("Up to 25 connections and "), "{answer}");
    assert!(said("caption").contains(" in use in "), "{answer}");
    // The last moment is that of the table of categories.
    let at = answer["names"].as_array().unwrap().iter().position(|name| name == "tls").unwrap();
    let rows = top["sites"].as_array().unwrap();
    let tls = rows.iter().filter(|row| {
        row["category"].as_str().is_some_and(|name| name == "tls" || name.starts_with("tls."))
    });
    let tls: i64 = tls.map(|row| row["inuse_bytes"].as_i64().unwrap()).sum();
    assert_eq!(answer["last"][at].as_str().unwrap().replace(',', ""), tls.to_string());
    // Another reading of it goes on from there.
    let again = printed_json(&["top", path(&at_rest.ledger()), "--json"]);
    assert_eq!(again["totals"]["inuse_bytes"], top["totals"]["inuse_bytes"]);
}
