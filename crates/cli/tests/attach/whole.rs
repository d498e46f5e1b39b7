//! `record --pid --heap`: all that a process asks for from the attach on is counted as the process
//! counts it itself, and everything is put back.

use serde_json::Value;

use crate::clients::Talk;
use crate::daemons;
use crate::needed;
use crate::process::{child, is_counted, is_put_back, wait_for};
use crate::program::{self, path};
use crate::recording::Recorded;
use crate::rounds::{ROUNDS, rounds_with};
use crate::workshop::{Asked, Workshop};
use rustix::process::Signal;

/// What the program says of itself: blocks and mappings given since its start, and bytes that it
/// holds of either.
#[derive(Clone, Copy, Debug)]
struct Said {
    blocks: u64,
    bytes: u64,
    mappings: u64,
    mapped: u64,
    /// Blocks that it holds.
    kept: u64,
}

impl Said {
    fn of(answer: &str) -> Said {
        let mut numbers = answer.split(' ').filter_map(|word| word.parse().ok());
        let mut next = || numbers.next().unwrap_or_else(|| panic!("{answer}"));
        let (blocks, bytes, mappings, mapped) = (next(), next(), next(), next());
        Said { blocks, bytes, mappings, mapped, kept: next() }
    }
}

fn figure(record: &Value, of: &str, name: &str) -> u64 {
    record["heap"][of][name].as_u64().unwrap_or_else(|| panic!("{of} {name}: {record:#}"))
}

#[test]
fn what_is_counted_is_what_the_program_counts_itself() {
    let workshop = Workshop::new();
    let whole = workshop.build("whole", &["-pthread"], true);
    let library = workshop.build("given", &["-shared", "-fPIC"], false);
    let load = format!("load {}", path(&library));
    let mut program = Asked::start(&whole, &[]);
    let pid = program.child.id();
    let mut before = Said::of(&program.ask("round 1"));
    for round in 0..3 {
        // The last time, all is given back before the capture.
        let gives_back = round == 2;
        let (record, said, now) = std::thread::scope(|scope| {
            let recording = scope.spawn(|| {
                let recorded = Recorded::of(pid, &["--heap", "--until-idle=2s"]);
                (recorded.record(), recorded.said())
            });
            wait_for(|| is_counted(pid).then_some(()));
            let mut now = Said::of(&program.ask("round 40"));
            if round == 1 {
                // Calls of a library that comes meanwhile.
                program.ask(&load);
                now = Said::of(&program.ask("round 7"));
            }
            if gives_back {
                now = Said::of(&program.ask("free"));
                // OpenSSL is asked, which is what is waited for.
                program.ask("round 0");
            }
            let (record, said) = recording.join().unwrap();
            (record, said, now)
        });
        let given = now.blocks - before.blocks;
        let (of_malloc, of_mmap) = ("counts", "mappings");
        assert_eq!(figure(&record, of_malloc, "alloc_blocks"), given, "{round}: {record:#}");
        let mapped = now.mappings - before.mappings;
        assert_eq!(figure(&record, of_mmap, "alloc_blocks"), mapped, "{round}: {record:#}");
        let held = if gives_back {
            [0, 0]
        } else {
            [now.bytes - before.bytes, now.mapped - before.mapped]
        };
        assert_eq!(figure(&record, of_malloc, "inuse_bytes"), held[0], "{round}: {record:#}");
        assert_eq!(figure(&record, of_mmap, "inuse_bytes"), held[1], "{round}: {record:#}");
        assert!(record["openssl"]["alloc_blocks"].as_u64() > Some(0), "{record:#}");
        assert_eq!(record["processes"][0]["recorder"]["stale_blocks"], 0, "{record:#}");
        // Of before nothing is known, and what is resident is not said to be the allocator's.
        assert!(record["account"].is_null(), "{record:#}");
        assert!(said.contains("of the whole process, what its loader asks"), "{said}");
        if gives_back {
            // Of before everything, and of the rounds before.
            assert_eq!(record["heap"]["earlier_blocks"], 50 + before.kept, "{record:#}");
        }
        is_put_back(pid);
        before = now;
    }
    assert!(program.ends_well());
}

/// Those of `churn.c` that allocate.
const THREADS: u64 = 4;

#[test]
fn a_program_that_is_nearly_always_in_malloc_and_in_the_loader() {
    let workshop = Workshop::new();
    let churn = workshop.build("churn", &["-pthread"], true);
    let mut churning = Asked::start(&churn, &[]);
    let pid = churning.child.id();
    for _ in 0..ROUNDS {
        let record = Recorded::of(pid, &["--heap", "--for", "500ms"]).record();
        assert!(figure(&record, "counts", "alloc_blocks") > 0, "{record:#}");
        // Of each thread one call may be on its way when the process is let go.
        let stale = record["processes"][0]["recorder"]["stale_blocks"].as_u64();
        assert!(stale <= Some(THREADS), "{record:#}");
        is_put_back(pid);
    }
    program::signal(pid, Signal::TERM);
    assert_eq!(churning.child.wait().unwrap().code(), Some(0), "each block was as it was left");
}

#[test]
fn a_worker_of_nginx() {
    let Some(daemon) = daemons::nginx(1) else { return };
    let server = daemon.start();
    rounds_with(&["--heap"], &server, child(server.pid()), Talk::Http, 2);
}

#[test]
fn node_with_many_threads_and_mappings() {
    let Some(node) = needed::program("node") else { return };
    let daemon = daemons::echo_server(&node, "echo.js");
    let server = daemon.start();
    rounds_with(&["--heap"], &server, server.pid(), Talk::Echo, 2);
}

#[test]
fn redis_with_an_allocator_of_its_own() {
    let Some(daemon) = daemons::redis() else { return };
    let server = daemon.start();
    rounds_with(&["--heap"], &server, server.pid(), Talk::Redis, 2);
}
