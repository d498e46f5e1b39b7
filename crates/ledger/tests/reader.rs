//! Files that are no ledgers, ledgers that are cut, and ledgers that lie.

use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use contract::{Domain, Source};
use ledger::layout::{
    CellRecord, Header, OLDEST_VERSION, PAGE, Regions, SITE_SOURCE_SHIFT, SiteRecord, TABLES,
    VERSION,
};
use ledger::{Capacities, FRAMES_PER_SITE, LedgerError, Sampling, Snapshot, Statistic};
use ledger_writer::{Account, Lease, Ledger, Share, SiteId, SiteKey, StackEnd};

const CAPACITIES: Capacities = Capacities { sites: 100, frames: 1000, cells: 200 };

/// A ledger with a bit of everything.
static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let ledger = Ledger::create(&path, CAPACITIES).expect("a new file");
    ledger.store_modules(
        b"1000-3000 r-xp 00002000 fe:00 77    /usr/lib/libcrypto.so\n\
          4000-5000 rw-p 00000000 00:00 0    [heap]\n",
    );
    let files = [ledger.add_file(b"crypto/mem.c"), ledger.add_file(b"ssl/ssl_lib.c"), None];
    let frames: Vec<usize> = (0..FRAMES_PER_SITE).map(|at| 0x1000 + at).collect();
    let accounts = [Account::default()];
    let mut lease = Lease::default();
    for (number, depth) in [0, 1, 40, FRAMES_PER_SITE].into_iter().enumerate() {
        let end = if depth == FRAMES_PER_SITE { StackEnd::Cut } else { StackEnd::Root };
        let site = ledger
            .add_site(key(number, 0, &frames[..depth]), files[number % 3], end)
            .expect("room for a site");
        for bytes in [100, 2000] {
            let cell = ledger.claim_cell(site, 1).expect("room for a cell");
            ledger.count_allocation(cell, bytes, share(&accounts, &mut lease));
            ledger.count_allocation(cell, 1, share(&accounts, &mut lease));
            ledger.count_free(cell, bytes, share(&accounts, &mut lease));
        }
        ledger.spill_free(site, 1);
    }
    let dropped = ledger.claim_cell(SiteId::DROPPED, 1).expect("room for a cell");
    ledger.count_allocation(dropped, 33, share(&accounts, &mut lease));
    ledger.add(Statistic::ForeignFrees, 3);
    std::fs::read(&path).expect("the file just made")
});

/// A site's key, at line 7.
fn key(number: usize, block_bytes: u64, frames: &[usize]) -> SiteKey<'_> {
    SiteKey {
        source: Source::openssl(number as u8),
        file_pointer: number,
        line: 7,
        block_bytes,
        frames,
    }
}

fn share<'a>(accounts: &'a [Account; 1], lease: &'a mut Lease) -> Share<'a, [Account]> {
    Share { account: &accounts[0], lease, accounts }
}

fn regions() -> Regions {
    Regions::of(&CAPACITIES)
}

/// What the reader says, in memory and from a file alike, the file's name aside.
fn error(bytes: &[u8]) -> String {
    let in_memory = Snapshot::read(bytes, "the.ledger").expect_err("no ledger").to_string();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("ledger");
    std::fs::write(&path, bytes).expect("a new file");
    let from_file = Snapshot::read_file(&path).expect_err("no ledger").to_string();
    assert_eq!(from_file.replace(&*path.to_string_lossy(), "the.ledger"), in_memory);
    in_memory
}

