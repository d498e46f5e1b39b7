//! `tlsheap watch --listen`, asked by Go's and by Prometheus's own programs.

mod program;
mod watched;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use program::{path, text};
use serde_json::Value;
use tempfile::TempDir;
use watched::at_rest::AtRest;
use watched::listening::Listening;
use watched::{CONNECTIONS, are_there, until};

#[test]
fn gos_own_pprof_reads_what_it_fetches() {
    if !are_there(&[("go", "version")]) {
        return;
    }
    let at_rest = AtRest::with_connections();
    let server = Listening::on(path(&at_rest.ledger()));
    let place = TempDir::new().unwrap();
    let sum = |index: &str, options: &[&str], url: &str| -> i64 {
        let output = Command::new("go")
            .args(["tool", "pprof", "-top", "-unit=B", "-nodecount=5"])
            .arg(format!("-sample_index={index}"))
            .args(options)
            .arg(url)
            .env("PPROF_TMPDIR", place.path())
            .env("HOME", place.path())
            .output()
            .unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        // "Showing nodes accounting for 7B, 70% of 10B total"
        let all = said.lines().find_map(|line| line.strip_suffix(" total")?.rsplit(' ').next());
        let all = all.unwrap_or_else(|| panic!("no total: {said}"));
        all.trim_end_matches('B').parse().unwrap_or_else(|_| panic!("no number: {said}"))
    };
    let heap = server.url("/debug/pprof/heap");
    assert_eq!(sum("inuse_space", &[], &heap), at_rest.total("inuse_bytes"));
    assert_eq!(sum("inuse_objects", &[], &heap), at_rest.total("inuse_blocks"));
    let allocs = server.url("/debug/pprof/allocs");
    assert_eq!(sum("alloc_space", &[], &allocs), at_rest.total("alloc_bytes"));
    // Nothing happens meanwhile.
    assert_eq!(sum("alloc_space", &["-seconds=1"], &heap), 0);
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
    let scraped = || value("count_over_time(tlsheap_connections[5m])").filter(|it| *it >= 5.0);
    until("five scrapes", scraped);
    assert_eq!(value("min_over_time(up[5m])"), Some(1.0));
    assert_eq!(value("tlsheap_connections"), Some(CONNECTIONS as f64));
    assert_eq!(value("sum(tlsheap_inuse_bytes)"), Some(at_rest.total("inuse_bytes") as f64));
    assert_eq!(value("sum(tlsheap_inuse_blocks)"), Some(at_rest.total("inuse_blocks") as f64));
    assert_eq!(value("tlsheap_allocated_bytes_total"), Some(at_rest.total("alloc_bytes") as f64));
    assert!(value("sum(tlsheap_resident_bytes)") > Some(1e6));
}
