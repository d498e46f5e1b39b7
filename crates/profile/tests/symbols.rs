//! The symboliser on a program that is sure to be there: this test.

use std::fs;
use std::io::Write;

use profile::symbols::{AddressKind, Elf};
use profile::{Profile, Sample, Symbols};

/// The files mapped into this process.
fn own_modules() -> Vec<ledger::Module> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let module = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (start, end) = words[0].split_once('-')?;
        let path = words.get(5).filter(|path| path.starts_with('/'))?;
        Some(ledger::Module {
            start: u64::from_str_radix(start, 16).unwrap(),
            end: u64::from_str_radix(end, 16).unwrap(),
            file_offset: u64::from_str_radix(words[2], 16).unwrap(),
            inode: 0,
            executable: words[1].contains('x'),
            path: (*path).to_owned(),
        })
    };
    maps.lines().filter_map(module).collect()
}

#[inline(never)]
fn walk_own_stack() -> Vec<u64> {
    let mut addresses = Vec::new();
    backtrace::trace(|frame| {
        addresses.push(frame.ip() as u64);
        true
    });
    addresses
}

/// Inlined into its caller, so that no call of it is on the stack.
#[inline(always)]
#[allow(clippy::inline_always)] // it is what the test is about
fn inlined_into_caller() -> Vec<u64> {
    std::hint::black_box(walk_own_stack())
}

#[inline(never)]
fn function_on_the_stack() -> Vec<u64> {
    let stack = inlined_into_caller();
    std::hint::black_box(stack)
}

/// The stack of this thread, every frame named.
fn own_stack() -> (Profile, Symbols) {
    let mut profile = Profile::of_heap();
    let mut symbols = Symbols::new();
    let modules = own_modules();
    let mut space = symbols.address_space(Some(1), &modules);
    let stack = function_on_the_stack()
        .into_iter()
        .map(|address| space.location(&mut profile, address, AddressKind::Return))
        .collect();
    profile.push(Sample { stack, values: vec![1; 6], labels: Vec::new() });
    (profile, symbols)
}

#[test]
fn functions_of_this_test_are_named_with_the_inlined_one_inside_its_caller() {
    let (profile, _) = own_stack();
    let frames: Vec<_> = profile.frames(&profile.samples()[0]).collect();
    let at = |name: &str| frames.iter().position(|frame| frame.function == name);
    let names = || frames.iter().map(|frame| frame.function).collect::<Vec<_>>();

    let outer = at("symbols::function_on_the_stack").unwrap_or_else(|| panic!("{:#?}", names()));
    let inner = at("symbols::inlined_into_caller").unwrap_or_else(|| panic!("{:#?}", names()));
    assert_eq!(inner + 1, outer);
    assert_eq!(frames[inner].address, frames[outer].address);
    for frame in [&frames[inner], &frames[outer]] {
        assert_eq!(frame.file, "crates/profile/tests/symbols.rs");
    }
    let source = fs::read_to_string("tests/symbols.rs").unwrap();
    let line = |number: u32| source.lines().nth(number as usize - 1).unwrap();
    assert!(line(frames[inner].line).contains("walk_own_stack()"));
    assert!(line(frames[outer].line).contains("inlined_into_caller()"));
}

