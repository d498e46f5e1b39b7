//! The sample files: each good one gives its known figures, each malformed one its known message.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use profile::{Content, Profile, folded, read_any};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/profiles")
}

fn profile_of(file: &str) -> Profile {
    match read_any(&fixtures().join(file)) {
        Ok(Content::Profile(profile)) => profile,
        other => panic!("{file}: {other:?}"),
    }
}

/// What each malformed file must be told, after its path.
const FAULTS: [(&str, &str); 21] = [
    (
        "address-not-hexadecimal.heap",
        " is damaged at line 4: expected `@` and hexadecimal addresses, \
         found \"@ 0x40123g 0x401100\"",
    ),
    (
        "cut-in-the-middle.pb",
        " is damaged at byte 102: expected a field of a profile, \
         found failed to decode Protobuf message: buffer underflow",
    ),
    (
        "cut-in-the-middle.pb.gz",
        " is damaged at byte 108: expected more of a gzip stream, found the end of the file",
    ),
    (
        "elf-instead-of-profile.pb.gz",
        " is not a profile: expected {formats}, found a program or library (ELF)",
    ),
    (
        "dhat-of-another-mode.json",
        " is damaged at line 1: expected DHAT's mode heap, found \"copy\"",
    ),
    ("empty.pb.gz", " is empty: expected {formats}"),
    (
        "first-string-not-empty.pb",
        " is damaged at byte 0: expected an empty first string, found \"x\"",
    ),
    (
        "frame-without-name.folded",
        " is damaged at line 1: expected a name for each frame, found \"main;;serve 12\"",
    ),
    ("json-instead-of-profile.json", " is not a profile: expected {formats}, found a JSON text"),
    (
        "letter-instead-of-profile.folded",
        " is not a profile: expected {formats}, \
         found a text that begins with \"To whom it may concern,\"",
    ),
    (
        "mapping-not-readable.heap",
        " is damaged at line 12: expected a line of /proc/PID/maps, \
         found \"a mapping of some kind\"",
    ),
    ("not-a-profile-inside.pb.gz", " is damaged at byte 0 of its unpacked content: expected"),
    (
        "one-value-too-few.pb",
        " is damaged at byte 12: expected a sample with 2 values, one per sample type, found 1",
    ),
    (
        "period-not-a-number.heap",
        " is damaged at line 1: expected `heap_v2/` and the sampling period, \
         found \"heap_v2/often\"",
    ),
    (
        "stack-without-counts.heap",
        " is damaged at line 5: expected a line `t*: …` with the counts of the stack, found none",
    ),
    ("string-index-too-large.pb", ": expected a string index below 12, found 99"),
    (
        "sum-too-large.folded",
        " is damaged at line 2: expected values whose sum is below 2^63, found a larger one",
    ),
    (
        "unknown-location.pb",
        " is damaged at byte 12: expected the id of a location of the profile, found id 3",
    ),
    (
        "value-not-a-number.folded",
        " is damaged at line 2: expected an integer after the last space, found \"twelve\"",
    ),
    (
        "version-unknown.heap",
        " is not a profile: expected {formats}, found a jemalloc heap dump of another version",
    ),
    ("wrong-checksum.pb.gz", ": expected more of a gzip stream, found corrupt gzip stream"),
];

#[test]
fn each_malformed_file_is_told_its_fault() {
    let formats = "a pprof profile, a jemalloc heap dump (heap_v2), a file of DHAT, folded \
                   stacks, or a ledger of tlsheap";
    for (file, fault) in FAULTS {
        let path = fixtures().join(file);
        let Err(error) = read_any(&path) else { panic!("{file} was read") };
        let message = error.to_string();
        let fault = fault.replace("{formats}", formats);
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        assert!(message.contains(&fault), "{message}\nshould contain\n{fault}");
    }
}

#[test]
fn every_file_is_either_good_or_has_a_known_fault() {
    let faults: BTreeMap<_, _> = FAULTS.into_iter().collect();
    for entry in fs::read_dir(fixtures()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let is_fixture = !matches!(file.as_str(), "README.md" | "make.py");
        let is_good = file.starts_with("good");
        assert!(!is_fixture || is_good || faults.contains_key(file.as_str()), "{file}");
        if is_good {
            profile_of(&file);
        }
    }
}

#[test]
fn the_good_pprof_files_hold_thirteen_blocks_of_zlib() {
    for file in ["good.pb.gz", "good-uncompressed.pb"] {
        let profile = profile_of(file);
        assert_eq!((profile.total(0), profile.total(1)), (13, 583_312));
        let sample = &profile.samples()[0];
        assert_eq!(sample.label("domain"), Some("openssl"));
        let frames: Vec<_> =
            profile.frames(sample).map(|f| (f.function, f.file, f.line, f.address)).collect();
        assert_eq!(
            frames,
            [
                ("zlib_zalloc", "crypto/comp/c_zlib.c", 43, 0x40_2000),
                ("main", "main.c", 3, 0x40_1000)
            ]
        );
    }
}

#[test]
fn the_good_folded_file_is_written_as_it_was_read_but_sorted() {
    let profile = profile_of("good.folded");
    assert_eq!(profile.total(0), 604_124);
    let text = fs::read_to_string(fixtures().join("good.folded")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(folded::write(&profile, 0).lines().collect::<Vec<_>>(), lines);
}

#[test]
fn the_good_file_of_dhat_holds_what_was_never_freed() {
    let profile = profile_of("good-dhat.json");
    assert_eq!((profile.total(0), profile.total(1)), (1_000, 1_599_500));
    let frames: Vec<_> =
        profile.frames(&profile.samples()[0]).map(|it| (it.function, it.file, it.line)).collect();
    assert_eq!(frames, [("make", "t.c", 4), ("outer", "t.c", 5), ("main", "t.c", 6)]);
}

#[test]
fn the_good_heap_dumps_are_exact_or_scaled() {
    let exact = profile_of("good-exact.heap");
    assert_eq!((exact.total(0), exact.total(1)), (3, 4_160));
    let sampled = profile_of("good-sampled.heap");
    // 4096 / (1 - e^(-4096/131072)) and 64 / (1 - e^(-32/131072)).
    assert_eq!(sampled.samples()[0].values, [33, 133_131]);
    assert_eq!(sampled.samples()[1].values, [8193, 262_176]);
}
