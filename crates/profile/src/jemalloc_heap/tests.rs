use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A dump of two stacks, with a period of 2^17 bytes.
const DUMP: &str = "\
heap_v2/131072
  t*: 3: 200096 [5: 400000]
  t0: 3: 200096 [5: 400000]
@ 0x401235 0x401100
  t*: 1: 200000 [3: 399904]
  t0: 1: 200000 [3: 399904]
@ 0x401300
  t*: 2: 96 [2: 96]
  t0: 1: 48 [1: 48]
  t1: 1: 48 [1: 48]

MAPPED_LIBRARIES:
00400000-00452000 r-xp 00001000 08:02 173521     /nowhere/program
7ffd0000-7ffd1000 r-xp 00000000 00:00 0          [vdso]
";

fn error_of(text: &str) -> String {
    parse(text.as_bytes(), "a.heap").unwrap_err().to_string()
}

#[test]
fn each_stack_is_scaled_by_the_chance_that_its_blocks_were_sampled() {
    let profile = read(DUMP.as_bytes(), "a.heap").unwrap();
    // 200000 bytes are seen with probability 1 - e^(-200000/131072) = 0.782570…,
    // 48 bytes with 1 - e^(-48/131072) = 0.000366143….
    assert_eq!(profile.samples()[0].values[..2], [1, 255_568]);
    assert_eq!(profile.samples()[1].values[..2], [5462, 262_192]);
    assert_eq!(profile.samples()[0].label("domain"), Some("rust"));
    let kinds: Vec<_> = profile.sample_types().iter().map(|t| t.kind.as_str()).collect();
    assert_eq!(kinds, ["inuse_objects", "inuse_space", "alloc_objects", "alloc_space"]);
    assert_eq!(profile.default_sample_type(), Some(1));
}

#[test]
fn a_period_of_one_or_none_means_that_the_dump_is_exact() {
    for period in ["heap_v2/1\n", "heap_v2/0\n"] {
        let text = DUMP.replace("heap_v2/131072\n", period);
        let profile = read(text.as_bytes(), "").unwrap();
        assert_eq!((profile.total(0), profile.total(1)), (3, 200_096));
        assert_eq!((profile.total(2), profile.total(3)), (5, 400_000));
    }
}

#[test]
fn without_accumulated_counts_there_are_no_columns_for_them() {
    let text = "heap_v2/1\n  t*: 1: 8 [0: 0]\n@ 0x1\n  t*: 1: 8 [0: 0]\n";
    let profile = read(text.as_bytes(), "").unwrap();
    assert_eq!(profile.sample_types().len(), 2);
    assert_eq!(profile.samples()[0].values, [1, 8]);
}

#[test]
fn stacks_through_given_callers_are_left_out() {
    let mut dump = parse(DUMP.as_bytes(), "").unwrap();
    dump.leave_out(&[0x40_1100, 0x1].into());
    assert_eq!(dump.stacks.len(), 1);
    assert_eq!(dump.stacks[0].addresses, [0x40_1300]);
}

#[test]
fn sampled_bytes_are_those_of_small_blocks() {
    let dump = parse(DUMP.as_bytes(), "").unwrap();
    assert_eq!([47, 48, 199_999, 200_000].map(|n| dump.sampled_bytes(n)), [0, 96, 96, 200_096]);
}

#[test]
fn addresses_keep_their_mapping_when_its_file_is_gone() {
    let mut symbols = Symbols::new();
    let dump = parse(DUMP.as_bytes(), "").unwrap();
    assert_eq!(dump.modules.len(), 1, "the kernel's own mapping has no file");
    let profile = dump.profile(&mut symbols);
    let frames: Vec<_> =
        profile.frames(&profile.samples()[0]).map(|f| (f.address, f.function)).collect();
    // The byte before the return address, at its offset in the file.
    assert_eq!(frames, [(0x40_1235, "program+0x2234"), (0x40_1100, "program+0x20ff")]);
    assert!(symbols.summary().unusable_modules.contains_key("/nowhere/program"));
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        error_of("heap_v2/many\n"),
        "a.heap is damaged at line 1: expected `heap_v2/` and the sampling period, \
         found \"heap_v2/many\""
    );
    assert_eq!(
        error_of("heap_v2/1\n  t*: 1: 8 [0: 0]\n@ 0x1 0xyz\n"),
        "a.heap is damaged at line 3: expected `@` and hexadecimal addresses, found \"@ 0x1 0xyz\""
    );
    assert_eq!(
        error_of("heap_v2/1\n@ 0x1\n@ 0x2\n  t*: 1: 8 [0: 0]\n"),
        "a.heap is damaged at line 3: expected a line `t*: …` with the counts of the stack, \
         found none"
    );
    assert_eq!(
        error_of("heap_v2/1\n@ 0x1\n  t*: 0: 8 [0: 0]\n"),
        "a.heap is damaged at line 3: expected `thread: blocks: bytes [blocks: bytes]`, \
         found \"t*: 0: 8 [0: 0]\""
    );
    assert!(error_of("heap_v2/1\nMAPPED_LIBRARIES:\nnonsense\n").contains("line 3"));
    assert_eq!(error_of(""), "a.heap is empty: expected a jemalloc heap dump (heap_v2)");
}

proptest! {
    #[test]
    fn scaling_never_loses_anything(
        blocks in 0..1_000_000_u64,
        size in 1..1_000_000_u64,
        period in 0..10_000_000_u64,
    ) {
        let (scaled_blocks, scaled_bytes) =
            Sampled { blocks, bytes: blocks * size }.unbiased(period);
        prop_assert!(scaled_blocks >= blocks as i64);
        prop_assert!(scaled_bytes >= (blocks * size) as i64);
    }

    #[test]
    fn any_numbers_can_be_scaled(blocks: u64, bytes: u64, period: u64) {
        let (blocks, bytes) = Sampled { blocks, bytes }.unbiased(period);
        prop_assert!(blocks >= 0 && bytes >= 0);
    }

    #[test]
    fn exact_totals_are_conserved(
        stacks in proptest::collection::vec((1..100_u64, 0..5000_u64), 0..9),
    ) {
        let mut text = "heap_v2/1\n".to_owned();
        for (at, (blocks, bytes)) in stacks.iter().enumerate() {
            writeln!(text, "@ {at:#x}\n t*: {blocks}: {bytes} [0: 0]").unwrap();
        }
        let profile = read(text.as_bytes(), "").unwrap();
        prop_assert_eq!(profile.total(0), stacks.iter().map(|s| s.0 as i64).sum::<i64>());
        prop_assert_eq!(profile.total(1), stacks.iter().map(|s| s.1 as i64).sum::<i64>());
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        damage in proptest::collection::vec((0..DUMP.len(), any::<u8>()), 1..9),
        cut in 0..DUMP.len(),
    ) {
        let mut bytes = DUMP.as_bytes().to_vec();
        for (at, value) in damage {
            bytes[at] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut]] {
            if let Ok(mut dump) = parse(bytes, "") {
                dump.modules.clear(); // damage must not open other files
                let profile = dump.profile(&mut Symbols::new());
                profile.total(0);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = parse(&bytes[..], "");
    }
}
