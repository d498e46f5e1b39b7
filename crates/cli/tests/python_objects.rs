//! `record --python`: Python's objects, held against an independent count of them.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
mod counted;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;
mod workshop;

use std::fs;
use std::path::Path;

use counted::{SOURCES, Sum, sum};
use needed::FIXTURES;
use program::{path, printed_json, text, tlsheap, tlsheap_in, tlsheap_with};
use serde_json::Value;
use server::free_port;
use workshop::{Workshop, number};

fn record_in(folder: &Path) -> Value {
    let record = fs::read_to_string(folder.join("run/run.json")).unwrap();
    serde_json::from_str(&record).unwrap()
}

#[test]
fn objects_are_counted_to_the_byte_and_what_they_lie_in_is_not() {
    // One whose own modules are where no other test writes.
    let Some(python) = needed::program("/usr/bin/python3") else { return };
    let workshop = Workshop::new();
    let folder = workshop.0.path();
    let options = ["-shared", "-fPIC"];
    let objects = workshop.build("objects.so", &["../heap/objects.c"], &options);
    let script = format!("{SOURCES}/family.py");
    let counted = folder.join("counted");
    let variables = [("LD_PRELOAD", path(&objects)), ("OBJECTS", path(&counted))];
    let record = |options: &[&str]| {
        let _ = fs::remove_dir_all(folder.join("run"));
        let start = [&["record", "--heap", "--out", "run"], options].concat();
        let program = ["--", &python, "-S", "-s", &script];
        let output = tlsheap_with(folder, &variables, &[&start[..], &program].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (record_in(folder), text(&output.stderr))
    };
    let (whole, said) = record(&["--python"]);
    let sums = fs::read_to_string(&counted).unwrap();
    let sums: Vec<u64> = sums.split_whitespace().map(|it| it.parse().unwrap()).collect();
    let [ever, at_end]: [Sum; 2] = [[sums[0], sums[1]], [sums[2], sums[3]]];
    assert!(ever[0] > 10_000, "{sums:?}");
    assert_eq!(sum(&whole, "/heap/python/alloc"), ever, "{whole:#}");
    assert_eq!(sum(&whole, "/heap/python/inuse"), at_end, "{whole:#}");
    let recorder = &whole["processes"][0]["recorder"];
    for what in ["foreign_frees", "stale_blocks", "nested_calls", "untracked_blocks"] {
        assert_eq!(number(recorder, &format!("/{what}")), 0, "{recorder:#}");
    }
    assert!(said.contains(" of Python's"), "{said}");
    for by in ["site", "function", "category"] {
        let words = ["top", "run", "--json", "-n0", "--column=allocated", "--domain=python"];
        let words = [&words[..], &["--by", by]].concat();
        let top: Value = serde_json::from_slice(&tlsheap_in(folder, &words).stdout).unwrap();
        let rows = top.as_object().unwrap().values().find_map(Value::as_array).unwrap();
        let added = ["alloc_blocks", "alloc_bytes"]
            .map(|what| rows.iter().map(|row| number(row, &format!("/{what}"))).sum::<u64>());
        assert_eq!(added, ever, "python by {by}");
    }
    // Without it the large ones are malloc's, and the others lie in arenas.
    let (arenas, _) = record(&[]);
    assert!(arenas["heap"]["python"].is_null(), "{arenas:#}");
    let of = |record: &Value, part: &str| sum(record, &format!("/heap/{part}/alloc"));
    assert!(of(&arenas, "counts")[0] > of(&whole, "counts")[0]);
    assert!(of(&arenas, "mappings")[1] > of(&whole, "mappings")[1]);
}

#[test]
fn a_connections_objects_are_told_and_lie_in_the_account() {
    let Some(python) = needed::program("python3") else { return };
    let place = certificate::place();
    let port = free_port().to_string();
    let script = format!("{FIXTURES}/echo_asyncio.py");
    let address = format!("127.0.0.1:{port}");
    let start = ["record", "--python", "--load", &address, "-n", "40", "--out", "run", "--"];
    let server = [&python, &script, "certificate.pem", "key.pem", &port];
    let output = tlsheap_in(place.path(), &[&start[..], &server].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let record = record_in(place.path());
    let steps = &record["heap"]["python_steps"];
    let [low, high] = [0, 1].map(|at| steps["bytes_interval"][at].as_f64().unwrap());
    // The buffer that asyncio has for each, of 262,145 bytes, and objects.
    assert!(low > 262_145.0 && high < 280_000.0, "{steps:#}");
    let account = &record["account"];
    let resident = number(account, "/blocks/python/resident_bytes");
    let asked = number(account, "/blocks/python/requested_bytes");
    assert!(resident > asked / 2 && resident <= asked, "{account:#}");
    let explained = account["growth"]["explained"].as_f64().unwrap();
    assert!(explained >= 0.95, "{account:#}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Python's objects") || words.contains("objects of Python's"), "{said}");
    let run = place.path().join("run");
    let top = printed_json(&["top", path(&run), "--json", "--domain=python"]);
    assert_eq!(top["totals"]["inuse_bytes"], record["heap"]["python"]["inuse_bytes"]);
}

#[test]
fn where_no_object_is_counted_that_is_said() {
    let Some(python) = needed::program("/usr/bin/python3") else { return };
    let workshop = Workshop::new();
    let folder = workshop.0.path();
    let words = ["record", "--heap", "--python", "--out", "run", "--", &python, "-c", "pass"];
    let output = tlsheap_with(folder, &[("PYTHONMALLOC", "malloc")], &words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("No object of Python's was counted: "), "{said}");
    let pid = std::process::id().to_string();
    for (words, reason) in [
        (&["record", "--python", "--only", "openssl", "true"][..], "cannot be used with"),
        (&["record", "--python", "--sample", "64k", "true"], "cannot be used with"),
        (&["record", "--python", "--pid", &pid], "--python begins with the interpreter"),
    ] {
        let output = tlsheap(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
}
