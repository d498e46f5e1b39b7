//! A ledger that was accepted can be made into a profile.

use ::ledger::{Capacities, Sampling, Snapshot, Statistic};
use contract::Source;
use ledger_writer::{Account, Lease, Ledger, Share, SiteKey, StackEnd};
use profile::{Symbols, from_ledger, pprof};

use crate::Answer;

/// Reads a ledger.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(mut snapshot) = Snapshot::read(bytes, "fuzzed") else { return Answer::Refused };
    // The files that it names are this machine's: fuzzing must not open them.
    for module in &mut snapshot.modules {
        module.path.insert_str(0, "/nonexistent/");
    }
    pprof::write(&from_ledger(&snapshot, &mut Symbols::new()));
    Answer::Read
}

/// A ledger with a bit of everything, and one of a sample.
pub fn seeds() -> Vec<Vec<u8>> {
    [None, Sampling::every(65_536)].map(made).into()
}

fn made(sampling: Option<Sampling>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let capacities = Capacities { sites: 10, frames: 100, cells: 20 };
    let ledger = Ledger::create(&path, capacities).expect("a new file");
    if let Some(sampling) = sampling {
        ledger.set_sampling(sampling);
    }
    ledger.store_modules(
        b"1000-3000 r-xp 00002000 fe:00 77    /usr/lib/libcrypto.so\n\
          4000-5000 rw-p 00000000 00:00 0    [heap]\n",
    );
    let files = [ledger.add_file(b"crypto/mem.c"), ledger.add_file(b"ssl/ssl_lib.c"), None];
    let frames: Vec<usize> = (0..20).map(|at| 0x1000 + at).collect();
    let accounts: &[Account] = &[Account::default()];
    let mut lease = Lease::default();
    for (number, depth) in [0, 1, 20].into_iter().enumerate() {
        let key = SiteKey {
            source: Source::openssl(number as u8),
            file_pointer: number,
            line: 7,
            block_bytes: sampling.map_or(0, |_| 100),
            frames: &frames[..depth],
        };
        let end = if depth == 20 { StackEnd::Cut } else { StackEnd::Root };
        let site = ledger.add_site(key, files[number], end).expect("room for a site");
        let cell = ledger.claim_cell(site, 1).expect("room for a cell");
        for _ in 0..2 {
            let share = Share { account: &accounts[0], lease: &mut lease, accounts };
            ledger.count_allocation(cell, 100, share);
        }
        let share = Share { account: &accounts[0], lease: &mut lease, accounts };
        ledger.count_free(cell, 100, share);
    }
    ledger.add(Statistic::ForeignFrees, 3);
    std::fs::read(&path).expect("the file just made")
}