fn patched(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut bytes = REAL.clone();
    bytes[offset..offset + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn a_real_ledger_is_read_in_full() {
    let snapshot = Snapshot::read(&REAL, "the.ledger").expect("a real ledger");
    assert_eq!(snapshot.pid, std::process::id());
    assert_eq!(snapshot.modules.len(), 1);
    let depths: Vec<usize> = snapshot.sites.iter().map(|site| site.stack.len()).collect();
    assert_eq!(depths, [0, 1, 40, FRAMES_PER_SITE]);
    let files: Vec<_> = snapshot.sites.iter().map(|site| site.file.as_deref()).collect();
    let mem = Some("crypto/mem.c");
    assert_eq!(files, [mem, Some("ssl/ssl_lib.c"), None, mem]);
    let sources: Vec<Source> = snapshot.sites.iter().map(|site| site.source).collect();
    assert_eq!(sources, [0, 1, 2, 3].map(Source::openssl));
    for site in &snapshot.sites {
        assert_eq!((site.counts.inuse_blocks, site.counts.inuse_bytes), (1, 1));
        assert_eq!((site.counts.alloc_blocks, site.counts.alloc_bytes), (4, 2102));
        assert_eq!(site.truncated, site.stack.len() == FRAMES_PER_SITE);
    }
    assert_eq!(snapshot.statistics.dropped.inuse_bytes, 33);
    assert_eq!(snapshot.statistics.truncated_stacks, 1);
    assert_eq!(snapshot.statistics.foreign_frees, 3);
}

#[test]
fn a_ledger_cut_at_the_border_of_any_region_is_refused() {
    let Regions { modules, strings, sites, frames, cells, end } = regions();
    for border in [modules, strings, sites, frames, cells] {
        for cut in [border - 1, border, border + 1] {
            let expected = if cut < PAGE {
                format!(
                    "the.ledger: offset 0: length of the file: expected at least 4096 bytes, \
                     found {cut}"
                )
            } else {
                format!("the.ledger: offset {cut}: end of the file: expected {end}, found {cut}")
            };
            assert_eq!(error(&REAL[..cut as usize]), expected);
        }
    }
    let cut = end - 1;
    let expected =
        format!("the.ledger: offset {cut}: end of the file: expected {end}, found {cut}");
    assert_eq!(error(&REAL[..cut as usize]), expected);
}

#[test]
fn a_ledger_with_something_behind_it_is_refused() {
    let end = regions().end;
    let mut bytes = REAL.clone();
    bytes.push(0);
    let found = end + 1;
    assert_eq!(
        error(&bytes),
        format!("the.ledger: offset {found}: end of the file: expected {end}, found {found}")
    );
}

#[test]
fn a_file_that_is_no_ledger_is_said_to_be_none() {
    let foreign =
        "the.ledger: not a tlsheap ledger: expected \"tlsheap\\\\x00\" at offset 0, found ";
    assert_eq!(error(b""), format!("{foreign}\"\""));
    assert_eq!(error(b"tls"), format!("{foreign}\"tls\""));
    assert_eq!(error(b"#!/bin/sh\necho"), format!("{foreign}\"#!/bin/s\""));
    assert_eq!(error(&[0; 8192]), format!("{foreign}\"{}\"", "\\\\x00".repeat(8)));
}

#[test]
fn another_version_is_named_with_the_way_out() {
    for other in [OLDEST_VERSION - 1, VERSION + 1] {
        let bytes = patched(offset_of!(Header, version), &other.to_le_bytes());
        let expected = format!(
            "the.ledger: ledger of version {other}, this tlsheap reads versions {OLDEST_VERSION} \
             to {VERSION}: read it with the tlsheap that recorded it"
        );
        assert_eq!(error(&bytes), expected);
    }
}

#[test]
fn a_ledger_from_before_there_were_domains_has_openssls_alone() {
    let bytes = patched(offset_of!(Header, version), &5_u32.to_le_bytes());
    let old = Snapshot::read(&bytes, "the.ledger").expect("version 5 is read");
    assert_eq!(old, Snapshot::read(&REAL, "the.ledger").expect("a real ledger"));
    assert!(old.sites.iter().all(|site| site.source.domain == Domain::Openssl));
}

#[test]
fn the_domain_of_a_site_is_read_and_an_unknown_one_refused() {
    let flags = regions().sites as usize + offset_of!(SiteRecord, flags);
    let heap = Source { domain: Domain::Heap, instance: 7 };
    let number = u32::from(heap.number()) << SITE_SOURCE_SHIFT;
    let snapshot = Snapshot::read(&patched(flags, &number.to_le_bytes()), "the.ledger");
    assert_eq!(snapshot.expect("a real ledger").sites[0].source, heap);
    assert_eq!(
        error(&patched(flags, &0x0009_0000_u32.to_le_bytes())),
        format!(
            "the.ledger: offset {flags}: source of a site: expected a domain below {}, found 9",
            Domain::ALL.len()
        )
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = Snapshot::read_file(Path::new("/no/such/ledger")).expect_err("no file");
    let error = error.to_string();
    assert!(error.starts_with("/no/such/ledger: cannot read the ledger: "), "{error}");
}

#[test]
fn a_file_that_claims_more_than_memory_holds_is_refused_and_not_believed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let huge = Capacities { sites: 1, frames: 1, cells: u32::MAX };
    // Some 256 GiB, none of them on disk.
    Ledger::create(&path, huge).expect("a sparse file");
    let file = File::options().write(true).open(&path).expect("the file just made");
    let cells_used = offset_of!(Header, cells_used) as u64;
    file.write_all_at(&u64::from(u32::MAX).to_ne_bytes(), cells_used).expect("it is writable");
    let error = Snapshot::read_file(&path).expect_err("too much").to_string();
    assert!(error.contains("length of the used part of a region"), "{error}");
}

#[test]
fn a_number_that_cannot_be_is_named_with_its_place() {
    let Regions { modules, strings, sites, cells, end, .. } = regions();
    let second = sites + size_of::<SiteRecord>() as u64;
    let most = Capacities::MOST_SITES;
    let largest = u32::MAX - 2; // u32::MAX means something in some places
    let lies = [
        (offset_of!(Header, site_capacity) as u64, 0, format!("1 to {most}"), "room for sites"),
        (offset_of!(Header, file_bytes) as u64, 5, end.to_string(), "length in the header"),
        (
            second + offset_of!(SiteRecord, depth) as u64,
            FRAMES_PER_SITE as u32 + 1,
            format!("at most {FRAMES_PER_SITE}"),
            "depth of a stack",
        ),
        (
            second + offset_of!(SiteRecord, file) as u64,
            largest,
            "below 40".into(),
            "place of a file name",
        ),
        (
            second + offset_of!(SiteRecord, frames_start) as u64,
            largest,
            format!("at most {}", 1 + 40 + FRAMES_PER_SITE - 1),
            "first frame of a stack",
        ),
        (strings + 4, largest, "at most 32".into(), "length of a file name"),
        (cells + offset_of!(CellRecord, site) as u64, 101, "at most 100".into(), "site of a cell"),
    ];
    for (offset, found, expected, what) in lies {
        assert_eq!(
            error(&patched(offset as usize, &u32::to_ne_bytes(found))),
            format!("the.ledger: offset {offset}: {what}: expected {expected}, found {found}")
        );
    }
    assert_eq!(
        error(&patched(modules as usize, b"hello")),
        format!(
            "the.ledger: offset {modules}: memory map of the process: expected line 1 in the form \
             of /proc/PID/maps, found hello3000 r-xp 00002000 fe:00 77    /usr/lib/libcrypto.so"
        )
    );
}

#[test]
fn a_mark_beyond_the_end_of_its_region_means_that_the_region_is_full() {
    let mut bytes = REAL.clone();
    for mark in [
        offset_of!(Header, strings_used),
        offset_of!(Header, sites_used),
        offset_of!(Header, frames_used),
        offset_of!(Header, cells_used),
        offset_of!(Header, tables_used),
    ] {
        bytes[mark..mark + 8].copy_from_slice(&u64::MAX.to_ne_bytes());
    }
    let snapshot = Snapshot::read(&bytes, "the.ledger").expect("what lies in the regions is right");
    assert_eq!(snapshot.sites.len(), CAPACITIES.sites as usize);
    assert!(snapshot.statistics.ledger_bytes <= regions().end);
    assert_eq!(snapshot.totals().inuse_bytes, 4 + 33);
}

#[test]
fn tables_are_listed_as_long_as_there_is_room_and_counted_beyond() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let ledger = Ledger::create(&path, CAPACITIES).expect("a new file");
    ledger.add_table(0x10_0000, 0x2000);
    let snapshot = Snapshot::read_file(&path).expect("a ledger");
    assert_eq!(snapshot.tables.first(), Some(&(0x10_0000..0x10_2000)));
    assert_eq!(snapshot.tables.len(), 1);
    // One that has grown needs no further place.
    ledger.add_table(0x10_2000, 0x1000);
    let snapshot = Snapshot::read_file(&path).expect("a ledger");
    assert_eq!(snapshot.tables.first(), Some(&(0x10_0000..0x10_3000)));
    assert_eq!(snapshot.tables.len(), 1);
    for at in 0..TABLES {
        ledger.add_table(0x20_0000 + at * 0x2000, 0x1000);
    }
    let snapshot = Snapshot::read_file(&path).expect("a ledger");
    assert_eq!(snapshot.tables.len(), TABLES);
    assert_eq!(snapshot.statistics.private_bytes, 0x3000 + TABLES as u64 * 0x1000);
}

#[test]
fn counts_beyond_all_measure_add_up_to_the_largest_number() {
    let place = regions().cells as usize + offset_of!(CellRecord, alloc_bytes);
    let bytes = patched(place, &(u64::MAX - 10_000).to_ne_bytes());
    let mut snapshot = Snapshot::read(&bytes, "the.ledger").expect("counts are not judged");
    let copy = snapshot.sites[0].clone();
    snapshot.sites.push(copy);
    assert_eq!(snapshot.totals().alloc_bytes, u64::MAX);
}

/// Numbers at which arithmetic goes wrong, and others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        (0..64_u32, -1..2_i64).prop_map(|(bit, near)| (1_u64 << bit).wrapping_add_signed(near)),
        (0..=200_u64).prop_map(|below| u64::MAX - below),
    ]
}

