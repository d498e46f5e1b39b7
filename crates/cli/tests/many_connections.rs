//! More connections than tests have otherwise, from several addresses of this machine: every
//! block of theirs is tracked, and named within a bounded number of sites.

mod program;

use program::{Running, path, printed_json, scratch};
use serde_json::{Value, json};

const CONNECTIONS: u64 = 2_000;

#[test]
fn thousands_of_connections_from_several_addresses_are_recorded_without_a_loss() {
    let folder = scratch("many");
    std::fs::create_dir(&folder).unwrap();
    let ledger = folder.join("ledger");
    let mut server = Running::start(&[
        "serve",
        "--config=tls13-release-buffers",
        "--listen=127.0.0.1:0",
        "--json",
        "--ledger",
        path(&ledger),
    ]);
    let listening = server.next_json().expect("it listens");
    let mut load = Running::start(&[
        "load",
        listening["address"].as_str().expect("an address"),
        "--json",
        "--from=127.0.0.2,127.0.0.3,127.0.0.4",
        &format!("--connections={CONNECTIONS}"),
        "--interval=10m",
    ]);
    let rest = std::iter::from_fn(|| load.next_json()).find(|event| event["event"] != "progress");
    assert_eq!(rest, Some(json!({"event": "at_rest", "connections": CONNECTIONS})));

    let top = printed_json(&["top", path(&ledger), "--json"]);
    let connections = blocks_of(&top, "ssl/ssl_lib.c");
    assert!(connections >= CONNECTIONS, "{connections} blocks of connections");
    let seen = ledger::Snapshot::read_file(&ledger).unwrap();
    assert!(seen.totals().inuse_blocks > 20 * CONNECTIONS, "{:?}", seen.totals());
    assert_eq!(seen.statistics.untracked_blocks, 0);
    assert_eq!(seen.statistics.dropped.alloc_blocks, 0);
    assert_eq!((seen.statistics.foreign_frees, seen.statistics.stale_blocks), (0, 0));

    load.ask_to_stop();
    let last = std::iter::from_fn(|| load.next_json()).last().expect("it has a last word");
    assert_eq!((&last["event"], &last["clean"]), (&json!("finished"), &json!(true)), "{last:#}");
}

fn blocks_of(top: &Value, file: &str) -> u64 {
    let sites = top["sites"].as_array().expect("sites");
    let of_file = sites.iter().filter(|site| site["file"] == file);
    of_file.map(|site| site["inuse_blocks"].as_u64().expect("a number of blocks")).sum()
}
