//! `tlsheap report`, and its page in a real browser.

mod browser;
mod program;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use browser::{Browser, View};
use program::{path, printed, printed_json, scratch, text, tlsheap, tlsheap_in};
use serde_json::Value;

/// A small comparison with its page.
struct Compared {
    folder: std::path::PathBuf,
    page: String,
}

fn compared() -> &'static Compared {
    static COMPARED: OnceLock<Compared> = OnceLock::new();
    COMPARED.get_or_init(|| {
        let folder = scratch("report-page");
        let measure = ["compare", "no-compression", "release-buffers", "-n=12", "--hold=0s"];
        let quick = ["--interval=200ms", "--warm-up=4", "--repeat=1", "--rate-time=200ms"];
        printed(&[&measure[..], &quick, &["--out", path(&folder)]].concat());
        assert_eq!(printed(&["report", path(&folder)]).trim(), path(&folder.join("report.html")));
        let page = fs::read_to_string(folder.join("report.html")).unwrap();
        Compared { folder, page }
    })
}

/// Asks the page of the comparison.
fn ask(test: &str, view: View, script: &str) -> Option<Value> {
    Some(Browser::for_test(test)?.ask(&compared().page, view, script))
}

#[test]
fn the_answer_is_in_the_heading() {
    let Some(answer) = ask(
        "the_answer_is_in_the_heading",
        View::Desktop,
        "return {
           heading: document.querySelector('h1').textContent,
           headings: [...document.querySelectorAll('h2')].map((h) => h.textContent),
           bars: document.querySelectorAll('.stairs svg').length,
           flamegraphs: document.querySelectorAll('[data-flame]').length,
         };",
    ) else {
        return;
    };
    let heading = answer["heading"].as_str().unwrap();
    assert!(
        heading.starts_with("From no-compression to release-buffers, one TLS connection goes from"),
        "{heading}"
    );
    assert_eq!(
        answer["headings"],
        serde_json::json!([
            "Bytes per connection, step by step",
            "no-compression",
            "release-buffers",
            "How it was measured"
        ])
    );
    // One for each configuration, and one for the step between them.
    assert_eq!((answer["bars"].as_u64(), answer["flamegraphs"].as_u64()), (Some(2), Some(3)));
}

#[test]
fn the_page_is_as_wide_as_its_window() {
    for view in [View::Desktop, View::Phone] {
        let Some(answer) = ask(
            "the_page_is_as_wide_as_its_window",
            view,
            "const wide = [...document.querySelectorAll('body *')]
               .filter((e) => !e.closest('.scroll, .stage, .skip, .hidden'))
               .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 0.5)
               .map((e) => e.outerHTML.slice(0, 100));
             return { window: window.innerWidth, page: document.documentElement.scrollWidth, wide };",
        ) else {
            return;
        };
        assert_eq!(answer["page"], answer["window"], "{view:?}");
        assert_eq!(answer["wide"], serde_json::json!([]), "{view:?}");
        assert!(view != View::Phone || answer["window"] == 360);
    }
}

#[test]
fn headings_sort_the_table_of_sites() {
    let Some(answer) = ask(
        "headings_sort_the_table_of_sites",
        View::Desktop,
        "const table = document.querySelector('#subject-1-sites');
         const headings = [...table.tHead.rows[0].cells];
         const state = () => ({
           order: headings.map((heading) => heading.getAttribute('aria-sort')),
           bytes: [...table.tBodies[0].rows].map((row) => Number(row.cells[0].dataset.v)),
           categories: [...table.tBodies[0].rows].map((row) => row.cells[3].textContent.trim()),
         });
         const states = [state()];
         for (const column of [3, 3, 0, 0]) {
           headings[column].querySelector('button').click();
           states.push(state());
         }
         return states;",
    ) else {
        return;
    };
    let states = answer.as_array().unwrap();
    let order = |at: usize, column: usize| states[at]["order"][column].as_str().unwrap();
    let bytes = |at: usize| -> Vec<f64> {
        let figures = states[at]["bytes"].as_array().unwrap().iter();
        figures.map(|bytes| bytes.as_f64().unwrap()).collect()
    };
    let categories = |at: usize| -> Vec<&str> {
        let names = states[at]["categories"].as_array().unwrap().iter();
        names.map(|name| name.as_str().unwrap()).collect()
    };
    assert!(bytes(0).len() > 10);
    assert_eq!((order(0, 0), order(0, 3)), ("descending", "none"));
    assert!(bytes(0).is_sorted_by(|a, b| a >= b));
    assert_eq!((order(1, 0), order(1, 3)), ("none", "ascending"));
    assert!(categories(1).is_sorted(), "{:?}", categories(1));
    assert_eq!(order(2, 3), "descending");
    assert!(categories(2).is_sorted_by(|a, b| a >= b));
    assert_eq!(order(3, 0), "descending");
    assert_eq!(bytes(3), bytes(0));
    assert_eq!(order(4, 0), "ascending");
    assert!(bytes(4).is_sorted());
}

