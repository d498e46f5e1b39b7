use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::Sample;

fn error_of(bytes: &[u8]) -> String {
    parse_any(bytes, "a.file").unwrap_err().to_string()
}

fn profile_of(bytes: &[u8]) -> Profile {
    match parse_any(bytes, "a.file").unwrap() {
        Content::Profile(profile) => profile,
        Content::Ledger => panic!("not a ledger"),
    }
}

fn small_profile() -> Profile {
    let mut profile = Profile::of_heap();
    profile.push(Sample { stack: Vec::new(), values: vec![7; 6], labels: Vec::new() });
    profile
}

#[test]
fn each_format_is_known_by_its_content() {
    let packed = pprof::write(&small_profile());
    assert_eq!(profile_of(&packed).total(0), 7);
    assert_eq!(profile_of(&pprof::unpack(&packed, "").unwrap()).total(0), 7);
    assert_eq!(profile_of(b"heap_v2/1\n@ 0x1\n t*: 1: 8 [0: 0]\n").total(1), 8);
    assert_eq!(profile_of(b"main;leaf 12\n").total(0), 12);
    assert_eq!(profile_of(b"<a::B as c::D>::f;[unknown] 12\n").total(0), 12);
    let dhat = br#"{"dhatFileVersion":2,"mode":"heap","pps":[{"tb":9,"tbk":2,"fs":[0]}],
                    "ftbl":["0x1: f (x.c:3)"]}"#;
    assert_eq!(profile_of(dhat).total(1), 9);
    // heaptrack ends each stack with a separator.
    assert_eq!(profile_of(b"main (t.c);make (t.c); 2000\n").total(0), 2_000);
    assert!(matches!(parse_any(b"tlsheap\0\x01", ""), Ok(Content::Ledger)));
}

#[test]
fn text_formats_are_read_through_gzip_too() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"main;leaf 12\n").unwrap();
    assert_eq!(profile_of(&gzip.finish().unwrap()).total(0), 12);
}

#[test]
fn a_long_text_is_read_from_its_file_as_it_is_from_memory() {
    let lines = (0..20_000).map(|number| format!("main;frame_{number} {number}\n"));
    let folded: String = lines.collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.folded");
    for text in [folded.clone(), format!("\n  \n{folded}"), format!("{folded}main;frame no\n")] {
        std::fs::write(&path, &text).unwrap();
        let name = path.display().to_string();
        match (read_any(&path), parse_any(text.as_bytes(), &name)) {
            (Ok(Content::Profile(file)), Ok(Content::Profile(memory))) => {
                assert_eq!(file.samples().len(), 20_000);
                assert!(pprof::write(&file) == pprof::write(&memory));
            }
            (Err(file), Err(memory)) => {
                assert_eq!(file.to_string(), memory.to_string());
                assert!(file.to_string().contains("line 20001"), "{file}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn foreign_files_are_named_for_what_they_are() {
    const FORMATS: &str = "a.file is not a profile: expected a pprof profile, a jemalloc heap \
                           dump (heap_v2), a file of DHAT, folded stacks, or a ledger of \
                           tlsheap, found ";
    for (bytes, found) in [
        (&b"\x7fELF\x02\x01"[..], "a program or library (ELF)"),
        (b"{\"schema\": 1}", "a JSON text"),
        (b"<svg width=\"1200\">\n", "an HTML or SVG page"),
        (b"Dear reader,\nthis is a letter\n", "a text that begins with \"Dear reader,\""),
        (b"heap_v3/1\n", "a jemalloc heap dump of another version"),
        (b"v 10400 3\nX ./server\nI 1000 5e298d\n", HEAPTRACK),
        (b"\x28\xb5\x2f\xfd\x04\x88", ZSTD),
        (b"\x00\x01\x02", "unknown content that begins with the bytes [00, 01, 02]"),
    ] {
        assert_eq!(error_of(bytes), format!("{FORMATS}{found}"));
    }
    assert!(error_of(b"").starts_with("a.file is empty: expected a pprof profile, a jemalloc"));
}

#[test]
fn a_cut_profile_says_where_it_ends() {
    let packed = pprof::write(&small_profile());
    let error = error_of(&packed[..packed.len() / 2]);
    assert!(error.contains("expected more of a gzip stream, found the end of the file"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_systems_reason() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.pb.gz");
    let error = read_any(&missing).unwrap_err().to_string();
    assert!(error.contains("missing.pb.gz: No such file"), "{error}");
    let error = read_any(directory.path()).unwrap_err().to_string();
    assert!(error.contains("Is a directory"), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_any_reader_panic(
        start in prop::sample::select(vec!["", "\x1f", "heap_v2/", "\n", "tlsheap\0"]),
        rest: Vec<u8>,
    ) {
        let _ = parse_any(&[start.as_bytes(), &rest].concat(), "");
    }
}