/// A place in the part of a region that is in use, or a bit behind it.
fn place() -> impl Strategy<Value = usize> {
    let Regions { modules, strings, sites, frames, cells, .. } = regions();
    prop_oneof![
        4 => 8..size_of::<Header>(),
        1 => modules as usize..modules as usize + 200,
        1 => strings as usize..strings as usize + 60,
        3 => sites as usize..sites as usize + 5 * size_of::<SiteRecord>(),
        1 => frames as usize..frames as usize + 1400,
        3 => cells as usize..cells as usize + 12 * size_of::<CellRecord>(),
    ]
}

/// Whatever comes out can be used.
fn assert_usable(read: Result<Snapshot, LedgerError>) {
    match read {
        Ok(snapshot) => {
            let _ = snapshot.totals();
            assert!(snapshot.sites.len() as u64 <= snapshot.statistics.site_capacity);
            for site in &snapshot.sites {
                assert!(site.stack.len() <= FRAMES_PER_SITE);
            }
        }
        Err(error) => assert!(error.to_string().starts_with("the.ledger: "), "{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..9000)) {
        assert_usable(Snapshot::read(&bytes, "the.ledger"));
    }

    #[test]
    fn an_arbitrary_header_never_panics(
        header in vec(any::<u8>(), PAGE as usize),
        keep in prop_oneof![
            Just(offset_of!(Header, version)),
            Just(offset_of!(Header, frames_per_site)),
            Just(offset_of!(Header, modules_used)),
            Just(offset_of!(Header, statistics)),
        ],
    ) {
        let mut bytes = REAL.clone();
        bytes[keep..PAGE as usize].copy_from_slice(&header[keep..]);
        assert_usable(Snapshot::read(&bytes, "the.ledger"));
    }

    #[test]
    fn a_real_ledger_with_wrong_numbers_never_panics(
        wrong in vec((place(), number(), prop_oneof![Just(4_usize), Just(8)]), 1..8),
    ) {
        let mut bytes = REAL.clone();
        for (place, number, size) in wrong {
            let place = place / size * size;
            bytes[place..place + size].copy_from_slice(&number.to_ne_bytes()[..size]);
        }
        assert_usable(Snapshot::read(&bytes, "the.ledger"));
    }

    #[test]
    fn a_real_ledger_with_wrong_bytes_never_panics(
        wrong in vec((place(), any::<u8>()), 1..20),
        length in prop_oneof![
            3 => Just(usize::MAX),
            1 => any::<prop::sample::Index>().prop_map(|at| at.index(REAL.len())),
        ],
    ) {
        let mut bytes = REAL.clone();
        for (place, byte) in wrong {
            bytes[place] = byte;
        }
        bytes.truncate(length);
        assert_usable(Snapshot::read(&bytes, "the.ledger"));
    }
}

#[test]
fn a_sampled_ledger_is_read_as_estimates_that_add_up() {
    let sampling = Sampling::every(1000).expect("an interval");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let ledger = Ledger::create(&path, CAPACITIES).expect("a new file");
    ledger.set_sampling(sampling);
    let accounts = [Account::default()];
    let mut lease = Lease::default();
    let sizes = [50, 1000, 50_000];
    for bytes in sizes {
        let end = StackEnd::Root;
        let frames = &[1, 2];
        let site = ledger.add_site(key(0, bytes, frames), None, end).expect("room for a site");
        assert!(ledger.site_is(site, key(0, bytes, frames)));
        assert!(!ledger.site_is(site, key(0, bytes + 1, frames)));
        let cell = ledger.claim_cell(site, 1).expect("room for a cell");
        let weight = sampling.weight(bytes);
        for _ in 0..3 {
            ledger.count_allocation(cell, weight, share(&accounts, &mut lease));
        }
        ledger.count_free(cell, weight, share(&accounts, &mut lease));
    }
    let snapshot = Snapshot::read_file(&path).expect("a ledger");
    assert_eq!(snapshot.sampling, Some(sampling));
    for (site, bytes) in snapshot.sites.iter().zip(sizes) {
        assert_eq!(site.block_bytes, bytes);
        let (two, three) = (sampling.estimate(bytes, 2), sampling.estimate(bytes, 3));
        for (estimate, whole) in [
            (two.blocks, site.counts.inuse_blocks),
            (two.bytes, site.counts.inuse_bytes),
            (three.blocks, site.counts.alloc_blocks),
            (three.bytes, site.counts.alloc_bytes),
        ] {
            assert!((estimate - whole as f64).abs() <= 1.0, "{estimate} is not {whole}");
        }
    }
    // The highest total is found by weights: at the last allocation, before its site's free.
    let peak: Vec<u64> = snapshot.sites.iter().map(|site| site.counts.peak_blocks).collect();
    let expected: Vec<f64> = sizes
        .iter()
        .zip([2, 2, 3])
        .map(|(bytes, counted)| sampling.estimate(*bytes, counted).blocks)
        .collect();
    for (whole, estimate) in peak.iter().zip(&expected) {
        assert!((estimate - *whole as f64).abs() <= 1.0, "{peak:?} is not {expected:?}");
    }
    assert_eq!(
        Snapshot::read_file(&path).expect("a ledger"),
        snapshot,
        "nothing is left to chance"
    );
}

#[test]
fn bytes_between_samples_have_a_bound() {
    let place = offset_of!(Header, sample_interval);
    let message = error(&patched(place, &u32::MAX.to_ne_bytes()));
    assert!(message.contains("bytes between samples: expected at most 1073741824"), "{message}");
}
