//! The mappings of a written profile: the program first, and no more claimed than is known.

use std::io::Read;

use flate2::read::GzDecoder;
use ledger::{Counts, Module, Site, Snapshot};
use profile::{
    Function, Line, Location, Mapping, Metric, Profile, Sample, Symbols, from_ledger, pprof,
};
use prost::Message;

/// What is looked at here of pprof's message; claims are 0 or 1.
#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(message, repeated, tag = "3")]
    mappings: Vec<WrittenMapping>,
    #[prost(string, repeated, tag = "6")]
    strings: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenMapping {
    #[prost(int64, tag = "5")]
    file: i64,
    #[prost(uint32, tag = "7")]
    functions: u32,
    #[prost(uint32, tag = "8")]
    files: u32,
    #[prost(uint32, tag = "9")]
    lines: u32,
    #[prost(uint32, tag = "10")]
    inline_frames: u32,
}

fn written(profile: &Profile) -> Vec<(String, [bool; 4])> {
    let mut bytes = Vec::new();
    GzDecoder::new(&*pprof::write(profile)).read_to_end(&mut bytes).unwrap();
    let written = Written::decode(&*bytes).unwrap();
    let of = |it: &WrittenMapping| {
        let name = written.strings[it.file as usize].clone();
        (name, [it.functions, it.files, it.lines, it.inline_frames].map(|claim| claim == 1))
    };
    written.mappings.iter().map(of).collect()
}

#[test]
fn the_program_comes_first_though_its_library_was_called_last_or_alone() {
    let module = |start: u64, path: &str| Module {
        start,
        end: start + 0x1000,
        file_offset: 0,
        inode: 0,
        executable: true,
        path: path.to_owned(),
    };
    let modules =
        vec![module(0x7f00_0000, "/nowhere/libcrypto.so.3"), module(0x5500_0000, "/nowhere/nginx")];
    let site = |stack: &[u64]| Site {
        stack: stack.to_vec(),
        counts: Counts { inuse_blocks: 1, inuse_bytes: 8, ..Counts::default() },
        ..Site::default()
    };
    for stack in [&[0x7f00_0010, 0x5500_0020][..], &[0x7f00_0010]] {
        let snapshot =
            Snapshot { modules: modules.clone(), sites: vec![site(stack)], ..Snapshot::default() };
        let profile = from_ledger(&snapshot, &mut Symbols::new());
        let names: Vec<String> = written(&profile).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["nginx", "libcrypto.so.3"]);
        // None of these files is there, so nothing in them has a name.
        assert!(written(&profile).iter().all(|(_, claims)| *claims == [false; 4]));
        // It stays the first in what others make of it.
        let again = pprof::read(&pprof::write(&profile), "").unwrap();
        assert_eq!(again.mappings().next().map(|it| it.file.as_str()), Some("nginx"));
    }
}

#[test]
fn what_is_known_of_every_place_is_claimed_and_nothing_else() {
    let mut profile = Profile::of_heap();
    let mut place = |object: &str, name: &str, file: &str, line: u32, address: u64| {
        let mapping = profile.mapping(Mapping { file: object.to_owned(), ..Mapping::default() });
        let (name, file) = (name.to_owned(), file.to_owned());
        let function = profile.function(Function { system_name: name.clone(), name, file });
        let lines = vec![Line { function, line }];
        profile.location(Location { mapping: Some(mapping), address, lines })
    };
    let stack = vec![
        place("program", "main", "main.c", 3, 1),
        place("program", "serve", "serve.c", 9, 2),
        place("stripped", "SSL_new", "", 0, 3),
        place("partly", "known", "x.c", 1, 4),
        place("partly", "partly+0x10", "", 0, 5),
    ];
    let values = vec![1; Metric::ALL.len()];
    profile.push(Sample { stack, values, labels: Vec::new() });
    let claims: Vec<(String, [bool; 4])> = written(&profile);
    let of = |name: &str| claims.iter().find(|(it, _)| it == name).unwrap().1;
    assert_eq!(of("program"), [true; 4]);
    assert_eq!(of("stripped"), [true, false, false, false]);
    assert_eq!(of("partly"), [false; 4]);
}