#[test]
fn what_cannot_be_named_is_said_and_fails_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("libdamaged.so");
    fs::write(&damaged, b"\x7fELF and then nothing of the kind").unwrap();
    let paths = [
        damaged.to_str().unwrap().to_owned(),
        directory.path().to_str().unwrap().to_owned(),
        directory.path().join("missing.so").to_str().unwrap().to_owned(),
        "/usr/lib/libgone.so (deleted)".to_owned(),
    ];
    let modules: Vec<ledger::Module> = (1..)
        .zip(&paths)
        .map(|(n, path)| ledger::Module {
            start: n << 16,
            end: (n << 16) + 0x1000,
            file_offset: 0x2000,
            inode: 0,
            executable: true,
            path: path.clone(),
        })
        .collect();

    let mut profile = Profile::of_heap();
    let mut symbols = Symbols::new();
    let mut space = symbols.address_space(Some(1), &modules);
    let mut name_of = |address| {
        let id = space.location(&mut profile, address, AddressKind::Return);
        let line = profile.location_of(id).lines.first()?;
        Some(profile.function_of(line.function).name.clone())
    };
    assert_eq!(name_of(0x1_0011).unwrap(), "libdamaged.so+0x2010");
    assert_eq!(name_of(0x4_0001).unwrap(), "libgone.so (deleted)+0x2000");
    assert_eq!(name_of(0x3_1000).unwrap(), "missing.so+0x2fff");
    assert_eq!(name_of(0x3_1001).unwrap(), "[JIT]", "after the end of the module");
    assert_eq!(name_of(0).unwrap(), "[JIT]");
    assert_eq!(name_of(u64::MAX).unwrap(), "[JIT]");
    name_of(0x2_0001).unwrap();

    let summary = symbols.summary();
    assert_eq!((summary.resolved, summary.unresolved, summary.outside), (0, 4, 3));
    let reasons: Vec<(&str, &str)> = summary
        .unusable_modules
        .iter()
        .map(|(path, reason)| (path.as_str(), reason.as_str()))
        .collect();
    let reason_for = |path: &String| {
        reasons.iter().find(|(at, _)| at == path).map(|(_, reason)| *reason).unwrap()
    };
    assert!(reason_for(&paths[0]).starts_with("is not a sound ELF file"), "{reasons:?}");
    assert_eq!(reason_for(&paths[1]), "is not a regular file");
    assert!(reason_for(&paths[2]).starts_with("cannot be read"), "{reasons:?}");
    assert_eq!(reason_for(&paths[3]), "was deleted or replaced while the process ran");
}

/// A small library with debug information, made by the C compiler that OpenSSL needs anyway.
fn small_library(directory: &std::path::Path, options: &[&str]) -> Vec<u8> {
    let source = directory.join("small.c");
    let mut file = fs::File::create(&source).unwrap();
    writeln!(file, "static int inlined(int n) {{ return n * n * n / 11; }}").unwrap();
    writeln!(file, "static __attribute__((noinline)) int hidden(int n) {{").unwrap();
    writeln!(file, "  return inlined(n) + n / 7; }}").unwrap();
    writeln!(file, "int visible(int n) {{ return hidden(n + 1) + 3; }}").unwrap();
    drop(file);
    let library = directory.join("libsmall.so");
    let status = std::process::Command::new("cc")
        .args(["-shared", "-nostdlib", "-fPIC", "-O1", "-Wl,--build-id=sha1"])
        .args(options)
        .arg("-o")
        .args([&library, &source])
        .status()
        .expect("a C compiler: on Debian, apt-get install gcc");
    assert!(status.success());
    fs::read(library).unwrap()
}

/// All names that the library gives to the addresses of its code, in order of the addresses.
fn all_names(elf: &Elf, size: u64) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for address in (0..size).filter_map(|offset| elf.address_of(offset)) {
        for frame in elf.frames(address) {
            if names.last() != Some(&frame.name) && !names.contains(&frame.name) {
                names.push(frame.name);
            }
        }
    }
    names
}

#[test]
fn without_debug_information_the_symbol_tables_give_the_names() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = small_library(directory.path(), &["-g0"]);
    let elf = Elf::parse(&bytes).unwrap();
    assert!(!elf.has_debug_information());
    assert_eq!(elf.build_id().len(), 40);
    assert_eq!(all_names(&elf, bytes.len() as u64), ["hidden", "visible"]);
}

#[test]
fn of_a_stripped_library_the_dynamic_symbols_remain() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = small_library(directory.path(), &["-g0", "-s"]);
    let elf = Elf::parse(&bytes).unwrap();
    assert_eq!(all_names(&elf, bytes.len() as u64), ["visible"]);
}

#[test]
fn a_library_damaged_anywhere_gives_an_error_or_names_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let sound = small_library(directory.path(), &["-g"]);
    let names = all_names(&Elf::parse(&sound).unwrap(), sound.len() as u64);
    assert_eq!(names, ["inlined", "hidden", "visible"]);

    // Every position once, with values that lengths, counts and offsets cannot take.
    let mut refused = 0;
    for (at, value) in (0..sound.len()).step_by(3).zip([0xff, 0x00, 0x80, 0x7f].iter().cycle()) {
        let mut damaged = sound.clone();
        damaged[at] = *value;
        match Elf::parse(&damaged) {
            Ok(elf) => {
                for address in (0x1000..0x1040).chain([0, u64::MAX]) {
                    elf.frames(address);
                }
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "damage in the header must be noticed");
    for length in (0..sound.len()).step_by(97) {
        let _ = Elf::parse(&sound[..length]);
    }
}