#[test]
fn a_text_filters_the_table_of_sites() {
    let Some(answer) = ask(
        "a_text_filters_the_table_of_sites",
        View::Desktop,
        "const box = document.querySelector('[data-table]');
         const filter = box.querySelector('input');
         const rows = [...box.querySelector('tbody').rows];
         const type = (text) => {
           filter.value = text;
           filter.dispatchEvent(new Event('input'));
           const shown = rows.filter((row) => row.checkVisibility());
           return {
             shown: shown.map((row) => row.textContent),
             bytes: shown.reduce((sum, row) => sum + Number(row.cells[0].dataset.v), 0),
             said: box.querySelector('.matched').textContent,
           };
         };
         const states = [type('SSL_LIB.c  tls'), type('no such thing')];
         filter.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
         return { states, after: type(filter.value).shown.length, all: rows.length };",
    ) else {
        return;
    };
    let shown = answer["states"][0]["shown"].as_array().unwrap();
    assert!(!shown.is_empty());
    for row in shown {
        assert!(row.as_str().unwrap().contains("ssl_lib.c"), "{row}");
    }
    let said = answer["states"][0]["said"].as_str().unwrap();
    let bytes = analysis::notation::rounded(answer["states"][0]["bytes"].as_f64().unwrap());
    assert_eq!(said, format!("{} of {} sites, {bytes} bytes", shown.len(), answer["all"]));
    assert_eq!(answer["states"][1]["shown"], serde_json::json!([]));
    assert_eq!(answer["after"], answer["all"]);
}

#[test]
fn a_search_marks_the_frames_of_one_flamegraph() {
    let Some(answer) = ask(
        "a_search_marks_the_frames_of_one_flamegraph",
        View::Desktop,
        "const figures = [...document.querySelectorAll('[data-flame]')];
         const search = figures[0].querySelector('input[type=search]');
         const hits = (figure) => [...figure.querySelectorAll('.hit > title')]
           .map((title) => title.textContent.split('\\n')[0]);
         const find = (text) => {
           search.value = text;
           search.dispatchEvent(new Event('input'));
           return { hits: hits(figures[0]), others: hits(figures[1]).length,
             said: figures[0].querySelector('.matched').textContent };
         };
         return { file: find('ssl_LIB[.]c:[0-9]+$'), all: find('.'), broken: find('SSL_new('),
           none: find('no such thing'), after: find('') };",
    ) else {
        return;
    };
    let hits = answer["file"]["hits"].as_array().unwrap();
    assert!(!hits.is_empty());
    assert!(hits.iter().all(|hit| hit.as_str().unwrap().contains("ssl/ssl_lib.c")), "{hits:?}");
    let said = |what: &str| answer[what]["said"].as_str().unwrap().to_owned();
    // Names of frames that are too narrow to be drawn are counted.
    let names: usize = said("file").split(' ').next().unwrap().parse().unwrap();
    let drawn: std::collections::BTreeSet<_> = hits.iter().map(Value::to_string).collect();
    assert!(names >= drawn.len(), "{}", said("file"));
    assert!(said("file").contains(" % of bytes in use per connection: "), "{}", said("file"));
    assert!(said("all").contains(" names, 100.0 % of "), "{}", said("all"));
    assert!(said("broken").ends_with("(as plain text: it is no regular expression)"));
    assert!(said("none").starts_with("0 names, 0.0 %"), "{}", said("none"));
    assert_eq!((&answer["file"]["others"], said("after").as_str()), (&Value::from(0), ""));
    assert_eq!(answer["after"]["hits"], serde_json::json!([]));
}

#[test]
fn a_click_enlarges_a_frame_and_escape_shows_everything() {
    let Some(answer) = ask(
        "a_click_enlarges_a_frame_and_escape_shows_everything",
        View::Desktop,
        "const figure = document.querySelector('[data-flame]');
         const whole = figure.querySelector('.whole');
         const frames = () => [...figure.querySelectorAll('.stage > svg > svg')];
         const name = (frame) => frame.querySelector('title').textContent.split('\\n')[0];
         const state = () => ({
           frames: frames().map((frame) => [name(frame), frame.getAttribute('x'),
             frame.getAttribute('y'), frame.getAttribute('width')]),
           disabled: whole.disabled,
           said: figure.querySelector('.said').textContent,
           names: frames().map(name),
         });
         const click = () => frames().find((frame) => name(frame) === 'SSL_new')
           .querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true }));
         const before = state();
         click();
         const enlarged = state();
         figure.querySelector('.stage').dispatchEvent(
           new KeyboardEvent('keydown', { key: 'Escape' }));
         const after = state();
         click();
         whole.click();
         return { before, enlarged, after, again: state() };",
    ) else {
        return;
    };
    let (before, enlarged) = (&answer["before"], &answer["enlarged"]);
    let width = |state: &Value, name: &str| {
        let mut frames = state["frames"].as_array().unwrap().iter();
        frames.find(|frame| frame[0] == name).unwrap()[3].as_str().unwrap().to_owned()
    };
    assert_eq!(width(before, "all"), "100.0000%");
    assert_ne!(width(before, "SSL_new"), "100.0000%");
    assert_eq!(width(enlarged, "SSL_new"), "100.0000%", "as wide as the picture");
    let names = |state: &Value| state["names"].as_array().unwrap().clone();
    assert!(names(enlarged).iter().any(|name| !names(before).contains(name)), "more is seen");
    assert!(enlarged["said"].as_str().unwrap().starts_with("SSL_new: "));
    assert_eq!((&before["disabled"], &enlarged["disabled"]), (&true.into(), &false.into()));
    for state in [&answer["after"], &answer["again"]] {
        assert_eq!((&state["frames"], &state["disabled"]), (&before["frames"], &true.into()));
    }
}

