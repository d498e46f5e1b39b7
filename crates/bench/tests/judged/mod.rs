//! The distribution's OpenSSL in this process, with the compiler's unwinder above the recorder.

use std::path::Path;

use bench::openssl::Openssl;
use bench::oracle::Verdict;
use bench::{hooks, oracle};
use ledger::Snapshot;
use recorder::StackSource;

/// OpenSSL with the judge and the recorder in it, whose ledger is in `folder`. `None`, and a word
/// of why, where one of them cannot be had. Once a process.
pub fn openssl(folder: &Path) -> Option<Openssl> {
    let openssl = match Openssl::distribution() {
        Ok(openssl) => openssl,
        Err(missing) => {
            skip(&missing);
            return None;
        }
    };
    if StackSource::best() != StackSource::UnwindTables {
        skip("unwind tables (x86-64 and a C library since 2.35)");
        return None;
    }
    let hooks = hooks::recorder(StackSource::UnwindTables, folder).expect("first in this process");
    oracle::above(hooks).put_into(&openssl).expect("it has not allocated");
    Some(openssl)
}

/// Checks that every one of at least 100,000 allocations is in the ledger with the unwinder's
/// stack, or, one in 100 at most, with the innermost part of it.
pub fn check(folder: &Path) -> Verdict {
    let ledger = oracle::ledger_in(folder).expect("one ledger");
    let verdict = oracle::verdict(&ledger).expect("a ledger of this process");
    println!("{}", verdict.describe());
    assert!(verdict.compared >= 100_000);
    assert_eq!(verdict.contradictions, 0, "{:#?}", verdict.examples);
    assert_eq!((verdict.without_site, verdict.unwinder_ended), (0, 0));
    let snapshot = Snapshot::read_file(&ledger).expect("a ledger of this process");
    assert_eq!(snapshot.totals().alloc_blocks, verdict.compared);
    assert!(verdict.truncated_share() <= 0.01);
    verdict
}

/// Where everything is installed that the tests need, nothing may be skipped.
pub fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
