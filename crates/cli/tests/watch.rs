//! `tlsheap watch` on a server with connections at rest: figures as `top` has them, keys on a
//! terminal, Go's and Prometheus's own programs as clients, and clients that mean no good.

mod browser;
mod program;
mod recorded;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use browser::{Browser, View};
use profile::{Metric, Profile, pprof};
use program::{Running, path, printed, printed_json, text, tlsheap, tlsheap_with};
use recorded::installed;
use serde_json::Value;
use tempfile::TempDir;

/// More than anything here takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CONNECTIONS: u64 = 20;

/// Waits until something is so.
fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never seen: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// A recorded server with connections that nothing happens on.
struct AtRest {
    folder: TempDir,
    address: String,
    loads: Vec<Running>,
    server: Running,
}

impl AtRest {
    fn with_connections() -> AtRest {
        let folder = TempDir::new().unwrap();
        let ledger = folder.path().join("server.ledger");
        let options = ["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json", "--ledger"];
        let mut server = Running::start(&[&options[..], &[path(&ledger)]].concat());
        let listening = server.next_json().expect("a server says where it listens");
        let address = listening["address"].as_str().unwrap().to_owned();
        let mut at_rest = AtRest { folder, address, loads: Vec::new(), server };
        at_rest.connect(CONNECTIONS);
        at_rest
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("server.ledger")
    }

    /// Opens so many connections more, and waits until nothing moves.
    fn connect(&mut self, connections: u64) {
        let wanted = self.live() + connections;
        let number = connections.to_string();
        let options = ["load", &self.address, "-n", &number, "--hold=1h", "--interval=1h"];
        self.loads.push(Running::start(&[&options[..], &["--json"]].concat()));
        let mut last = Value::Null;
        until("connections at rest", || {
            let top = self.top(&[]);
            let is_still = top == last && live_ssl(&top) == wanted;
            last = top;
            // Longer than a handshake takes a pause.
            sleep(Duration::from_millis(200));
            is_still.then_some(())
        });
    }

    fn live(&self) -> u64 {
        live_ssl(&self.top(&[]))
    }

    fn top(&self, options: &[&str]) -> Value {
        printed_json(&[&["top", path(&self.ledger()), "--json", "-n=0"], options].concat())
    }

    fn total(&self, figure: &str) -> i64 {
        self.top(&[])["totals"][figure].as_i64().unwrap()
    }
}

fn live_ssl(top: &Value) -> u64 {
    let live = top["objects"]["live"].as_array().into_iter().flatten();
    let mut of_ssl = live.filter(|it| it["object"] == "SSL");
    of_ssl.next().and_then(|it| it["count"].as_u64()).unwrap_or_default()
}

/// `watch --listen`; killed when dropped.
struct Listening {
    child: Child,
    address: SocketAddr,
}

