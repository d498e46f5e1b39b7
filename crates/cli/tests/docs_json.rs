//! docs/json.md names every field of the JSON that the program prints, and no other; snapshots
//! hold the shapes. `INSTA_UPDATE=always cargo test --release -p tlsheap --test docs_json` writes
//! the snapshots anew: review the difference, and raise `schema` when a field went away.

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;

use capture::records::recording::{AttachedRecord, EarlierRecord, VisitedRecord};
use profile::{Function, Line, Location, Profile, Sample, pprof};
use program::{Running, SmallRun, printed_json, text, tlsheap};
use serde_json::{Map, Value, json};

/// Places whose content is documented once, under a name of its own: section, path, name.
const SHARED: [(&str, &str, &str); 44] = [
    ("watch --json", "recorder", "recorder"),
    ("what-if --json", "as_it_is", "cost"),
    ("what-if --json", "fixes[].cost", "cost"),
    ("diagnose --json", "findings[]", "finding"),
    ("check --json", "unwanted[]", "finding"),
    ("check --json", "explanations[]", "finding"),
    ("top --json", "objects", "objects"),
    ("diagnose --json", "objects", "objects"),
    ("record", "openssl", "counts"),
    ("record", "baseline.openssl", "counts"),
    ("record", "baseline.others.heap", "counts"),
    ("record", "baseline.others.mappings", "counts"),
    ("record", "heap.counts", "counts"),
    ("record", "heap.mappings", "counts"),
    ("record", "processes[].openssl", "counts"),
    ("record", "processes[].openssl_at_end", "counts"),
    ("record", "processes[].recorder", "recorder"),
    ("record", "processes[].openssls[]", "openssl of a process"),
    ("run.json", "recorder", "recorder"),
    ("top --json", "totals", "counts"),
    ("diff --json", "before.totals", "counts"),
    ("diff --json", "after.totals", "counts"),
    ("run.json", "at_start", "counts"),
    ("run.json", "baseline", "moment"),
    ("run.json", "at_rest", "moment"),
    ("run.json", "closed", "moment"),
    ("run.json", "rss.baseline", "account"),
    ("run.json", "rss.at_rest", "account"),
    ("run.json", "rss.closed", "account"),
    ("moment", "openssl", "counts"),
    ("moment", "rust.counted", "counts"),
    ("run.json", "load", "load report"),
    ("load --json", "finished.report", "load report"),
    ("load report", "handshake_latency", "latency"),
    ("load report", "echo_latency", "latency"),
    ("closed loop report", "handshake_latency", "latency"),
    ("serve --json", "stopped.totals", "server totals"),
    ("serve --json", "statistics.jemalloc", "jemalloc"),
    ("serve --json", "heap.jemalloc", "jemalloc"),
    ("compare --json", "configurations[].scale", "scale"),
    ("scale", "bytes", "line"),
    ("scale", "blocks", "line"),
    ("scale", "sites[].bytes", "line"),
    ("scale", "sites[].blocks", "line"),
];

/// Objects whose keys are names of things and no fields: section, path.
const NAMED: [(&str, &str); 17] = [
    ("watch --json", "objects"),
    ("diagnose --json", "memory"),
    ("record", "account.blocks"),
    ("record", "account.growth"),
    ("record", "heap.steps"),
    ("record", "heap.mapped_steps"),
    ("record", "memory.growth"),
    ("record", "objects"),
    ("record", "steps.idle"),
    ("record", "steps.thread"),
    ("record", "steps.left"),
    ("record", "closed"),
    ("record", "symbols.unusable_modules"),
    ("moment", "objects"),
    ("compare --json", "configurations[].objects"),
    ("compare --json", "configurations[].added_objects"),
    ("run.json", "symbols.unusable_modules"),
];

