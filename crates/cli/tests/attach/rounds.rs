//! Rounds of attaching and letting go, while clients come and go.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::clients::{Client, Talk};
use crate::process::is_put_back;
use crate::recording::Recorded;
use crate::server::Server;

/// Attaches and lets go so many times; the long run does it a hundred times.
pub const ROUNDS: usize = 5;

/// Runs `work` while clients come and go. One that is not answered as it should be fails the test.
pub fn under_load<T>(port: u16, talk: Talk, clients: usize, work: impl FnOnce() -> T) -> T {
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Client::open(port, talk).close(talk);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Whatever becomes of the work, the clients end.
        let end = End(&over);
        let done = work();
        drop(end);
        assert!(answered.load(Ordering::Relaxed) > 0);
        done
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Attaches to the process and lets it go, some times, under load.
pub fn rounds(server: &Server, pid: u32, talk: Talk, clients: usize) {
    rounds_with(&[], server, pid, talk, clients);
}

/// The same with options of `record`.
pub fn rounds_with(options: &[&str], server: &Server, pid: u32, talk: Talk, clients: usize) {
    let recorded = under_load(server.port, talk, clients, || {
        let all: Vec<Value> = (0..ROUNDS)
            .map(|_| {
                let recorded = Recorded::of(pid, &[&["--for", "700ms"], options].concat());
                let record = recorded.record();
                let said = recorded.said();
                assert!(said.contains("what was there before is not counted"), "{said}");
                is_put_back(pid);
                record
            })
            .collect();
        all
    });
    for record in &recorded {
        let attached = &record["attached"];
        assert_eq!(attached["pid"], pid, "{record:#}");
        assert!(attached["processes"][0]["let_go_stopped_seconds"].is_number(), "{record:#}");
        assert_eq!(record["ended"], "goes on");
        let processes = record["processes"].as_array().unwrap();
        // Those that it has forked may have ended before.
        let own = processes.iter().filter(|process| process["pid"] == pid);
        for openssl in own.flat_map(|it| it["openssls"].as_array().unwrap()) {
            assert_eq!(openssl["outcome"], "detached", "{record:#}");
        }
    }
    let counted = |record: &Value| record["openssl"]["alloc_blocks"].as_u64().unwrap();
    assert!(recorded.iter().any(|record| counted(record) > 0), "{recorded:#?}");
    // The last answers are as the first.
    Client::open(server.port, talk).close(talk);
    assert!(Path::new(&format!("/proc/{pid}")).exists());
}