#[test]
fn a_picture_is_turned_over_ordered_by_name_and_shows_the_runtime() {
    let Some(answer) = ask(
        "a_picture_is_turned_over_ordered_by_name_and_shows_the_runtime",
        View::Desktop,
        "const figure = document.querySelector('[data-flame]');
         const frames = () => [...figure.querySelectorAll('.stage > svg > svg')]
           .map((frame) => ({ name: frame.querySelector('title').textContent.split('\\n')[0],
             row: Number(frame.getAttribute('y')) / 18, left: parseFloat(frame.getAttribute('x')) }));
         const set = (name, value) => {
           const input = figure.querySelector('.looks [name=' + name + ']');
           if (input.type === 'checkbox') input.checked = value;
           else input.value = value;
           input.dispatchEvent(new Event('change', { bubbles: true }));
           return frames();
         };
         const first = frames();
         const below = set('roots', 'below');
         set('roots', 'above');
         const named = set('order', 'name');
         set('order', 'size');
         const runtime = set('runtime', true);
         return { first, below, named, runtime, again: set('runtime', false) };",
    ) else {
        return;
    };
    let of = |state: &str| answer[state].as_array().unwrap().clone();
    let row = |state: &str, name: &str| {
        of(state).iter().find(|frame| frame["name"] == name).unwrap()["row"].as_f64().unwrap()
    };
    let last = of("first").iter().map(|frame| frame["row"].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!((row("first", "all"), row("below", "all")), (0.0, last));
    assert_eq!(row("below", "SSL_new"), last - row("first", "SSL_new"));
    // Frames of one caller stand in the order of their names.
    let callees: Vec<String> = of("named")
        .iter()
        .filter(|frame| frame["row"].as_f64() == Some(row("first", "SSL_new") + 1.0))
        .map(|frame| frame["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(!callees.is_empty());
    let names = |state: &str| -> Vec<String> {
        of(state).iter().map(|frame| frame["name"].to_string()).collect()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_ne!(names("named"), names("first"));
    assert_eq!(sorted(names("named")), sorted(names("first")));
    assert!(!names("first").iter().any(|name| name.contains("start_thread")));
    assert!(names("runtime").iter().any(|name| name.contains("start_thread")));
    assert_eq!(answer["again"], answer["first"]);
}

#[test]
fn figures_are_chosen_and_categories_hidden_in_picture_and_table() {
    let Some(answer) = ask(
        "figures_are_chosen_and_categories_hidden_in_picture_and_table",
        View::Desktop,
        "const form = document.querySelector('[data-choices]');
         const figure = document.querySelector('[data-flame]');
         const box = document.querySelector('[data-table]');
         const state = () => {
           const rows = [...box.querySelectorAll('tbody tr')];
           const sum = (column) => rows.reduce((all, row) =>
             all + Number(row.cells[column].dataset.v), 0);
           return { said: figure.querySelector('.said output').textContent,
             bytes: sum(0), share: sum(1), blocks: sum(2), note: form.querySelector('output').textContent,
             groups: rows.map((row) => row.cells[3].textContent.split('.')[0]) };
         };
         const change = (input) => {
           input.dispatchEvent(new Event('change', { bubbles: true }));
           return state();
         };
         const choose = (name, value) => {
           form.elements[name].value = value;
           return change(form.elements[name]);
         };
         const first = state();
         const measures = {};
         choose('of', 'process');
         for (const option of [...form.elements.measure.options]) {
           measures[option.value] = choose('measure', option.value);
         }
         choose('measure', 'in-use-bytes');
         const back = choose('of', 'connection');
         const tls = [...form.querySelectorAll('[name=group]')].find((one) => one.value === 'tls');
         tls.checked = false;
         const hidden = change(tls);
         tls.checked = true;
         return { first, measures, back, hidden, shown: change(tls) };",
    ) else {
        return;
    };
    let folder = compared().folder.join("no-compression");
    let top: Value = serde_json::from_str(&printed(&["top", path(&folder), "--json"])).unwrap();
    let total = |name: &str| top["totals"][name].as_f64();
    let measures = &answer["measures"];
    for (measure, name) in
        [("in-use-bytes", "inuse"), ("peak-bytes", "peak"), ("allocated-bytes", "alloc")]
    {
        let shown = &measures[measure];
        assert_eq!(shown["bytes"].as_f64(), total(&format!("{name}_bytes")), "{measure}");
        assert_eq!(shown["blocks"].as_f64(), total(&format!("{name}_blocks")), "{measure}");
        assert!((shown["share"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{measure}");
    }
    // What was freed again is what was allocated and is not in use.
    let bytes = |measure: &str| measures[measure]["bytes"].as_f64().unwrap();
    assert_eq!(bytes("freed-bytes"), bytes("allocated-bytes") - bytes("in-use-bytes"));
    let said = measures["allocations"]["said"].as_str().unwrap();
    assert!(said.starts_with("all: ") && said.contains(" allocations"), "{said}");
    assert!(measures["peak-bytes"]["said"].as_str().unwrap().contains(" bytes at the peak"));
    assert_eq!(answer["back"], answer["first"]);
    assert_eq!(answer["shown"], answer["first"]);
    let groups = |state: &str| answer[state]["groups"].as_array().unwrap().clone();
    assert!(groups("first").contains(&"tls".into()) && !groups("hidden").contains(&"tls".into()));
    assert!(answer["hidden"]["bytes"].as_f64() < answer["first"]["bytes"].as_f64());
    assert_eq!(answer["hidden"]["note"], "1 hidden");
}

#[test]
fn a_function_stands_between_its_callers_and_callees_and_a_link_leads_there() {
    let script = "const figure = document.querySelector('[data-flame]');
         const frames = () => [...figure.querySelectorAll('.stage > svg > svg')]
           .map((frame) => [frame.querySelector('title').textContent.split('\\n')[0],
             Number(frame.getAttribute('y')) / 18]);
         const box = document.querySelector('[data-table]');
         const link = () => figure.querySelector('.link').getAttribute('href');";
    let first = format!(
        "{script}
         const stage = figure.querySelector('.stage');
         [...figure.querySelectorAll('.stage > svg > svg')]
           .find((frame) => frame.textContent.startsWith('SSL_new\\n')).querySelector('rect')
           .dispatchEvent(new MouseEvent('click', {{ bubbles: true }}));
         const zoomed = {{ frames: frames(), link: link() }};
         stage.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'c' }}));
         const about = {{ frames: frames(), link: link() }};
         figure.querySelector('.row').click();
         const filter = box.querySelector('.matched').textContent;
         box.querySelector('input').value = '';
         box.querySelector('input').dispatchEvent(new Event('input'));
         const place = box.querySelector('.lead').textContent;
         box.querySelector('.lead').click();
         return {{ zoomed, about, filter, place, site: frames() }};"
    );
    let test = "a_function_stands_between_its_callers_and_callees_and_a_link_leads_there";
    let Some(answer) = ask(test, View::Desktop, &first) else { return };
    let row = |frames: &Value, name: &str| {
        frames
            .as_array()
            .unwrap()
            .iter()
            .find(|frame| frame[0] == name)
            .map(|frame| frame[1].as_f64().unwrap())
    };
    let about = &answer["about"]["frames"];
    let (middle, caller) = (row(about, "SSL_new"), row(about, "openssl::ssl::Ssl::new"));
    assert!(caller < middle && caller.is_some(), "callers stand above");
    assert!(row(about, "ssl_cert_dup") > middle, "callees stand below");
    assert_eq!(row(about, "all"), None);
    let filter = answer["filter"].as_str().unwrap();
    assert!(
        filter.contains(" sites, ") && filter.ends_with(", reached through SSL_new"),
        "{filter}"
    );
    let place = answer["place"].as_str().unwrap();
    assert!(row(&answer["site"], place) > Some(0.0), "a row leads to its frames: {place}");
    assert_eq!(row(&answer["site"], "all"), None);
    // Each link shows what it was made from.
    for view in ["zoomed", "about"] {
        let link = answer[view]["link"].as_str().unwrap();
        let Some(found) = Browser::for_test(test) else { return };
        let shown = found.ask_at(
            &compared().page,
            View::Desktop,
            link,
            &format!("{script} return frames();"),
        );
        assert_eq!(shown, answer[view]["frames"], "{link}");
    }
    for link in ["#view=%7B", "#view=%7B%22id%22%3A1%7D", "#view=null"] {
        let Some(found) = Browser::for_test(test) else { return };
        let shown = found.ask_at(
            &compared().page,
            View::Desktop,
            link,
            &format!("{script} return frames();"),
        );
        assert!(row(&shown, "all").is_some(), "{link}");
    }
}

#[test]
fn a_change_is_drawn_as_wide_as_either_side() {
    let Some(answer) = ask(
        "a_change_is_drawn_as_wide_as_either_side",
        View::Desktop,
        "const figure = [...document.querySelectorAll('[data-flame]')].pop();
         const set = (value) => {
           const input = figure.querySelector('.looks [name=side]');
           input.value = value;
           input.dispatchEvent(new Event('change', { bubbles: true }));
           return [...figure.querySelectorAll('.stage > svg > svg > title')].map((title) =>
             title.textContent);
         };
         return { change: set('change'), before: set('before'), after: set('after') };",
    ) else {
        return;
    };
    let frames = |side: &str| answer[side].as_array().unwrap().clone();
    // Figures of both sides stand in each; what one has not is not drawn.
    assert_eq!(frames("change")[0], frames("after")[0]);
    assert!(frames("after").iter().all(|frame| !frame.as_str().unwrap().contains(" → 0 bytes")));
    assert!(frames("before").iter().any(|frame| frame.as_str().unwrap().contains(" → 0 bytes")));
}

#[test]
fn a_moment_and_a_span_of_time_are_told() {
    let Some(answer) = ask(
        "a_moment_and_a_span_of_time_are_told",
        View::Desktop,
        "const figure = document.querySelector('[data-timeline]');
         const picture = figure.querySelector('svg');
         const box = picture.getBoundingClientRect();
         const said = () => figure.querySelector('output.span').textContent;
         const point = (kind, share, buttons) => {
           picture.dispatchEvent(new PointerEvent(kind, { bubbles: true, buttons,
             clientX: box.left + box.width * (84 + 842 * share) / 1000 }));
           return said();
         };
         const [from, to] = figure.querySelectorAll('input[type=range]');
         const rows = [...figure.querySelectorAll('details tbody tr')].map((row) =>
           [...row.cells].map((cell) => cell.textContent.trim()));
         const names = [...figure.querySelectorAll('details thead th')].map((cell) =>
           cell.textContent);
         const first = said();
         const last = point('pointermove', 1, 0);
         point('pointerdown', 0, 1);
         const span = point('pointermove', 1, 1);
         point('pointerup', 1, 0);
         to.value = from.value;
         to.dispatchEvent(new Event('input'));
         return { first, last, span, moment: said(), rows, names };",
    ) else {
        return;
    };
    let rows = answer["rows"].as_array().unwrap();
    let (first, last) = (&rows[0], rows.last().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let figure =
        |row: &Value, at: usize| -> f64 { text(&row[at]).replace(',', "").parse().unwrap() };
    assert!(text(&answer["last"]).starts_with(&format!("At {} s: ", text(&last[0]))));
    assert!(text(&answer["moment"]).starts_with(&format!("At {} s: ", text(&first[0]))));
    let spans = format!("From {} s to {} s was kept: ", text(&first[0]), text(&last[0]));
    assert!(text(&answer["first"]).starts_with(&spans), "{}", answer["first"]);
    assert_eq!(answer["span"], answer["first"]);
    let names = answer["names"].as_array().unwrap();
    let resident = names.iter().position(|name| name == "resident").unwrap();
    let kept = figure(last, resident) - figure(first, resident);
    let kept = format!("resident {}", analysis::notation::signed(kept).replace('-', "−"));
    assert!(text(&answer["first"]).contains(&kept), "no {kept:?} in {}", answer["first"]);
}

#[test]
fn arrow_keys_walk_through_a_flamegraph() {
    let Some(answer) = ask(
        "arrow_keys_walk_through_a_flamegraph",
        View::Desktop,
        "const figure = document.querySelector('[data-flame]');
         const stage = figure.querySelector('.stage');
         stage.focus();
         const press = (key) => {
           stage.dispatchEvent(new KeyboardEvent('keydown', { key }));
           const current = figure.querySelectorAll('.current');
           return { count: current.length,
             y: current[0] && Number(current[0].getAttribute('y')),
             width: current[0] && current[0].getAttribute('width'),
             said: figure.querySelector('.said').textContent };
         };
         const keys = ['ArrowDown', 'ArrowDown', 'ArrowRight', 'Enter', 'ArrowUp', 'Home'];
         return { focused: document.activeElement === stage, steps: keys.map(press) };",
    ) else {
        return;
    };
    assert_eq!(answer["focused"], true);
    let steps = answer["steps"].as_array().unwrap();
    let rows: Vec<_> = steps.iter().map(|step| step["y"].as_u64().unwrap() / 18).collect();
    assert_eq!(rows, [1, 2, 2, 2, 1, 0]);
    assert!(steps.iter().all(|step| step["count"] == 1));
    assert_eq!(steps[3]["width"], "100.0000%");
    assert!(steps[5]["said"].as_str().unwrap().starts_with("all: "));
}

#[test]
fn everything_is_reached_and_named_without_a_mouse_or_eyes() {
    for view in [View::Desktop, View::Phone] {
        let Some(answer) = ask(
            "everything_is_reached_and_named_without_a_mouse_or_eyes",
            view,
            "const all = (selector) => [...document.querySelectorAll(selector)];
             const label = (element) => element.getAttribute('aria-label')
               || (element.getAttribute('aria-labelledby') || '').split(' ')
                 .map((id) => document.getElementById(id)?.textContent).join('')
               || element.querySelector(':scope > title')?.textContent;
             const html = (element) => element.outerHTML.slice(0, 120);
             return {
               pictures: all('svg').filter((svg) => !svg.parentElement.closest('svg'))
                 .filter((svg) => !svg.closest('[aria-hidden=true]'))
                 .filter((svg) => !(svg.getAttribute('role') === 'img' && label(svg))).map(html),
               inputs: all('input, select').filter((input) => !input.labels[0]?.textContent).map(html),
               boxes: all('body *').filter((e) => e.scrollWidth > e.clientWidth + 1
                   || e.scrollHeight > e.clientHeight + 1)
                 .filter((e) => ['auto', 'scroll']
                   .includes(window.getComputedStyle(e).overflowX))
                 .filter((e) => e.tabIndex !== 0 || !label(e)).map(html),
               language: document.documentElement.lang,
               landmarks: ['header', 'nav', 'main', 'footer'].filter((name) =>
                 !document.querySelector(name)),
               levels: all('h1, h2, h3').map((heading) => Number(heading.tagName[1])),
             };",
        ) else {
            return;
        };
        for nameless in ["pictures", "inputs", "boxes", "landmarks"] {
            assert_eq!(answer[nameless], serde_json::json!([]), "{nameless}, {view:?}");
        }
        assert_eq!(answer["language"], "en");
        let levels: Vec<_> =
            answer["levels"].as_array().unwrap().iter().map(|l| l.as_i64().unwrap()).collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    }
}

/// WCAG 2.2 AA: 4.5 to 1, and 3 to 1 for large text.
#[test]
fn text_can_be_read_by_day_and_by_night() {
    for view in [View::Desktop, View::Dark] {
        let Some(answer) = ask(
            "text_can_be_read_by_day_and_by_night",
            view,
            "const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
             const luminance = (colour) => {
               const [r, g, b] = numbers(colour).map((part) => {
                 const share = part / 255;
                 return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
               });
               return 0.2126 * r + 0.7152 * g + 0.0722 * b;
             };
             const behind = (element) => {
               if (element.namespaceURI.endsWith('svg') && element.tagName === 'text') {
                 const rect = element.parentElement.querySelector(':scope > rect');
                 if (rect) return window.getComputedStyle(rect).fill;
               }
               for (let e = element; e; e = e.parentElement) {
                 const colour = window.getComputedStyle(e).backgroundColor;
                 const parts = numbers(colour);
                 if (parts.length === 3 || parts[3] === 1) return colour;
               }
               return 'rgb(255, 255, 255)';
             };
             const faint = new Map();
             let count = 0;
             for (const element of document.querySelectorAll('body *')) {
               const own = [...element.childNodes].some((node) =>
                 node.nodeType === 3 && node.textContent.trim());
               if (!own || !element.checkVisibility()) continue;
               if (['title', 'desc', 'SCRIPT', 'STYLE'].includes(element.tagName)) continue;
               // Squares of a legend are colours and no letters.
               if (/^[\\u2501\\u25a0]$/.test(element.textContent)) continue;
               const style = window.getComputedStyle(element);
               const picture = element.namespaceURI.endsWith('svg');
               const [a, b] = [luminance(picture ? style.fill : style.color),
                 luminance(behind(element))];
               const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
               const size = parseFloat(style.fontSize);
               const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
               count += 1;
               if (contrast < (large ? 3 : 4.5)) {
                 const key = element.tagName + '.' + element.getAttribute('class');
                 faint.set(key, [contrast, element.textContent.slice(0, 40)]);
               }
             }
             const night = window.matchMedia('(prefers-color-scheme: dark)').matches;
             return { night, count, faint: [...faint] };",
        ) else {
            return;
        };
        assert_eq!(answer["night"], view == View::Dark);
        assert!(answer["count"].as_u64().unwrap() > 500);
        assert_eq!(answer["faint"], serde_json::json!([]), "{view:?}");
    }
}

/// Has a context more every half a second, and frees all of them in the end.
const GROWING: &str = "
import ssl, time
kept = []
for _ in range(4):
    kept.append(ssl.create_default_context())
    time.sleep(0.5)
del kept
";

#[test]
fn captures_of_a_series_are_chosen_and_held_against_each_other() {
    let test = "captures_of_a_series_are_chosen_and_held_against_each_other";
    let Some(browser) = Browser::for_test(test) else { return };
    let folder = scratch("report-series");
    let record = ["record", "--every=500ms", "--out", path(&folder), "--", "python3", "-c"];
    let output = tlsheap(&[&record[..], &[GROWING]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = printed(&["report", path(&folder), "-o", "-"]);
    assert!(!page.contains("<b>0\u{a0}B</b>"), "a heading of 0 B");
    let answer = browser.ask(
        &page,
        View::Desktop,
        "const form = document.querySelector('[data-choices]');
         const set = (name, value) => {
           form.elements[name].value = value;
           form.elements[name].dispatchEvent(new Event('change', { bubbles: true }));
           const rows = [...document.querySelectorAll('[data-table] tbody tr')];
           return { note: form.querySelector('output').textContent,
             said: document.querySelector('[data-flame] .said output').textContent,
             bytes: rows.reduce((sum, row) => sum + Number(row.cells[0].dataset.v), 0) };
         };
         set('measure', 'in-use-bytes');
         const all = Number(form.elements.at.max);
         const moments = [...Array(all)].map((_, at) => set('at', at));
         set('at', all - 1);
         const kept = set('since', '0');
         const allocated = set('measure', 'allocated-bytes');
         const before = set('at', 0);
         return { heading: document.querySelector('h1').textContent, all, moments, kept, allocated,
           before };",
    );
    let total = |at: usize, name: &str| -> f64 {
        let file = folder.join(format!("series/{:03}.pb.gz", at + 1));
        let top = printed_json(&["top", path(&file), "--json", "--domain=all"]);
        top["totals"][name].as_f64().unwrap()
    };
    let all = answer["all"].as_u64().unwrap() as usize;
    assert!(all >= 2, "{answer}");
    for at in 0..all {
        let moment = &answer["moments"][at];
        assert_eq!(moment["bytes"].as_f64(), Some(total(at, "inuse_bytes")), "{at}");
        assert!(moment["note"].as_str().unwrap().starts_with("the capture at "), "{moment}");
    }
    for (state, name) in [("kept", "inuse_bytes"), ("allocated", "alloc_bytes")] {
        let between = total(all - 1, name) - total(0, name);
        assert_eq!(answer[state]["bytes"].as_f64(), Some(between), "{state}");
        assert!(answer[state]["said"].as_str().unwrap().contains(" s more than at "), "{state}");
    }
    assert!(answer["before"]["note"].as_str().unwrap().contains("nothing lies between"));
    let heading = answer["heading"].as_str().unwrap();
    assert!(heading.contains(" at its peak") || heading.contains(" holds "), "{heading}");
}

#[test]
fn findings_and_their_remedies_stand_above_the_figures() {
    let run = compared().folder.join("no-compression");
    let page = printed(&["report", path(&run), "-o", "-"]);
    let Some(browser) = Browser::for_test("findings_and_their_remedies_stand_above_the_figures")
    else {
        return;
    };
    let answer = browser.ask(
        &page,
        View::Desktop,
        "const section = document.querySelector('#findings');
         return { rules: [...section.querySelectorAll('.rule')].map((one) => one.textContent),
           costs: [...section.querySelectorAll('.cost')].map((one) => one.textContent),
           remedies: [...section.querySelectorAll('.remedies dd')].map((one) => one.textContent),
           first: document.querySelector('main > section').id,
           several: document.querySelectorAll('section section').length };",
    );
    let said = printed(&["diagnose", path(&run), "--json"]);
    let diagnosis: Value = serde_json::from_str(&said).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    let ids: Vec<&Value> = findings.iter().map(|finding| &finding["id"]).collect();
    assert_eq!(answer["rules"].as_array().unwrap().iter().collect::<Vec<_>>(), ids);
    assert_eq!(answer["first"], "findings");
    for finding in findings {
        let remedies = finding["remedies"].as_array().unwrap();
        for remedy in remedies {
            assert!(answer["remedies"].as_array().unwrap().contains(&remedy["text"]), "{remedy}");
        }
    }
    assert_eq!(answer["costs"].as_array().unwrap().len(), findings.len());
    // Of several captures each has its own.
    assert!(compared().page.contains("id=\"subject-1-findings\""));
}

#[test]
fn a_flamegraph_that_stands_alone_is_read_at_night_and_walked_by_keys() {
    let test = "a_flamegraph_that_stands_alone_is_read_at_night_and_walked_by_keys";
    let svg = fs::read_to_string(compared().folder.join("no-compression/flame.svg")).unwrap();
    let picture = svg.split_once("<svg ").map(|(_, rest)| format!("<svg {rest}")).unwrap();
    let page = format!("<!DOCTYPE html><body>{picture}</body>");
    for view in [View::Desktop, View::Dark] {
        let Some(browser) = Browser::for_test(test) else { return };
        let answer = browser.ask(
            &page,
            view,
            "const style = (selector) => window.getComputedStyle(document.querySelector(selector));
             const name = () => document.activeElement.querySelector('title').textContent;
             const press = (key) => {
               document.activeElement.dispatchEvent(
                 new KeyboardEvent('keydown', { key, bubbles: true }));
               return name();
             };
             document.querySelector('#frames [tabindex]').focus();
             const root = name();
             const first = press('ArrowUp');
             const second = press('ArrowUp');
             press('Enter');
             const zoomed = document.activeElement.querySelector('rect').getAttribute('width');
             const details = document.querySelector('#details').textContent;
             press('Escape');
             const whole = document.activeElement.querySelector('rect').getAttribute('width');
             return { root, first, second, zoomed, whole, details, back: press('ArrowDown'),
               search: style('#search').opacity, title: style('#title').fill,
               legend: style('#subtitle tspan:not([fill])').fill,
               paper: style('#background stop').stopColor, seen: window.scrollY > 0 };",
        );
        let is = |what: &str, wanted: &str| answer[what].as_str().unwrap().starts_with(wanted);
        assert!(is("root", "all (") && answer["back"] == answer["first"], "{answer}");
        assert!(answer["first"] != answer["root"] && answer["second"] != answer["first"]);
        assert!(is("zoomed", "100") && answer["details"].as_str().unwrap().len() > 8, "{answer}");
        assert!(answer["search"].as_str().unwrap().parse::<f64>().unwrap() > 0.7);
        assert_eq!(answer["seen"], true, "roots are in sight");
        let (dark, light) = ("rgb(22, 24, 27)", "rgb(231, 232, 233)");
        let [paper, ink] = match view {
            View::Dark => [dark, light],
            _ => ["rgb(255, 255, 255)", "rgb(0, 0, 0)"],
        };
        assert_eq!((&answer["paper"], &answer["title"]), (&paper.into(), &ink.into()), "{view:?}");
        assert_eq!(answer["legend"], ink, "{view:?}");
    }
}

#[test]
fn the_same_captures_give_the_same_page() {
    let Compared { folder, page } = compared();
    let again = printed(&["report", path(folder), "-o", "-"]);
    assert!(again == *page, "two reports of one comparison differ");
}

#[test]
fn runs_are_told_like_a_comparison() {
    let Compared { folder, .. } = compared();
    let runs = ["no-compression", "release-buffers"].map(|name| folder.join(name));
    let page = printed(&["report", path(&runs[0]), path(&runs[1]), "-o", "-"]);
    assert!(page.contains("From no-compression to release-buffers, one TLS connection goes from"));
    assert!(page.contains("What changed from no-compression"));
    // Handshakes are measured by comparisons alone.
    assert!(!page.contains("handshakes/s"));
    let one = printed(&["report", path(&runs[1]), "-o", "-"]);
    assert!(one.contains("One TLS connection of release-buffers costs"));
}

#[test]
fn a_profile_alone_is_told_as_far_as_it_goes() {
    let Compared { folder, .. } = compared();
    let heap = folder.join("no-compression/heap.pb.gz");
    let page = printed(&["report", path(&heap), "-o", "-"]);
    assert!(page.contains("Nothing is known of its connections"));
    assert!(page.contains("machine, versions and connections are not known"));
    assert!(!page.contains("Over time"));
}

#[test]
fn bad_input_is_refused_in_one_sentence() {
    let place = tempfile::TempDir::new().unwrap();
    let refused = |arguments: &[&str], words: &[&str]| {
        let output = tlsheap_in(place.path(), &[&["report"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in: {said}");
        }
    };
    refused(&["missing"], &["cannot read missing", "No such file"]);
    fs::create_dir(place.path().join("photos")).unwrap();
    refused(&["photos"], &["photos is no run folder", "run.json"]);
    let comparison = place.path().join("photos/compare.json");
    fs::write(&comparison, "{}").unwrap();
    refused(&["photos"], &["photos/compare.json", "not the figures of a comparison"]);
    let mut figures: Value =
        serde_json::from_str(&fs::read_to_string(compared().folder.join("compare.json")).unwrap())
            .unwrap();
    fs::write(&comparison, figures.to_string()).unwrap();
    refused(&["photos"], &["photos/no-compression", "No such file"]);
    figures["configurations"][0]["name"] = "../elsewhere".into();
    fs::write(&comparison, figures.to_string()).unwrap();
    refused(&["photos"], &["\"../elsewhere\" names no folder"]);
    let run = compared().folder.join("no-compression");
    let output = tlsheap(&["report", path(&run), "-o", "missing/report.html"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot write missing/report.html"));
    assert!(!Path::new("missing").exists());
}