#[test]
fn every_field_is_documented_and_every_documented_field_exists() {
    let mut printed = Fields::default();
    printed.read("top --json", &node().top(&[]));
    printed.read("watch --json", &watch());
    printed.read("diff --json", &diff());
    printed.read("diagnose --json", &diagnose());
    printed.read("diagnose --json", &noted());
    printed.read("what-if --json", &what_if());
    printed.read("what-if --json", &what_if_of_a_program());
    for budget in ["[total]\nbytes = 1\n", "[total]\nbytes = 1\n[findings]\nallow = []\n"] {
        printed.read("check --json", &check(budget));
    }
    printed.read("configs --json", &printed_json(&["configs", "--json"]));
    printed.read("run.json", &run_json());
    printed.read("run.json", &run_with_rust_counted());
    printed.read("record", &recording());
    printed.read("compare --json", &compare());
    for event in server_events() {
        printed.read_event("serve --json", &event);
    }
    let nobody = free_address();
    for event in load_events().iter().chain(&load_on(&nobody, &["--hold=0s"], 3)) {
        printed.read_event("load --json", event);
    }
    let closed_loop = load_on(&nobody, &["--closed-loop=50ms"], 3);
    printed.read("closed loop report", &closed_loop[0]["report"]);
    let documented = documented();
    for (section, fields) in &printed.0 {
        let known = documented.get(section).unwrap_or_else(|| panic!("no section {section:?}"));
        let missing: Vec<_> = fields.difference(known).collect();
        assert!(missing.is_empty(), "docs/json.md, {section}: not documented: {missing:?}");
        let gone: Vec<_> = known.difference(fields).collect();
        assert!(gone.is_empty(), "docs/json.md, {section}: never printed: {gone:?}");
    }
    for section in documented.keys() {
        assert!(printed.0.contains_key(section), "docs/json.md: nothing prints {section:?}");
    }
}

#[test]
fn the_shape_of_top_is_stable() {
    insta::assert_json_snapshot!(shape(&node().top(&[])));
}

#[test]
fn the_shape_of_diff_is_stable() {
    insta::assert_json_snapshot!(shape(&diff()));
}

#[test]
fn the_shape_of_diagnose_is_stable() {
    insta::assert_json_snapshot!(shape(&diagnose()));
}

#[test]
fn the_shape_of_check_is_stable() {
    insta::assert_json_snapshot!(shape(&check("[total]\nbytes = 1\n[findings]\nallow = []\n")));
}

#[test]
fn the_shape_of_configs_is_stable() {
    insta::assert_json_snapshot!(shape(&printed_json(&["configs", "--json"])));
}

#[test]
fn the_shape_of_run_json_is_stable() {
    let mut record = run_json();
    // Known only to a program that was built in a clone of the repository.
    record["versions"]["commit"] = Value::Null;
    insta::assert_json_snapshot!(shape(&record));
}

#[test]
fn what_grouping_leaves_out_is_null() {
    let by_category = node().top(&["--by", "category"]);
    let row = &by_category["sites"][0];
    assert_eq!([&row["file"], &row["line"], &row["function"]], [&Value::Null; 3]);
    assert!(row["category"].is_string());
    let by_file = node().top(&["--by", "file"]);
    assert!(by_file["sites"][0]["file"].is_string());
    assert!(by_file["sites"][0]["category"].is_null());
}

#[test]
fn a_profile_that_knows_no_connections_has_no_share_of_one() {
    let heap = node().file("heap.pb.gz");
    let arguments = ["top", program::path(&heap), "--json"];
    let top = printed_json(&arguments);
    assert!(top["connections"].is_null() && top["per_connection"].is_null());
    assert!(top["sites"][0]["bytes_per_connection"].is_null());
    let told = printed_json(&[&arguments[..], &["--connections", "20"]].concat());
    assert_eq!(told["connections"], 20);
    assert!(told["sites"][0]["bytes_per_connection"].is_number());
}

fn node() -> &'static SmallRun {
    static RUN: OnceLock<SmallRun> = OnceLock::new();
    RUN.get_or_init(|| SmallRun::of("node-0.4", "docs-json"))
}

fn run_json() -> Value {
    serde_json::from_str(&fs::read_to_string(node().file("run.json")).unwrap()).unwrap()
}

fn run_with_rust_counted() -> Value {
    let folder = program::scratch("rust-counted");
    let fixed = ["run", "--config=tls13", "-n=2", "--hold=100ms", "--rust=exact", "--json"];
    printed_json(&[&fixed[..], &["--out", program::path(&folder)]].concat())
}

fn diff() -> Value {
    printed_json(&["diff", node().folder(), node().folder(), "--json"])
}

/// A look at a server.
fn watch() -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let ledger = folder.path().join("server.ledger");
    let options = ["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json", "--ledger"];
    let mut server = Running::start(&[&options[..], &[program::path(&ledger)]].concat());
    server.next_json().expect("a server says where it listens");
    let options = ["--once", "--json", "--every=50ms"];
    let mut seen = printed_json(&[&["watch", program::path(&ledger)], &options[..]].concat());
    // What is refused is seldom seen.
    assert_eq!(seen["problems"], json!([]));
    seen["problems"] = json!(["a sentence"]);
    seen
}

fn diagnose() -> Value {
    printed_json(&["diagnose", node().folder(), "--json"])
}

