//! `tlsheap report`, and its page in a real browser.

mod browser;
mod program;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use browser::{Browser, View};
use program::{path, printed, scratch, text, tlsheap, tlsheap_in};
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
         const search = figures[0].querySelector('input');
         const hits = (figure) => [...figure.querySelectorAll('.hit > title')]
           .map((title) => title.textContent.split('\\n')[0]);
         search.value = 'ssl_lib.c';
         search.dispatchEvent(new Event('input'));
         const found = { hits: hits(figures[0]), others: hits(figures[1]).length,
           said: figures[0].querySelector('.matched').textContent };
         search.value = '';
         search.dispatchEvent(new Event('input'));
         return { ...found, after: hits(figures[0]).length };",
    ) else {
        return;
    };
    let hits = answer["hits"].as_array().unwrap();
    assert!(!hits.is_empty());
    assert!(hits.iter().all(|hit| hit.as_str().unwrap().contains("ssl/ssl_lib.c")), "{hits:?}");
    let said = answer["said"].as_str().unwrap();
    assert!(said.starts_with(&format!("{} frame", hits.len())) && said.ends_with('h'), "{said}");
    assert_eq!((&answer["others"], &answer["after"]), (&Value::from(0), &Value::from(0)));
}

#[test]
fn a_click_enlarges_a_frame_and_escape_shows_everything() {
    let Some(answer) = ask(
        "a_click_enlarges_a_frame_and_escape_shows_everything",
        View::Desktop,
        "const figure = document.querySelector('[data-flame]');
         const frames = [...figure.querySelectorAll('.stage > svg > svg')];
         const whole = figure.querySelector('button');
         const state = () => ({
           widths: frames.map((frame) =>
             frame.querySelector('rect').getBoundingClientRect().width),
           shown: frames.filter((frame) => frame.style.display !== 'none').length,
           disabled: whole.disabled,
         });
         const named = (name) =>
           frames.find((frame) => frame.querySelector('title').textContent.startsWith(name + '\\n'));
         const frame = named('SSL_new');
         const before = state();
         frame.querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true }));
         const enlarged = { ...state(), at: frames.indexOf(frame),
           text: frame.querySelector('text').textContent,
           said: figure.querySelector('.said').textContent };
         figure.querySelector('.stage').dispatchEvent(
           new KeyboardEvent('keydown', { key: 'Escape' }));
         const after = state();
         frame.querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true }));
         whole.click();
         return { before, enlarged, after, again: state(), all: frames.length };",
    ) else {
        return;
    };
    let (before, enlarged) = (&answer["before"], &answer["enlarged"]);
    let at = enlarged["at"].as_u64().unwrap() as usize;
    let width = |state: &Value, at: usize| state["widths"][at].as_f64().unwrap();
    assert!(width(before, at) < width(before, 0) - 1.0);
    assert!((width(enlarged, at) - width(enlarged, 0)).abs() < 0.5, "as wide as the picture");
    assert!(enlarged["shown"].as_u64() < answer["all"].as_u64());
    assert_eq!(enlarged["text"], "SSL_new");
    assert!(enlarged["said"].as_str().unwrap().starts_with("SSL_new: "));
    assert_eq!((&before["disabled"], &enlarged["disabled"]), (&true.into(), &false.into()));
    for state in [&answer["after"], &answer["again"]] {
        assert_eq!(state["disabled"], true);
        assert_eq!(state["shown"], answer["all"]);
        for at in 0..answer["all"].as_u64().unwrap() as usize {
            assert!((width(state, at) - width(before, at)).abs() < 0.1, "frame {at}");
        }
    }
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
               inputs: all('input').filter((input) => !input.labels[0]?.textContent).map(html),
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
