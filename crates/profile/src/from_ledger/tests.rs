use std::sync::Arc;

use ledger::Statistics;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn counts(bytes: u64) -> Counts {
    Counts {
        inuse_blocks: 1,
        inuse_bytes: bytes,
        alloc_blocks: 2,
        alloc_bytes: bytes * 2,
        peak_blocks: 1,
        peak_bytes: bytes + 1,
    }
}

fn site(file: Option<&str>, line: u32, stack: &[u64], bytes: u64) -> Site {
    Site {
        source: Source::default(),
        file: file.map(Arc::from),
        line,
        stack: stack.to_vec(),
        truncated: false,
        block_bytes: 0,
        counts: counts(bytes),
    }
}

fn snapshot(sites: Vec<Site>) -> Snapshot {
    Snapshot { sites, ..Snapshot::default() }
}

/// The frames of each sample as `function file:line`, innermost first.
fn stacks(profile: &Profile) -> Vec<Vec<String>> {
    let frame = |f: Frame<'_>| format!("{} {}:{}", f.function, f.file, f.line);
    profile.samples().iter().map(|sample| profile.frames(sample).map(frame).collect()).collect()
}

/// A builder whose addresses have names: 1 is a wrapper, 2 a wrapper inlined into `memdup_all`,
/// 3 is `zlib_zalloc`, 4 is `main`.
fn with_named_addresses(snapshot: &Snapshot) -> Profile {
    let mut symbols = Symbols::new();
    let mut builder = Builder::new(snapshot, &mut symbols, Profile::of_heap());
    for (address, names) in [
        (1, &["CRYPTO_malloc"][..]),
        (2, &["CRYPTO_malloc", "CRYPTO_memdup", "memdup_all"]),
        (3, &["zlib_zalloc"]),
        (4, &["main"]),
    ] {
        let lines = names
            .iter()
            .map(|name| {
                let function = Function {
                    name: (*name).to_owned(),
                    system_name: (*name).to_owned(),
                    file: "from/symbols.c".to_owned(),
                };
                Line { function: builder.named.profile.function(function), line: 5 }
            })
            .collect();
        let id = builder.named.profile.location(Location { mapping: None, address, lines });
        builder.space.remember(address, AddressKind::Return, id);
    }
    builder.build(snapshot).0
}

#[test]
fn sites_of_two_openssls_are_kept_apart_by_name() {
    let of = |number, bytes| Site { source: Source::openssl(number), ..site(None, 0, &[], bytes) };
    let snapshot = snapshot(vec![of(0, 1), of(1, 20), of(0, 300), of(7, 4_000)]);
    let names = [(0, "libcrypto.so.3 OpenSSL 3"), (1, "wheel.so OpenSSL 4")];
    let names = names.map(|(number, name)| (Source::openssl(number), name.to_owned()));
    let profile = from_recording(&snapshot, &mut Symbols::new(), &names);
    let seen: Vec<_> =
        profile.samples().iter().map(|s| (s.label("openssl"), s.values[1])).collect();
    assert_eq!(
        seen,
        [(None, 4_000), (Some(&*names[0].1), 301), (Some(&*names[1].1), 20)],
        "one that nobody has named is left without a label"
    );
    let without = from_ledger(&snapshot, &mut Symbols::new());
    assert_eq!(without.samples().len(), 1);
    assert_eq!(without.samples()[0].label("openssl"), None);
}

#[test]
fn sites_of_two_domains_are_kept_apart() {
    let of = |domain, bytes| Site {
        source: Source { domain, instance: 0 },
        ..site(None, 0, &[], bytes)
    };
    let snapshot = snapshot(vec![of(Domain::Openssl, 1), of(Domain::Heap, 20)]);
    let profile = from_ledger(&snapshot, &mut Symbols::new());
    let seen: Vec<_> = profile.samples().iter().map(|s| (s.label("domain"), s.values[1])).collect();
    assert_eq!(seen, [(Some("heap"), 20), (Some("openssl"), 1)]);
}

#[test]
fn the_leaf_is_the_function_that_asked_with_the_line_that_openssl_gave() {
    let site = site(Some("../crypto/comp/c_zlib.c"), 43, &[1, 3, 4], 100);
    let profile = with_named_addresses(&snapshot(vec![site]));
    assert_eq!(
        stacks(&profile),
        [["zlib_zalloc crypto/comp/c_zlib.c:43", "main from/symbols.c:5"]]
    );
    assert_eq!(profile.samples()[0].values, [1, 100, 2, 200, 1, 101]);
    assert_eq!(profile.samples()[0].label("domain"), Some("openssl"));
}

