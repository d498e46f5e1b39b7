//! Stacks of an OpenSSL without frame pointers, the distribution's, while it parses certificates on
//! two threads: every one is the compiler's unwinder's.

use bench::openssl::Openssl;
use bench::{hooks, oracle, roots};
use ledger::Snapshot;
use recorder::StackSource;

#[test]
fn every_stack_is_the_unwinders() {
    let openssl = match Openssl::distribution() {
        Ok(openssl) => openssl,
        Err(missing) => return skip(&missing),
    };
    if !roots::are_installed() {
        return skip("ca-certificates");
    }
    if StackSource::best() != StackSource::UnwindTables {
        return skip("unwind tables (x86-64 and a C library since 2.35)");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let hooks = hooks::recorder(StackSource::UnwindTables, folder.path());
    let hooks = hooks.expect("first in this process");
    oracle::above(hooks).put_into(&openssl).expect("it has not allocated");
    // Some 40,000 allocations each time.
    std::thread::spawn(move || roots::load(&openssl)).join().expect("it ends well");
    roots::load(&openssl);
    roots::load(&openssl);

    let ledger = oracle::ledger_in(folder.path()).expect("one ledger");
    let verdict = oracle::verdict(&ledger).expect("a ledger of this process");
    println!("{}", verdict.describe());
    assert!(verdict.compared >= 100_000);
    assert_eq!(verdict.contradictions, 0, "{:#?}", verdict.examples);
    assert_eq!((verdict.without_site, verdict.unwinder_ended), (0, 0));
    let snapshot = Snapshot::read_file(&ledger).expect("a ledger of this process");
    assert_eq!(snapshot.totals().alloc_blocks, verdict.compared);
    assert!(verdict.truncated_share() <= 0.01);
}

/// Where everything is installed that the tests need, nothing may be skipped.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
