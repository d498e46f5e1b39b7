//! `record --pid --count-earlier`: the SSL objects from before the attach.

use serde_json::Value;

use crate::clients::{Client, Talk};
use crate::daemons::{self, Daemon};
use crate::process::{child, is_put_back};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop};

/// What is said of those from before.
fn earlier(pid: u32) -> (Value, String) {
    let recorded = Recorded::of(pid, &["--for", "100ms", "--count-earlier"]);
    let record = recorded.record();
    assert_eq!(record["attached"]["processes"].as_array().unwrap().len(), 1, "{record:#}");
    (record["attached"]["processes"][0]["earlier"].clone(), recorded.said())
}

/// So many blocks in use, and nothing that is not known.
fn are(pid: u32, wanted: u64) {
    let (found, said) = earlier(pid);
    assert_eq!(found["ssl_objects"], wanted, "{found:#}");
    assert_eq!(found["perhaps_ssl_objects"], 0, "{found:#}");
    assert_eq!(found["complete"], true, "{found:#}");
    let number = match wanted {
        0 => "none".to_owned(),
        12_052 => "12,052".to_owned(),
        _ => wanted.to_string(),
    };
    assert!(said.contains(&format!("from before the attach: {number}, by a scan")), "{said}");
}

#[test]
fn those_in_use_are_counted_and_freed_ones_that_keep_their_content_are_not() {
    let workshop = Workshop::new();
    let connections = workshop.build("connections", &["-pthread", "-l:libssl.so.3"], true);
    let mut program = Asked::start(&connections, &[]);
    let pid = program.child.id();
    are(pid, 0);
    for (order, there) in [
        ("open 57", 57),
        // One by one, between others.
        ("close 20", 37),
        // What lies behind them was never used, or is free.
        ("last 15", 22),
        // In heaps of their own: enough for more than one.
        ("thread 30", 52),
        ("thread 12000", 12_052),
        ("last 12010", 42),
        ("close 42", 21),
        ("last 21", 0),
    ] {
        assert_eq!(program.ask(order), format!("there are {there}"));
        are(pid, there);
    }
    is_put_back(pid);
    assert!(program.ends_well());
}

/// As many as there are clients.
fn of_clients(daemon: &Daemon, process: impl Fn(u32) -> u32, talk: Talk) {
    let server = daemon.start();
    let pid = process(server.pid());
    let mut clients: Vec<Client> = (0..12).map(|_| Client::open(server.port, talk)).collect();
    are(pid, 12);
    for client in clients.drain(5..) {
        client.close(talk);
    }
    // It may take its time to close them.
    let fewer = (0..50).map(|_| earlier(pid).0).find(|found| found["ssl_objects"] == 5);
    assert!(fewer.is_some());
    for client in clients {
        client.close(talk);
    }
}

#[test]
fn of_a_worker_of_nginx() {
    let Some(daemon) = daemons::nginx(1) else { return };
    of_clients(&daemon, child, Talk::Http);
}

#[test]
fn of_a_server_with_an_openssl_of_its_own_and_later() {
    of_clients(&daemons::tokio(), |pid| pid, Talk::Echo);
}

#[test]
fn where_it_cannot_be_told_what_is_in_use_it_is_said() {
    let Some(daemon) = daemons::redis() else { return };
    let server = daemon.start();
    let clients: Vec<Client> = (0..12).map(|_| Client::open(server.port, Talk::Redis)).collect();
    let (found, said) = earlier(server.pid());
    assert_eq!(found["ssl_objects"], 0, "{found:#}");
    let perhaps = found["perhaps_ssl_objects"].as_u64().unwrap();
    assert!(perhaps >= 12, "{found:#}");
    assert!(said.contains(&format!("at most {perhaps}, by a scan")), "{said}");
    assert!(said.contains("cannot be told whether they are in use or freed"), "{said}");
    for client in clients {
        client.close(Talk::Redis);
    }
}