#[test]
fn wrappers_inlined_into_their_caller_are_left_out_too() {
    let site = site(Some("crypto/x.c"), 7, &[1, 2, 4], 1);
    let profile = with_named_addresses(&snapshot(vec![site]));
    assert_eq!(stacks(&profile), [["memdup_all crypto/x.c:7", "main from/symbols.c:5"]]);
}

#[test]
fn without_a_file_the_symbols_line_stays_and_an_empty_one_stays_unknown() {
    let profile = with_named_addresses(&snapshot(vec![
        site(None, 0, &[3, 4], 2),
        site(Some(""), 9, &[3, 4], 1),
    ]));
    assert_eq!(
        stacks(&profile),
        [
            ["zlib_zalloc from/symbols.c:5", "main from/symbols.c:5"],
            ["zlib_zalloc :0", "main from/symbols.c:5"],
        ]
    );
}

#[test]
fn sites_that_differ_in_wrappers_only_are_one_sample() {
    let profile = with_named_addresses(&snapshot(vec![
        site(Some("crypto/x.c"), 7, &[1, 3, 4], 10),
        site(Some("crypto/x.c"), 7, &[3, 4], 5),
        site(Some("crypto/x.c"), 8, &[3, 4], 1),
    ]));
    let bytes: Vec<i64> = profile.samples().iter().map(|s| s.values[1]).collect();
    assert_eq!(bytes, [15, 1]);
}

#[test]
fn a_site_is_never_lost_however_little_its_stack_says() {
    let mut cut = site(Some("crypto/x.c"), 7, &[], 3);
    cut.truncated = true;
    let unnamed = site(Some("ssl/y.c"), 8, &[0xdead], 2);
    let only_wrappers = site(Some("ssl/z.c"), 9, &[1], 1);
    let profile = with_named_addresses(&snapshot(vec![only_wrappers, unnamed, cut]));
    assert_eq!(
        stacks(&profile),
        [
            vec!["[no stack] crypto/x.c:7", "[truncated] :0"],
            vec!["[JIT] ssl/y.c:8"],
            vec!["[no stack] ssl/z.c:9"],
        ]
    );
}

#[test]
fn what_was_dropped_is_a_sample_of_its_own() {
    let mut snapshot = snapshot(vec![site(Some("crypto/x.c"), 7, &[4], 3)]);
    snapshot.statistics = Statistics { dropped: counts(1_000), ..Statistics::default() };
    let profile = with_named_addresses(&snapshot);
    assert_eq!(stacks(&profile)[0], ["[dropped sites] :0"]);
    assert_eq!(profile.samples()[0].values, [1, 1_000, 2, 2_000, 1, 1_001]);
}

#[test]
fn processes_with_the_same_files_share_what_was_named() {
    let module = |start| ledger::Module {
        start,
        end: start + 100,
        file_offset: 0,
        inode: 0,
        executable: true,
        path: "/no/such/file".to_owned(),
    };
    // Each has a file of its own as well, without code.
    let own = |start| ledger::Module { executable: false, ..module(start) };
    let process = |pid: u32, start, sites| {
        let modules = vec![module(start), own(9_000 + 100 * u64::from(pid))];
        Snapshot { pid, modules, ..snapshot(sites) }
    };
    let one = site(Some("ssl/a.c"), 7, &[1_001, 1_002], 5);
    let other = site(Some("ssl/b.c"), 8, &[1_003], 9);
    let mut symbols = Symbols::new();
    let mut of = |snapshot: &Snapshot| from_ledger(snapshot, &mut symbols);
    let first = of(&process(1, 1_000, vec![one.clone()]));
    let second = of(&process(2, 1_000, vec![other.clone(), one.clone()]));
    // The kernel has put its file somewhere else.
    let moved = site(Some("ssl/a.c"), 7, &[2_001, 2_002], 5);
    let moved = of(&process(3, 2_000, vec![moved]));
    assert!(first.kin().is_some());
    assert_eq!(first.kin(), second.kin());
    assert_eq!(first.kin(), moved.kin());
    assert_eq!(first.samples()[0].stack, second.samples()[1].stack);
    assert_eq!(first.samples(), moved.samples());
    let shorter = ledger::Module { end: 1_050, ..module(1_000) };
    let other_code = Snapshot { modules: vec![shorter], ..process(4, 1_000, vec![one.clone()]) };
    assert_ne!(first.kin(), of(&other_code).kin());
    // As if each had been alone.
    for (profile, sites) in [(&first, vec![one.clone()]), (&second, vec![one, other])] {
        let alone = from_ledger(&process(9, 1_000, sites), &mut Symbols::new());
        assert_eq!(stacks(profile), stacks(&alone));
        assert_eq!(crate::pprof::write(profile), crate::pprof::write(&alone));
    }
    // A perf map is one process's own.
    let map = crate::symbols::PerfMap::parse("map", b"3eb 1 compiled\n").expect("sound");
    symbols.add_perf_map(2, map);
    let compiled =
        Snapshot { modules: Vec::new(), ..process(2, 1_000, vec![site(None, 0, &[1_004], 1)]) };
    let named = from_ledger(&compiled, &mut symbols);
    assert_eq!((stacks(&named), named.kin()), (vec![vec!["compiled :0".to_owned()]], None));
    let unnamed = from_ledger(&Snapshot { pid: 1, ..compiled }, &mut symbols);
    assert_eq!(stacks(&unnamed), [["[JIT] :0"]]);
}