/// What `diagnose` says of a capture that has nothing but connections with one buffer each.
fn noted() -> Value {
    let mut profile = Profile::of_heap();
    for (name, file, bytes) in [
        ("SSL_new", "ssl/ssl_lib.c", 7_608),
        ("tls_setup_write_buffer", "ssl/record/methods/tls_common.c", 16_584),
    ] {
        let (name, file) = (name.to_owned(), file.to_owned());
        let function = profile.function(Function { system_name: name.clone(), name, file });
        let lines = vec![Line { function, line: 7 }];
        let stack = vec![profile.location(Location { lines, ..Location::default() })];
        let values = [10, 10 * bytes].repeat(3);
        profile.push(Sample { stack, values, labels: Vec::new() });
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("noted.pb.gz");
    fs::write(&file, pprof::write(&profile)).unwrap();
    let noted = printed_json(&["diagnose", program::path(&file), "--json"]);
    assert_eq!(noted["notes"][0]["id"], "record-buffers-kept", "{noted:#}");
    noted
}

fn what_if() -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("what-if");
    let small = ["--hold=0s", "--interval=100ms", "--repeat=1", "--rate-time=100ms", "-n=2"];
    let fixes = ["--try=release-buffers", "--try=no-compression"];
    let arguments = ["what-if", "--config=tls13", "--json", "--out", program::path(&out)];
    printed_json(&[&arguments[..], &small, &fixes].concat())
}

/// The reference server as any other program.
fn what_if_of_a_program() -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("what-if");
    let address = free_address();
    let (_, port) = address.rsplit_once(':').unwrap();
    let options = ["what-if", "--json", "--try=no-compression", "--repeat=1", "-n=2"];
    let load = ["--port", port, "--protocol=echo", "--rate-time=100ms", "--out"];
    let server = [env!("CARGO_BIN_EXE_tlsheap"), "serve", "--config=tls13", "--listen", &address];
    let arguments = [&options[..], &load, &[program::path(&out), "--"], &server];
    let mut outcome = printed_json(&arguments.concat());
    // A program's versions are in the run.json of each recording.
    assert_eq!(outcome.as_object_mut().unwrap().remove("versions"), Some(Value::Null));
    outcome
}

/// What is said of a run that breaks its budget.
fn check(budget: &str) -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("budget.toml");
    fs::write(&file, budget).unwrap();
    let output = tlsheap(&["check", node().folder(), "--json", "--budget", program::path(&file)]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    serde_json::from_str(&text(&output.stdout)).unwrap()
}

fn compare() -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("comparison");
    let small = ["--hold=0s", "--interval=100ms", "--repeat=1", "--rate-time=100ms", "-n=2"];
    let arguments = ["compare", "tls13", "--json", "--scale=1,2", "--out", program::path(&out)];
    printed_json(&[&arguments[..], &small].concat())
}

/// `run.json` of a recording of our own server with two connections at rest: every field has
/// something in it.
fn recording() -> Value {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("recording");
    let server = [env!("CARGO_BIN_EXE_tlsheap"), "serve", "--config=tls13", "--listen=127.0.0.1:0"];
    let out_is = program::path(&out);
    let options = ["record", "--at-rest=2", "--every=250ms", "--out", out_is, "--"];
    let mut recorded = Running::start(&[&options[..], &server, &["--json"]].concat());
    let listening = recorded.next_json().expect("a server says where it listens");
    // By the third capture, nothing has changed since the second: there is a baseline.
    let third = || {
        let mut entries = fs::read_dir(folder.path()).unwrap().flatten();
        let filled = entries
            .find(|entry| entry.file_name().to_string_lossy().starts_with(".recording.tlsheap-"));
        filled.is_some_and(|entry| entry.path().join("series/003.pb.gz").exists())
    };
    while !third() {
        std::thread::yield_now();
    }
    let address = listening["address"].as_str().unwrap();
    let load = Running::start(&["load", address, "-n=2", "--hold=60s", "--json"]);
    while recorded.next_json().is_some() {}
    drop(load);
    assert!(recorded.ended().success());
    let mut record: Value =
        serde_json::from_str(&fs::read_to_string(out.join("run.json")).unwrap()).unwrap();
    // Of a process that was attached to.
    record["attached"] = serde_json::to_value(AttachedRecord {
        pid: Some(77),
        cgroup: None,
        processes: vec![VisitedRecord {
            pid: 77,
            after_seconds: 0.0,
            stopped_seconds: 0.004,
            processor_seconds: 0.003,
            let_go_stopped_seconds: Some(0.001),
            let_go_processor_seconds: Some(0.001),
            earlier: Some(EarlierRecord {
                ssl_objects: 57,
                perhaps_ssl_objects: 0,
                complete: true,
                scanned_bytes: 1 << 20,
                seconds: 0.1,
            }),
        }],
        earlier_blocks: 7,
    })
    .unwrap();
    // What was not seen is seldom seen.
    assert_eq!(record["problems"], json!([]));
    record["problems"] = json!(["a sentence"]);
    // Whether two connections say who holds what is chance.
    assert!(record["heap"]["holders"].is_array(), "{record:#}");
    record["heap"]["holders"] =
        json!([{"function": "main", "through": ["main"], "bytes": 1.0, "blocks": 1.0}]);
    // Nor is another TLS library there.
    let others = &mut record["processes"][0]["other_tls"];
    assert_eq!(*others, json!([]));
    *others = json!([{"object": "libgnutls.so.30", "library": "GnuTLS"}]);
    record
}

