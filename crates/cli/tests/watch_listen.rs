//! `tlsheap watch --listen`: what its answers are made of, and clients that mean no good.

mod browser;
mod program;
mod watched;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use browser::{Browser, View};
use profile::Metric;
use program::{path, printed_json};
use serde_json::Value;
use watched::at_rest::AtRest;
use watched::listening::{Listening, total};
use watched::{CONNECTIONS, PATIENCE, until};

#[test]
fn profiles_follow_the_conventions_of_go() {
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let top = at_rest.top(&[]);
    let head = server.get("/debug/pprof/heap?gc=1").head();
    for header in [
        "content-type: application/octet-stream",
        "content-disposition: attachment; filename=\"heap\"",
        "x-content-type-options: nosniff",
    ] {
        assert!(head.contains(header), "{head}");
    }
    for name in ["heap", "allocs"] {
        let profile = server.profile(&format!("/debug/pprof/{name}"));
        for metric in Metric::ALL {
            let field = metric.kind().replace("_space", "_bytes").replace("_objects", "_blocks");
            assert_eq!(total(&profile, metric), top["totals"][&field].as_i64().unwrap(), "{field}");
        }
        let first = &profile.sample_types()[profile.default_sample_type().unwrap()].kind;
        assert_eq!(first, if name == "heap" { "inuse_space" } else { "alloc_space" });
        assert!(profile.time_nanos > 0 && profile.duration_nanos > 0);
    }
    assert_eq!(server.profile("/debug/pprof/heap?domain=heap").samples(), []);
    let table = server.get("/debug/pprof/heap?debug=1").text();
    assert!(table.contains(" bytes in use in ") && table.contains("category"), "{table}");
    for (query, words) in [
        ("seconds=0", "must be a positive integer"),
        ("seconds=-1", "must be a positive integer"),
        ("seconds=soon", "must be a positive integer"),
        ("seconds=99999999", "at most 3600"),
        ("seconds=1&debug=1", "seconds and debug params are incompatible"),
        ("domain=../etc/passwd", "one of openssl, heap, mapping, python, rust"),
    ] {
        let answer = server.get(&format!("/debug/pprof/heap?{query}"));
        assert_eq!(answer.status(), 400, "{query}");
        assert!(answer.text().contains(words), "{}", answer.text());
        assert!(answer.head().contains("content-type: text/plain; charset=utf-8"));
        assert!(answer.head().contains("x-go-pprof: 1"));
    }
    let delta = server.get("/debug/pprof/allocs?seconds=1");
    assert!(delta.head().contains("filename=\"allocs-delta\""), "{}", delta.head());
    // The first has nothing to hold itself beside: all that is in use, and no allocations.
    let first = server.profile("/debug/pprof/delta_heap");
    assert_eq!(total(&first, Metric::InuseSpace), at_rest.total("inuse_bytes"));
    assert_eq!(total(&first, Metric::AllocSpace), 0);
    for place in ["/debug/pprof", "/debug/pprof/"] {
        assert!(server.get(place).text().contains("delta_heap"));
    }
}

#[test]
fn changes_are_those_between_two_moments() {
    let mut at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let before = at_rest.top(&[]);
    server.profile("/debug/pprof/delta_heap");
    at_rest.connect(3);
    let after = at_rest.top(&[]);
    let grown = |figure: &str| {
        let of = |top: &Value| top["totals"][figure].as_i64().unwrap();
        of(&after) - of(&before)
    };
    let delta = server.profile("/debug/pprof/delta_heap");
    assert_eq!(total(&delta, Metric::AllocSpace), grown("alloc_bytes"));
    assert_eq!(total(&delta, Metric::AllocObjects), grown("alloc_blocks"));
    assert_eq!(total(&delta, Metric::InuseSpace), at_rest.total("inuse_bytes"));
    assert!(grown("inuse_bytes") > 0);
}

#[test]
fn every_metric_is_in_the_document_with_what_it_means() {
    let at_rest = AtRest::with_connections();
    let server = Listening::on(&at_rest.server.pid().to_string());
    let given = server.get("/metrics").text();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fleet.md");
    let document = fs::read_to_string(file).unwrap();
    for metric in live::server::METRICS {
        let labels = match metric.labels {
            [] => "–".to_owned(),
            labels => labels.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "),
        };
        let row = format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind, metric.help);
        assert!(document.contains(&row), "docs/fleet.md lacks this row:\n{row}");
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind);
        assert!(given.contains(&kind), "never given: {kind}{given}");
    }
    let rows = document.lines().filter(|line| line.starts_with("| `tlsheap_")).count();
    assert_eq!(rows, live::server::METRICS.len(), "a row of a metric that is gone");
}