fn any_counts() -> impl Strategy<Value = Counts> {
    vec(0..1_u64 << 40, 6).prop_map(|n| Counts {
        inuse_blocks: n[0],
        inuse_bytes: n[1],
        alloc_blocks: n[2],
        alloc_bytes: n[3],
        peak_blocks: n[4],
        peak_bytes: n[5],
    })
}

fn any_site() -> impl Strategy<Value = Site> {
    let file = proptest::option::of(prop_oneof!["crypto/[ab].c", Just(String::new())]);
    (file, 0..3_u32, vec(0..6_u64, 0..6), any::<bool>(), any_counts()).prop_map(
        |(file, line, stack, truncated, counts)| Site {
            source: Source::default(),
            file: file.map(Arc::from),
            line,
            stack,
            truncated,
            block_bytes: 0,
            counts,
        },
    )
}

#[test]
fn of_a_sample_blocks_of_different_sizes_are_apart_and_know_their_size() {
    let of = |block_bytes, bytes| Site { block_bytes, ..site(Some("ssl/a.c"), 7, &[3, 4], bytes) };
    let sampling = Sampling::every(4096);
    let snapshot = Snapshot { sampling, ..snapshot(vec![of(16, 100), of(48, 900), of(16, 1)]) };
    let profile = with_named_addresses(&snapshot);
    assert_eq!(profile.sampling, sampling);
    let seen: Vec<_> = profile.samples().iter().map(|s| (s.block_bytes(), s.values[1])).collect();
    assert_eq!(seen, [(Some(48), 900), (Some(16), 101)]);
    let comment = &profile.comments[0];
    assert!(comment.contains("one sample in 4096 bytes on average"), "{comment}");
    assert!(comment.contains("1 - exp(-bytes/4096)"), "{comment}");
}

proptest! {
    #[test]
    fn each_column_adds_up_to_the_ledgers_totals(
        sites in vec((any_site(), 1..4_u64), 0..20),
        dropped in any_counts(),
        interval in 0..3_u64,
    ) {
        let sampling = Sampling::every(interval);
        let of = |(site, bytes)| Site {
            block_bytes: if sampling.is_some() { bytes } else { 0 },
            ..site
        };
        let mut snapshot = snapshot(sites.into_iter().map(of).collect());
        snapshot.sampling = sampling;
        snapshot.statistics.dropped = dropped;
        let profile = with_named_addresses(&snapshot);
        let totals: Vec<i64> = (0..6).map(|column| profile.total(column)).collect();
        prop_assert_eq!(totals, values_of(&snapshot.totals()).to_vec());
        prop_assert!(profile.samples().is_sorted_by_key(|s| Reverse(s.values[1])));
    }

    #[test]
    fn the_order_of_the_sites_does_not_matter(sites in vec(any_site(), 0..12)) {
        let mut reversed = sites.clone();
        reversed.reverse();
        let one = with_named_addresses(&snapshot(sites));
        let other = with_named_addresses(&snapshot(reversed));
        prop_assert_eq!(stacks(&one), stacks(&other));
        prop_assert_eq!(one.total(1), other.total(1));
    }
}
