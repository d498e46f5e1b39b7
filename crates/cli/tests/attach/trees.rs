//! Servers of several processes: all of them at once, and those that they start meanwhile.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::clients::{Client, Talk};
use crate::daemons;
use crate::process::{child, children, has_library, is_counted, is_put_back, wait_for};
use crate::program::{path, text, tlsheap};
use crate::recording::Recorded;
use crate::rounds::{ROUNDS, under_load};
use crate::workshop::{Asked, Workshop};

/// Those that were attached to, and each was let go.
fn visited(record: &Value) -> Vec<u32> {
    let processes = record["attached"]["processes"].as_array().unwrap();
    assert!(processes.iter().all(|it| it["let_go_stopped_seconds"].is_number()), "{record:#}");
    processes.iter().map(|it| it["pid"].as_u64().unwrap() as u32).collect()
}

/// What is said of one process.
fn of(pid: u32, record: &Value) -> &Value {
    let processes = record["processes"].as_array().unwrap();
    let found = processes.iter().find(|process| process["pid"] == pid);
    found.unwrap_or_else(|| panic!("{pid}: {record:#}"))
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_master_of_nginx_whose_next_workers_are_recorded() {
    let Some(daemon) = daemons::nginx(1) else { return };
    let server = daemon.start();
    // Workers that come after the attach are recorded from their first allocation on, and let go.
    let old = child(server.pid());
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(server.pid(), &["--for", "4s"]).record());
        wait_for(|| has_library(server.pid()).then_some(()));
        server.signal(Signal::HUP);
        wait_for(|| is_gone(old).then_some(()));
        for _ in 0..5 {
            Client::open(server.port, Talk::Http).close(Talk::Http);
        }
        recording.join().unwrap()
    });
    let new = child(server.pid());
    let worker = of(new, &record);
    assert_eq!(worker["forked_from"], server.pid(), "{record:#}");
    assert!(worker["openssl"]["alloc_blocks"].as_u64() > Some(100), "{record:#}");
    is_put_back(server.pid());
    is_put_back(new);
    // Again, with new ones each time, while clients come and go.
    under_load(server.port, Talk::Http, 2, || {
        for _ in 1..ROUNDS {
            std::thread::scope(|scope| {
                let recording =
                    scope.spawn(|| Recorded::of(server.pid(), &["--for", "1500ms"]).record());
                wait_for(|| is_counted(server.pid()).then_some(()));
                server.signal(Signal::HUP);
                assert_eq!(recording.join().unwrap()["ended"], "goes on");
            });
            is_put_back(server.pid());
        }
    });
    Client::open(server.port, Talk::Http).close(Talk::Http);
}

#[test]
fn all_of_nginx_and_its_next_workers() {
    let Some(daemon) = daemons::nginx(2) else { return };
    let server = daemon.start();
    let workers = wait_for(|| Some(children(server.pid())).filter(|all| all.len() == 2));
    let all = [&[server.pid()], &workers[..]].concat();
    // The same workers, two times.
    for _ in 0..2 {
        let recorded = under_load(server.port, Talk::Http, 2, || {
            Recorded::of(server.pid(), &["--children", "--for", "1s"])
        });
        let (record, said) = (recorded.record(), recorded.said());
        assert_eq!(visited(&record), all);
        assert!(said.contains("One thread of each of the 3 stood still"), "{said}");
        let counted = |pid: &u32| of(*pid, &record)["openssl"]["alloc_blocks"].as_u64().unwrap();
        assert!(workers.iter().map(counted).sum::<u64>() > 100, "{record:#}");
        assert_eq!(record["problems"].as_array().unwrap().len(), 0, "{record:#}");
        for pid in &all {
            is_put_back(*pid);
        }
    }
    // New ones in the midst of it: the old ones go, and the new ones are recorded and let go.
    let record = under_load(server.port, Talk::Http, 2, || {
        std::thread::scope(|scope| {
            let recording =
                scope.spawn(|| Recorded::of(server.pid(), &["--children", "--for", "6s"]).record());
            wait_for(|| all.iter().all(|pid| is_counted(*pid)).then_some(()));
            server.signal(Signal::HUP);
            wait_for(|| workers.iter().all(|pid| is_gone(*pid)).then_some(()));
            recording.join().unwrap()
        })
    });
    let new = children(server.pid());
    assert!(new.len() == 2 && new.iter().all(|pid| !workers.contains(pid)), "{new:?}");
    let counted = |pid: &u32| of(*pid, &record)["openssl"]["alloc_blocks"].as_u64().unwrap();
    assert!(new.iter().map(counted).sum::<u64>() > 100, "{record:#}");
    for pid in &new {
        assert_eq!(of(*pid, &record)["forked_from"], server.pid(), "{record:#}");
        is_put_back(*pid);
    }
    is_put_back(server.pid());
}

