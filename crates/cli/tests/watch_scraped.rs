//! `tlsheap watch --listen`, asked by Go's and by Prometheus's own programs.

mod program;
mod watched;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use program::{Running, path, signal, text};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use watched::at_rest::AtRest;
use watched::listening::Listening;
use watched::{CONNECTIONS, are_there, until};

/// Go's pprof, with a folder for what it keeps.
struct Go(TempDir);

impl Go {
    fn new() -> Go {
        Go(TempDir::new().unwrap())
    }

    fn top(&self, index: &str, options: &[&str], url: &str) -> String {
        let output = Command::new("go")
            .args(["tool", "pprof", "-top", "-unit=B", "-nodecount=5"])
            .arg(format!("-sample_index={index}"))
            .args(options)
            .arg(url)
            .env("PPROF_TMPDIR", self.0.path())
            .env("HOME", self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn sum(&self, index: &str, options: &[&str], url: &str) -> i64 {
        let said = self.top(index, options, url);
        // "Showing nodes accounting for 7B, 70% of 10B total"
        let all = said.lines().find_map(|line| line.strip_suffix(" total")?.rsplit(' ').next());
        let all = all.unwrap_or_else(|| panic!("no total: {said}"));
        all.trim_end_matches('B').parse().unwrap_or_else(|_| panic!("no number: {said}"))
    }
}

#[test]
fn gos_own_pprof_reads_what_it_fetches() {
    if !are_there(&[("go", "version")]) {
        return;
    }
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let go = Go::new();
    let sum = |index: &str, options: &[&str], url: &str| go.sum(index, options, url);
    let heap = server.url("/debug/pprof/heap");
    assert_eq!(sum("inuse_space", &[], &heap), at_rest.total("inuse_bytes"));
    assert_eq!(sum("inuse_objects", &[], &heap), at_rest.total("inuse_blocks"));
    let allocs = server.url("/debug/pprof/allocs");
    assert_eq!(sum("alloc_space", &[], &allocs), at_rest.total("alloc_bytes"));
    // The program is the one that pprof names, and not the library that was called last.
    let said = go.top("inuse_space", &[], &heap);
    assert!(said.contains("File: tlsheap\n") && said.contains("Duration: "), "{said}");
    // Nothing happens meanwhile.
    assert_eq!(sum("alloc_space", &["-seconds=1"], &heap), 0);
}

/// The server is stopped while both are asked: one moment.
#[test]
fn under_load_go_reads_what_top_says_of_the_same_moment() {
    if !are_there(&[("go", "version")]) {
        return;
    }
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let address = at_rest.address.clone();
    let handshakes = ["load", &address, "--closed-loop=1h", "--workers=2", "--json"];
    let _load = Running::start(&handshakes);
    let go = Go::new();
    let before = at_rest.total("alloc_bytes");
    until("handshakes", || (at_rest.total("alloc_bytes") > before).then_some(()));
    let delta = go.sum("alloc_space", &["-seconds=2"], &server.url("/debug/pprof/heap"));
    assert!(delta > 0, "nothing was allocated in two seconds of handshakes");
    let pid = at_rest.server.pid();
    signal(pid, Signal::STOP);
    // What was seen less than 0.2 seconds ago may be from before.
    sleep(Duration::from_millis(400));
    let sums = [
        ("inuse_space", "heap", "inuse_bytes"),
        ("inuse_objects", "heap", "inuse_blocks"),
        ("alloc_space", "allocs", "alloc_bytes"),
        ("alloc_objects", "allocs", "alloc_blocks"),
    ];
    let read = sums.map(|(index, name, total)| {
        let url = server.url(&format!("/debug/pprof/{name}"));
        (index, go.sum(index, &[], &url), at_rest.total(total))
    });
    signal(pid, Signal::CONT);
    for (index, gos, tops) in read {
        assert_eq!(gos, tops, "{index}");
    }
}

/// Seconds for which Prometheus scrapes, once in each; `TLSHEAP_SCRAPE_SECONDS=60` is a minute.
fn seconds() -> u64 {
    let told = std::env::var("TLSHEAP_SCRAPE_SECONDS").ok();
    told.map_or(10, |text| text.parse().expect("TLSHEAP_SCRAPE_SECONDS is a number"))
}

#[test]
fn prometheus_scrapes_it_and_promtool_is_content() {
    if !are_there(&[("promtool", "--version"), ("prometheus", "--version")]) {
        return;
    }
    let at_rest = AtRest::with_connections();
    let server = Listening::on(&at_rest.server.pid().to_string());
    let answer = server.get("/metrics");
    assert!(answer.head().contains("content-type: text/plain; version=0.0.4"), "{}", answer.head());
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(answer.body()).unwrap();
    let checked = check.wait_with_output().unwrap();
    let said = text(&[checked.stdout, checked.stderr].concat());
    assert!(checked.status.success() && said.is_empty(), "{said}");

    let folder = TempDir::new().unwrap();
    let configuration = folder.path().join("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n  - job_name: tlsheap\n    scrape_interval: 1s\n    static_configs:\n      \
         - targets: ['{}']\n",
        server.address
    );
    fs::write(&configuration, scrape).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", path(&configuration)))
        .arg(format!("--storage.tsdb.path={}", path(&folder.path().join("data"))))
        .arg(format!("--web.listen-address={port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let prometheus = Listening { child: prometheus, address: port };
    let value = |query: &str| -> Option<f64> {
        TcpStream::connect(port).ok()?;
        let path = format!("/api/v1/query?query={query}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n");
        let answer = prometheus.ask(&request);
        let json: Value = serde_json::from_slice(answer.body()).ok()?;
        json["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    let wanted = seconds() as f64;
    let scraped = || value("count_over_time(tlsheap_connections[5m])");
    sleep(Duration::from_secs(seconds().saturating_sub(1)));
    until("as many scrapes as seconds", || scraped().filter(|it| *it >= wanted));
    assert_eq!(value("min_over_time(up[5m])"), Some(1.0));
    assert_eq!(value("tlsheap_connections"), Some(CONNECTIONS as f64));
    assert_eq!(value("sum(tlsheap_inuse_bytes)"), Some(at_rest.total("inuse_bytes") as f64));
    assert_eq!(value("sum(tlsheap_inuse_blocks)"), Some(at_rest.total("inuse_blocks") as f64));
    assert_eq!(value("tlsheap_allocated_bytes_total"), Some(at_rest.total("alloc_bytes") as f64));
    assert!(value("sum(tlsheap_resident_bytes)") > Some(1e6));
}
