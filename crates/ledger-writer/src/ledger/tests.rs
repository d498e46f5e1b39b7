//! A ledger as its own process sees it. Miri runs this too, and the tests of the peak; mappings are
//! for good, so that what is left at the end is no leak:
//!
//! ```sh
//! MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" \
//!     cargo +nightly miri test -p ledger-writer --lib
//! ```

use contract::Source;
use ledger::Snapshot;

use super::*;
use crate::account::{Account, Lease};

const CAPACITIES: Capacities = Capacities { sites: 4, frames: 64, cells: 8 };
const THREADS: usize = 2;
const EVENTS: u64 = if cfg!(miri) { 40 } else { 40_000 };

/// What is in the ledger now. Nobody counts meanwhile.
fn read(ledger: &Ledger) -> Snapshot {
    let (start, length) = (ledger.mapping.place::<u8>(0), ledger.regions.end as usize);
    if !cfg!(miri) {
        // Pages that nobody has touched are beyond what was reserved, and read as zeros.
        assert!(ledger.mapping.populate(0, ledger.regions.end));
    }
    // SAFETY: the whole mapping, which nobody changes while the slice is there.
    let bytes = unsafe { std::slice::from_raw_parts(start.cast_const(), length) };
    Snapshot::read(bytes, "the.ledger").expect("a ledger of our own")
}

#[test]
fn what_threads_count_is_what_a_reader_adds_up() {
    let folder = (!cfg!(miri)).then(|| tempfile::tempdir().expect("a temporary folder"));
    let path = folder.as_ref().map_or("ledger".into(), |folder| folder.path().join("ledger"));
    let ledger = Ledger::create(&path, CAPACITIES).expect("a new file");
    ledger.store_modules(b"1000-3000 r-xp 00002000 fe:00 77    /usr/lib/libcrypto.so\n");
    ledger.add_modules(b"4000-5000 r-xp 00000000 fe:00 78    /usr/lib/libssl.so\n");
    let file = ledger.add_file(b"crypto/mem.c").expect("room for a name");
    let frames = [0x1000, 0x2000];
    let source = Source::openssl(0);
    let key = SiteKey { source, file_pointer: 1, line: 7, block_bytes: 0, frames: &frames };
    let site = ledger.add_site(key, Some(file), StackEnd::Root).expect("room for a site");
    assert!(ledger.site_is(site, key) && !ledger.site_is(site, SiteKey { line: 8, ..key }));

    let accounts: [Account; THREADS] = Default::default();
    std::thread::scope(|scope| {
        for (at, account) in accounts.iter().enumerate() {
            let (ledger, accounts) = (&ledger, &accounts[..]);
            scope.spawn(move || {
                let mut lease = Lease::default();
                let cell = ledger.claim_cell(site, at as u32 + 1).expect("room for a cell");
                let cells = ledger.cells();
                assert_eq!(cells.cell(cells.number(cell)), cell);
                for event in 1..=EVENTS {
                    let share = Share { account, lease: &mut lease, accounts };
                    ledger.count_allocation(cell, event, share);
                    if event % 2 == 0 {
                        let share = Share { account, lease: &mut lease, accounts };
                        ledger.count_free(cell, event, share);
                    }
                }
            });
        }
    });
    ledger.spill_free(site, 1);

    let snapshot = read(&ledger);
    let [site] = &snapshot.sites[..] else { panic!("{:?}", snapshot.sites) };
    assert_eq!((site.line, &site.stack[..]), (7, &[0x1000, 0x2000][..]));
    assert_eq!(snapshot.modules.len(), 2);
    let (threads, odd) = (THREADS as u64, EVENTS / 2);
    assert_eq!(site.counts.alloc_bytes, threads * EVENTS * (EVENTS + 1) / 2);
    assert_eq!(site.counts.inuse_blocks, threads * odd - 1);
    assert_eq!(site.counts.inuse_bytes, threads * odd * odd - 1);
    // The last odd block is the highest of its thread, or the even one before the last free. On a
    // busy machine an event may be given up on, and is said to be unknown to the peak.
    let unsettled = snapshot.statistics.unsettled_events;
    assert!(site.counts.peak_bytes > site.counts.inuse_bytes || unsettled > 0);
}

#[test]
fn the_peak_is_that_of_openssls_bytes_where_it_is_to_be() {
    let folder = (!cfg!(miri)).then(|| tempfile::tempdir().expect("a temporary folder"));
    let path = folder.as_ref().map_or("peak".into(), |folder| folder.path().join("peak"));
    let ledger = Ledger::create(&path, CAPACITIES).expect("a new file");
    ledger.set_peak_of(PeakOf::Openssl);
    let site = |domain| {
        let source = Source { domain, instance: 0 };
        let key = SiteKey { source, file_pointer: 1, line: 7, block_bytes: 0, frames: &[0x1000] };
        ledger.add_site(key, None, StackEnd::Root).expect("room for a site")
    };
    let [openssl, heap] = [Domain::Openssl, Domain::Heap].map(site);

    // A thread of OpenSSL's, and others whose blocks are far larger, and come and go all the time.
    let accounts: [Account; THREADS + 1] = Default::default();
    std::thread::scope(|scope| {
        for (at, account) in accounts.iter().enumerate() {
            let (ledger, accounts) = (&ledger, &accounts[..]);
            scope.spawn(move || {
                let mut lease = Lease::default();
                let (site, bytes) = if at == 0 { (openssl, 1) } else { (heap, 1_000) };
                let cell = ledger.claim_cell(site, at as u32 + 1).expect("room for a cell");
                assert_eq!(cell.owner(), at as u32 + 1);
                for event in 1..=EVENTS {
                    let share = Share { account, lease: &mut lease, accounts };
                    ledger.count_allocation(cell, event * bytes, share);
                    if at != 0 || event > EVENTS / 2 {
                        let share = Share { account, lease: &mut lease, accounts };
                        ledger.count_free(cell, event * bytes, share);
                    }
                }
            });
        }
    });
    let snapshot = read(&ledger);
    assert_eq!(snapshot.peak_of, PeakOf::Openssl);
    let [openssl, heap] = [Domain::Openssl, Domain::Heap].map(|it| snapshot.totals_of(it));
    // The first half of its blocks stays; the largest of the second half lies on top of it.
    let stays: u64 = (1..=EVENTS / 2).sum();
    assert_eq!((openssl.inuse_bytes, openssl.peak_bytes), (stays, stays + EVENTS));
    assert_eq!(heap.inuse_bytes, 0);
    // At that moment each of the others had one block at the most.
    assert!(heap.peak_blocks <= THREADS as u64 && heap.peak_bytes <= EVENTS * 1_000 * 2);
}