#[test]
fn all_of_postgresql_with_a_backend_from_before() {
    let Some(daemon) = daemons::postgresql() else { return };
    let server = daemon.start();
    let postmaster = server.pid();
    let before = children(postmaster);
    let client = Client::open(server.port, Talk::Postgres);
    let backend = wait_for(|| children(postmaster).into_iter().find(|pid| !before.contains(pid)));
    let record = under_load(server.port, Talk::Postgres, 1, || {
        Recorded::of(postmaster, &["--children", "--for", "2s"]).record()
    });
    let visited = record["attached"]["processes"].as_array().unwrap();
    let has = |pid: u32| visited.iter().any(|it| it["pid"] == pid);
    assert!(has(postmaster) && has(backend), "{record:#}");
    // Its writers too, on whose stacks lies what handlers have left.
    for pid in before.into_iter().filter(|pid| !is_gone(*pid)) {
        assert!(has(pid), "{pid}: {record:#}");
        is_put_back(pid);
    }
    // Those of the load were forked by one that was attached to.
    let forked = record["processes"].as_array().unwrap().iter();
    let forked: Vec<&Value> = forked.filter(|it| it["forked_from"] == postmaster).collect();
    assert!(!forked.is_empty(), "{record:#}");
    assert!(forked.iter().any(|it| it["openssl"]["alloc_blocks"].as_u64() > Some(100)));
    is_put_back(postmaster);
    is_put_back(backend);
    client.close(Talk::Postgres);
}

#[test]
fn one_that_cannot_be_attached_to_is_named_and_the_others_are_recorded() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let (mut first, mut second) = (Asked::start(&counted, &[]), Asked::start(&counted, &[]));
    let mut other = Asked::start(&workshop.build("waits", &[], false), &[]);
    let (one, two) = (first.child.id(), second.child.id());
    let tracer = workshop.build("tracer", &[], false);
    let mut tracer = Asked::start(&tracer, &[&two.to_string()]);
    // A group is a folder with this file.
    let group = workshop.0.path().join("group");
    fs::create_dir(&group).unwrap();
    let ids = [one, two, other.child.id()].map(|pid| format!("{pid}\n")).concat();
    fs::write(group.join("cgroup.procs"), ids).unwrap();
    let run = workshop.0.path().join("run");
    let output = std::thread::scope(|scope| {
        let options = ["record", "--cgroup", path(&group), "--until-idle=1s", "--out", path(&run)];
        let recording = scope.spawn(move || tlsheap(&options));
        wait_for(|| is_counted(one).then_some(()));
        first.ask("allocate 70");
        second.ask("allocate 70");
        recording.join().unwrap()
    });
    let said = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(output.status.success(), "{said}");
    let why =
        format!("not seen: process {two} is traced by process {} (tracer)", tracer.child.id());
    assert!(said.contains(&why), "{said}");
    assert!(!said.contains(&format!("process {} ", other.child.id())), "{said}");
    let record: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["attached"]["pid"], Value::Null);
    assert_eq!(record["attached"]["cgroup"], path(&group));
    assert_eq!(visited(&record), [one]);
    assert_eq!(record["openssl"]["alloc_blocks"], 70, "{record:#}");
    is_put_back(one);
    assert!(tracer.ends_well() && first.ends_well() && second.ends_well());

    // Nobody is left who could be attached to.
    let output = tlsheap(&["record", "--cgroup", path(&group), "--for", "0s"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("nobody was attached to: none of them has a TLS library"), "{said}");
    assert!(other.ends_well());
    let output = tlsheap(&["record", "--cgroup", "/no/such/group"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is no control group"), "{said}");
}