#[test]
fn the_page_is_that_of_report_and_may_read_itself_alone() {
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let answer = server.get("/");
    let policy = "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; \
                  script-src 'unsafe-inline'; connect-src 'self'";
    assert!(answer.head().contains(policy), "{}", answer.head());
    let page = answer.text();
    let said = format!("{CONNECTIONS} connections (SSL objects), each holds at most");
    assert!(page.contains(&said) && page.contains("data-flame") && page.contains("data-live"));
    assert!(!page.contains("http://") || page.matches("http://www.w3.org").count() > 0);
}

#[test]
fn what_was_chosen_on_the_live_page_stays_when_it_reads_itself_again() {
    let test = "what_was_chosen_on_the_live_page_stays_when_it_reads_itself_again";
    let Some(browser) = Browser::for_test(test) else { return };
    let at_rest = AtRest::with_connections();
    let ledger = at_rest.ledger();
    let page = Listening::on(path(&ledger)).get("/").text();
    let answer = browser.ask(
        &page,
        View::Desktop,
        "const main = document.querySelector('main');
         const fresh = main.cloneNode(true);
         const shown = () => ({
           said: main.querySelector('[data-flame] .said output').textContent,
           measure: main.querySelector('[data-choices] [name=measure]').value,
           search: main.querySelector('[data-flame] input[type=search]').value,
           hits: main.querySelectorAll('.hit').length,
           bytes: [...main.querySelectorAll('[data-table] tbody tr')].reduce((sum, row) =>
             sum + Number(row.cells[0].dataset.v), 0),
           rows: main.querySelectorAll('[data-table] tbody tr').length,
         });
         const first = shown();
         const form = main.querySelector('[data-choices]');
         form.elements.measure.value = 'allocated-bytes';
         form.elements.measure.dispatchEvent(new Event('change', { bubbles: true }));
         const search = main.querySelector('[data-flame] input[type=search]');
         search.value = 'SSL_new$';
         search.dispatchEvent(new Event('input'));
         [...main.querySelectorAll('.stage > svg > svg')]
           .find((frame) => frame.textContent.startsWith('SSL_new\\n')).querySelector('rect')
           .dispatchEvent(new MouseEvent('click', { bubbles: true }));
         const chosen = shown();
         // What live.js does with what it has read.
         main.replaceChildren(...fresh.childNodes);
         begin();
         return { first, chosen, renewed: shown(), findings: main.firstElementChild.id };",
    );
    let (first, chosen) = (&answer["first"], &answer["chosen"]);
    let top = printed_json(&["top", path(&ledger), "--json"]);
    assert_eq!(first["bytes"].as_f64(), top["totals"]["inuse_bytes"].as_f64());
    assert_eq!(chosen["bytes"].as_f64(), top["totals"]["alloc_bytes"].as_f64());
    assert_eq!(first["measure"], "in-use-bytes");
    assert!(chosen["said"].as_str().unwrap().starts_with("SSL_new: "), "{chosen}");
    assert!(chosen["hits"].as_u64() > Some(0), "{chosen}");
    assert_eq!(answer["renewed"], *chosen);
    assert_eq!(answer["findings"], "findings");
}

#[test]
fn clients_that_mean_no_good_are_refused_and_bounded() {
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let host = server.address.to_string();
    for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
        let answer = server.ask(&format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n"));
        assert!([400, 403].contains(&answer.status()), "{bad}: {}", answer.head());
    }
    let absolute = format!("GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(server.ask(&absolute).status(), 403);
    assert_eq!(server.ask("GET / HTTP/1.0\r\n\r\n").status(), 403);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = server.ask(&format!("{method} / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status(), 405, "{method}");
        assert!(answer.head().contains("allow: get, head"));
    }
    let head = server.ask(&format!("HEAD /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!((head.status(), head.body()), (200, &b""[..]));
    for path in ["/../../etc/passwd", "/%2e%2e/etc/passwd", "/debug/pprof/profile", "/favicon.ico"]
    {
        assert_eq!(server.get(path).status(), 404, "{path}");
    }
    let long = server.get(&format!("/{}", "a".repeat(60_000)));
    assert!([414, 431].contains(&long.status()), "{}", long.head());
    let many = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X-A: b\r\n".repeat(5_000));
    assert!((400..500).contains(&server.ask(&many).status()));

    // Half a request, and then nothing: its connection is closed, with an answer or without.
    let silent = |begun: &str| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        stream
    };
    let mut slow = silent("GET / HTTP/1.1\r\nHost: 127.");
    let mut all: Vec<TcpStream> = (0..2 * live::server::AT_ONCE).map(|_| silent("")).collect();
    let mut turned_away = 0;
    for stream in &mut all {
        let mut answer = String::new();
        // A connection that was reset is closed too.
        let _ = stream.read_to_string(&mut answer);
        turned_away += usize::from(answer.contains("503 Service Unavailable"));
    }
    assert!(turned_away >= live::server::AT_ONCE / 2, "{turned_away} were turned away");
    let _ = slow.read_to_end(&mut Vec::new());
    until("a place", || (server.get("/metrics").0.starts_with(b"HTTP/1.1 200")).then_some(()));
}