impl Listening {
    fn on(target: &str) -> Listening {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["watch", target, "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let address = url.trim().strip_prefix("http://").and_then(|it| it.strip_suffix('/'));
        let address = address.unwrap_or_else(|| panic!("it says where it listens: {url}"));
        Listening { child, address: address.parse().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends this, and reads all that comes.
    fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Answer(bytes)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    fn profile(&self, path: &str) -> Profile {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{}", answer.head());
        pprof::read(answer.body(), "answer").unwrap()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
struct Answer(Vec<u8>);

impl Answer {
    fn split(&self) -> (&[u8], &[u8]) {
        let end = self.0.windows(4).position(|it| it == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&self.0)));
        (&self.0[..end], &self.0[end + 4..])
    }

    fn head(&self) -> String {
        String::from_utf8_lossy(self.split().0).to_ascii_lowercase()
    }

    fn status(&self) -> u16 {
        self.head().split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn body(&self) -> &[u8] {
        self.split().1
    }

    fn text(&self) -> String {
        text(self.body())
    }
}

fn total(profile: &Profile, metric: Metric) -> i64 {
    profile.total(profile.column(metric).expect("it has the column"))
}

#[test]
fn figures_are_those_of_top_however_the_process_is_named() {
    let at_rest = AtRest::with_connections();
    let (ledger, pid) = (at_rest.ledger(), at_rest.server.pid().to_string());
    for target in [path(&ledger), &pid] {
        for by in ["site", "function", "file", "category"] {
            let top = at_rest.top(&["--by", by]);
            let options = ["--once", "--json", "-n=0", "--every=50ms", "--by", by];
            let watch = printed_json(&[&["watch", target], &options[..]].concat());
            assert_eq!(watch["connections"], CONNECTIONS);
            assert_eq!(watch["look"], 2);
            let rows = |json: &Value| -> BTreeSet<String> {
                let rows = json.as_array().unwrap().iter().map(|row| {
                    let keys = ["file", "line", "function", "category", "domain"];
                    let figures = ["bytes", "blocks"]
                        .map(|it| ["inuse", "alloc", "peak"].map(|of| format!("{of}_{it}")));
                    let all = keys.iter().map(|it| (*it).to_owned()).chain(figures.concat());
                    all.map(|field| format!("{field}={}", row[&field]))
                        .collect::<Vec<_>>()
                        .join(" ")
                });
                rows.collect()
            };
            assert_eq!(rows(&watch["rows"]), rows(&top["sites"]), "{target} by {by}");
            let domain = &watch["domains"][0];
            for figure in ["inuse_bytes", "inuse_blocks", "alloc_bytes", "alloc_blocks"] {
                assert_eq!(domain[figure], top["totals"][figure], "{figure}");
            }
            let each = watch["per_connection"]["bytes"].as_f64().unwrap();
            let all = top["totals"]["inuse_bytes"].as_f64().unwrap();
            assert_eq!((&watch["per_connection"]["how"], each), (&"at_most".into(), all / 20.0));
            assert_eq!(watch["rows"][0]["change_bytes"], 0);
        }
    }
    let text = printed(&["watch", path(&ledger), "--once", "--every=50ms", "-n=3"]);
    let said = format!("{CONNECTIONS} connections (SSL objects), each holds at most ");
    assert!(text.contains(&said) && text.contains("more rows\n"), "{text}");
}

#[test]
fn without_a_terminal_each_look_is_a_line_and_it_ends_with_the_program() {
    let at_rest = AtRest::with_connections();
    let pid = at_rest.server.pid().to_string();
    let start = |options: &[&str]| {
        let arguments = ["watch", &pid, "--every=50ms"];
        Running::start(&[&arguments[..], options].concat())
    };
    let mut lines = start(&["--json"]);
    let first = lines.next_json().unwrap();
    assert_eq!((&first["look"], &first["per_second"]), (&1.into(), &Value::Null));
    let second = lines.next_json().unwrap();
    assert!(second["per_second"]["allocations"].is_number(), "{second}");
    let mut listening = Listening::on(&pid);
    drop(at_rest);
    while lines.next_json().is_some() {}
    assert!(lines.ended().success());
    let ended = until("the end of the server's server", || listening.child.try_wait().unwrap());
    assert!(ended.success());
}

#[test]
fn what_cannot_be_watched_is_said_with_the_way_out() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("run.json"), "{}").unwrap();
    let nowhere = folder.path().join("nowhere");
    let mut sleeper = Command::new("sleep").arg("100").spawn().unwrap();
    let unrecorded = sleeper.id().to_string();
    for (arguments, words) in [
        (vec!["watch", "4294967295"], "there is no process 4294967295"),
        (
            vec!["watch", &unrecorded],
            "is not recorded, and nothing that it has started is: start it with",
        ),
        (vec!["watch", path(&run)], "is a recording that has ended: `tlsheap top "),
        (vec!["watch", path(folder.path())], "has no ledgers: name a process's id"),
        (vec!["watch", path(&nowhere)], "cannot read"),
        (vec!["watch", "--every=1ms"], "look every 50ms at most"),
        (vec!["watch", "--listen=127.0.0.1:0", "--once"], "cannot be used with"),
    ] {
        let output = tlsheap(&arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments:?}: {said}");
    }
    sleeper.kill().and_then(|()| sleeper.wait()).unwrap();
    let at_rest = AtRest::with_connections();
    let output = tlsheap(&["watch", path(&at_rest.ledger()), "--listen", "0.0.0.0:0"]);
    let said = text(&output.stderr);
    assert!(said.contains("can be reached from other machines, and nobody is asked"), "{said}");
    // Nothing to draw on.
    let dumb = [("TERM", "dumb")];
    let ledger = at_rest.ledger();
    let arguments = ["watch", path(&ledger), "--once", "--every=50ms"];
    let output = tlsheap_with(Path::new("."), &dumb, &arguments);
    assert!(!text(&output.stdout).contains('\u{1b}'));
}

#[test]
fn a_recording_is_found_by_who_makes_it_and_by_the_folder_to_be() {
    if !installed("openssl") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let server = ["openssl", "s_server", "-nocert", "-accept", "127.0.0.1:0"];
    let options = ["record", "--out", path(&out), "--"];
    let recorder = Running::start(&[&options[..], &server].concat());
    let pid = recorder.pid().to_string();
    for target in [&pid, path(&out)] {
        let arguments = ["watch", target, "--once", "--json", "--every=50ms"];
        let watch = until("a ledger", || {
            let output = tlsheap(&arguments);
            serde_json::from_slice::<Value>(&output.stdout).ok()
        });
        assert_eq!(watch["processes"][0]["program"], "openssl", "{watch:#}");
        assert!(watch["domains"][0]["inuse_bytes"].as_u64() > Some(10_000), "{watch:#}");
    }
    recorder.ask_to_stop();
}

/// A session of tmux, which ends with this value.
struct Tmux(String);

impl Tmux {
    fn run(name: &str, columns: u16, command: &str) -> Tmux {
        let server = format!("tlsheap-{name}-{}", std::process::id());
        let tmux = Tmux(server);
        let columns = columns.to_string();
        let size = ["-x", &columns, "-y", "24"];
        let session = ["-f", "/dev/null", "new-session", "-d", "-s", "w"];
        tmux.tell(&[&session[..], &size, &[command]].concat());
        tmux
    }

    fn tell(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").arg("-L").arg(&self.0).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn press(&self, key: &str) {
        self.tell(&["send-keys", "-t", "w", key]);
    }

    fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p", "-t", "w"])
    }

    fn shows(&self, words: &str) -> String {
        let mut last = String::new();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            last = self.screen();
            if last.contains(words) {
                return last;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{words:?} is not on the screen:\n{last}");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-L").arg(&self.0).arg("kill-server").output();
    }
}

#[test]
fn keys_do_what_the_screen_says() {
    let there = Command::new("tmux").arg("-V").output().is_ok_and(|it| it.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "missing: tmux");
    if !there {
        println!("skipped: tmux is not installed");
        return;
    }
    let mut at_rest = AtRest::with_connections();
    for columns in [80, 200] {
        // The shell stays, so that what is left on the terminal can be seen.
        let program = env!("CARGO_BIN_EXE_tlsheap");
        let ledger = at_rest.ledger();
        let command =
            format!("{program} watch {} --every 100ms; echo \"left with $?\"; cat", path(&ledger));
        let tmux = Tmux::run(&format!("keys-{columns}"), columns, &command);
        let live = at_rest.live();
        let screen = tmux.shows("▼bytes");
        assert!(
            screen.contains(&format!("{live} connections (SSL objects), each holds")),
            "{screen}"
        );
        assert!(screen.contains("since the first look") && screen.contains("? keys"), "{screen}");
        let widest = screen.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{screen}");
        assert_eq!(screen.contains("category  "), columns == 200, "{screen}");

        tmux.press("s");
        tmux.shows("▼blocks");
        tmux.press("g");
        tmux.shows("▼growth");
        tmux.press("m");
        tmux.shows("since the mark, ");
        at_rest.connect(2);
        // By growth, what has come with the connections is first.
        let grown = tmux.shows(&format!("{} connections", live + 2));
        assert!(grown.contains('+'), "{grown}");
        tmux.press("0");
        tmux.shows("since the first look");
        tmux.press("b");
        tmux.shows("  function\n");
        tmux.press("Down");
        tmux.press("Enter");
        let opened = tmux.shows("stacks (Esc goes back)");
        assert!(opened.contains(" blocks\n"), "{opened}");
        tmux.press("PageDown");
        tmux.press("Escape");
        tmux.shows("▼growth");
        tmux.press("?");
        tmux.shows("set a mark: growth is counted from now on");
        tmux.press("?");
        tmux.press("p");
        tmux.shows("PAUSED");
        tmux.tell(&["resize-window", "-t", "w", "-x", "60", "-y", "12"]);
        tmux.shows("PAUSED");
        tmux.press("q");
        let left = tmux.shows("left with 0");
        assert!(!left.contains("▼growth"), "the screen is given back: {left}");
    }
    // It ends with the program, and what was seen last stays on the terminal.
    let program = env!("CARGO_BIN_EXE_tlsheap");
    let pid = at_rest.server.pid();
    let tmux =
        Tmux::run("end", 100, &format!("NO_COLOR=1 {program} watch {pid} --every 100ms; cat"));
    tmux.shows("▼bytes");
    let colours = tmux.tell(&["capture-pane", "-p", "-e", "-t", "w"]);
    assert!(!colours.contains("\u{1b}[31m") && !colours.contains("\u{1b}[32m"), "{colours:?}");
    drop(at_rest);
    tmux.shows("What was watched has ended.");
}

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
        ("domain=../etc/passwd", "openssl or heap"),
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
fn gos_own_pprof_reads_what_it_fetches() {
    let there = Command::new("go").arg("version").output().is_ok_and(|it| it.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "missing: go (Debian's golang-go)");
    if !there {
        println!("skipped: go is not installed");
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
    let there = ["promtool", "prometheus"].iter().all(|program| {
        Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success())
    });
    assert!(there || std::env::var_os("CI").is_none(), "missing: Debian's prometheus");
    if !there {
        println!("skipped: prometheus is not installed");
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
