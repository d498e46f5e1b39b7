//! `tlsheap watch` on a server with connections at rest: figures as `top` has them, however the
//! server is named, and what cannot be watched.

mod program;
mod recorded;
mod watched;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use program::{Running, path, printed, printed_json, text, tlsheap, tlsheap_with};
use recorded::installed;
use serde_json::Value;
use tempfile::TempDir;
use watched::at_rest::AtRest;
use watched::listening::Listening;
use watched::{CONNECTIONS, until};

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
