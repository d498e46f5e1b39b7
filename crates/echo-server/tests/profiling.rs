//! The recorder between OpenSSL and jemalloc, in a process of its own and without a test harness:
//! it has to come first.

mod harness;

use std::path::Path;

use echo_server::profiling::{self, InstallError, ProfilingError, options_at};
use harness::{Running, check_echo};

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    profiling::install(&options_at(&ledger)).unwrap();
    assert!(matches!(
        profiling::install(&options_at(folder.path().join("second"))),
        Err(ProfilingError::Recorder(InstallError::AlreadyInstalled))
    ));

    let server = Running::standard("node-0.4");
    // What OpenSSL sets up once per process and thread: as many as surely reach every thread, each
    // of which keeps about 5.5 KB.
    drop((0..20).map(|_| server.connect()).collect::<Vec<_>>());
    let before = settled(&server, &ledger);
    let mut streams: Vec<_> = (0..5).map(|_| server.connect().0).collect();
    for stream in &mut streams {
        check_echo(stream, 1000);
    }
    let during = in_use(&ledger);
    // The server's ends hold zlib's state and the roots, the clients' ends zlib's state.
    assert!(during > before + 5 * 1_700_000, "{before} bytes in use, then {during}");

    drop(streams);
    let after = settled(&server, &ledger);
    assert!(after <= before + before / 50, "{before} bytes in use before, {after} after");
    assert!(matches!(
        profiling::install(&options_at(folder.path().join("third"))),
        Err(ProfilingError::Threads { .. })
    ));
    server.stop();
    println!("5 connections: {before} bytes, {during}, {after}");
    println!("test profiling counts what OpenSSL allocates ... ok");
}

/// Bytes that OpenSSL holds once the server has let go of every connection.
fn settled(server: &Running, ledger: &Path) -> u64 {
    while server.counters.open() > 0 {
        std::thread::yield_now();
    }
    in_use(ledger)
}

/// Bytes that OpenSSL holds, according to the ledger.
fn in_use(ledger: &Path) -> u64 {
    let bytes = std::fs::read(ledger).unwrap();
    let snapshot = ledger::Snapshot::read(&bytes, "ledger").unwrap();
    snapshot.totals().inuse_bytes
}