/// A server that takes a connection, fails on another, and stops.
fn server_events() -> Vec<Value> {
    let mut server = Running::start(&["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json"]);
    let mut events = vec![server.next_json().expect("a server says where it listens")];
    let address = events[0]["address"].as_str().unwrap().to_owned();
    let load = |options: &[&str]| tlsheap(&[&["load", &address, "-n=1"], options].concat());
    assert!(load(&["--tls=1.3", "--hold=0s"]).status.success());
    assert_eq!(load(&["--tls=1.2"]).status.code(), Some(3));
    let requests = [
        r#"{"command":"statistics"}"#,
        r#"{"command":"heap"}"#,
        r#"{"command":"heap","path":"/no/such/folder/x.heap"}"#,
    ];
    for request in requests {
        server.tell(request);
        let answers = ["statistics", "heap", "heap_failed"];
        let answered = std::iter::from_fn(|| server.next_json()).find(|event| {
            let answer = answers.contains(&event["event"].as_str().unwrap());
            events.push(event.clone());
            answer
        });
        assert!(answered.is_some(), "{request} was not answered");
    }
    server.ask_to_stop();
    while let Some(event) = server.next_json() {
        events.push(event);
    }
    events
}

/// A load on a server of its own.
fn load_events() -> Vec<Value> {
    let mut server = Running::start(&["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json"]);
    let listening = server.next_json().expect("a server says where it listens");
    load_on(listening["address"].as_str().unwrap(), &["--hold=0s"], 0)
}

fn load_on(address: &str, options: &[&str], code: i32) -> Vec<Value> {
    let output = tlsheap(&[&["load", address, "-n=2", "--json"], options].concat());
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An address on which nobody listens: the port was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Paths of fields by section, as `sites[].file`.
#[derive(Default)]
struct Fields(BTreeMap<String, BTreeSet<String>>);

impl Fields {
    fn read(&mut self, section: &str, value: &Value) {
        self.walk(section, String::new(), value);
    }

    /// A line of a stream: its fields begin with the event's name.
    fn read_event(&mut self, section: &str, event: &Value) {
        let mut fields = event.as_object().unwrap().clone();
        let name = fields.remove("event").expect("an event says which it is");
        let name = name.as_str().unwrap().to_owned();
        self.0.entry(section.to_owned()).or_default().insert(name.clone());
        self.walk(section, name, &Value::Object(fields));
    }

    fn walk(&mut self, section: &str, path: String, value: &Value) {
        let shared = SHARED.iter().find(|(at, place, _)| (*at, *place) == (section, &path));
        if let Some((_, _, name)) = shared {
            self.0.entry(section.to_owned()).or_default().insert(path);
            // What is not there has no fields to compare.
            if !value.is_null() {
                self.walk(name, String::new(), value);
            }
            return;
        }
        let named = NAMED.contains(&(section, &path));
        match value {
            Value::Object(fields) if !named => {
                for (name, field) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.walk(section, format!("{path}{dot}{name}"), field);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    self.walk(section, format!("{path}[]"), element);
                }
            }
            _ => {
                self.0.entry(section.to_owned()).or_default().insert(path);
            }
        }
    }
}

/// The tables of docs/json.md: after `<!-- fields of: X -->`, the first cell of each row.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let text = fs::read_to_string(path).unwrap();
    let mut sections = BTreeMap::new();
    for part in text.split("<!-- fields of: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let rows = rest.lines().skip_while(|line| !line.starts_with('|'));
        let fields: BTreeSet<String> = rows
            .take_while(|line| line.starts_with('|'))
            .filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert!(sections.insert(name.to_owned(), fields).is_none(), "{name} twice");
    }
    sections
}

/// A value with types in the place of values, and one element in the place of many.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(elements) => elements.iter().take(1).map(shape).collect(),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, field)| (name.clone(), shape(field))).collect::<Map<_, _>>(),
        ),
    }
}
