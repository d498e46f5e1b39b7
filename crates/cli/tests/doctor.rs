//! `tlsheap doctor` on programs as they are, and on copies that something was changed in. The
//! program that is looked at is `tlsheap` itself, which has an OpenSSL linked into it.

mod program;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use program::{Running, path, printed, printed_json, text, tlsheap};
use serde_json::Value;
use tempfile::TempDir;

const TLSHEAP: &str = env!("CARGO_BIN_EXE_tlsheap");

/// A changed copy of `tlsheap`.
struct Copy(TempDir);

impl Copy {
    fn of_tlsheap(change: impl FnOnce(&mut Vec<u8>)) -> Copy {
        let folder = TempDir::new().unwrap();
        let mut bytes = fs::read(TLSHEAP).unwrap();
        change(&mut bytes);
        let copy = Copy(folder);
        fs::write(copy.path(), bytes).unwrap();
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        copy
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("program")
    }

    fn doctor(&self) -> (Value, Output) {
        doctor(&self.path())
    }
}

/// What the doctor says, as JSON, and as text with the exit code.
fn doctor(program: &Path) -> (Value, Output) {
    let json = tlsheap(&["doctor", path(program), "--json"]);
    let output = tlsheap(&["doctor", path(program)]);
    assert_eq!(json.status.code(), output.status.code());
    (serde_json::from_slice(&json.stdout).unwrap_or(Value::Null), output)
}

/// Replaces bytes of the file by others, wherever they are.
fn replace(bytes: &mut [u8], what: &[u8], by: &[u8]) {
    assert_eq!(what.len(), by.len());
    let all = bytes.windows(what.len()).enumerate().filter(|(_, window)| *window == what);
    let places: Vec<usize> = all.map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "no {}", what.escape_ascii());
    for at in places {
        bytes[at..at + by.len()].copy_from_slice(by);
    }
}

/// Removes the headers of sections, and with them all symbols.
fn strip(bytes: &mut [u8]) {
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
}

#[test]
fn the_openssl_of_a_program_is_named_with_the_way_in() {
    let (found, output) = doctor(Path::new(TLSHEAP));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(found["recordable"], true);
    let libraries = found["libraries"].as_array().unwrap();
    assert_eq!(libraries.len(), 1, "{found:#}");
    assert_eq!(libraries[0]["object"], TLSHEAP);
    assert_eq!(libraries[0]["way"], "symbol-table");
    let version = libraries[0]["version"].as_str().unwrap();
    assert!(version.starts_with("OpenSSL "), "{version}");
    let said = text(&output.stdout);
    assert!(said.contains(&format!("{version} in ")), "{said}");
    assert!(said.contains("can be recorded: its setter is in the symbol table"), "{said}");
    assert!(said.lines().all(|line| !line.contains('\u{1b}')), "{said}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_openssl_of_a_stripped_program_is_known_by_its_code() {
    let (found, output) = Copy::of_tlsheap(|bytes| strip(bytes)).doctor();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(found["libraries"][0]["way"], "instructions");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_openssl_that_is_not_recognised_is_said_to_be_there() {
    // One more instruction, and neither the setter nor the functions look as they should.
    let copy = Copy::of_tlsheap(|bytes| {
        strip(bytes);
        let test_jump_store = [0x48, 0x85, 0xff, 0x74, 0x07, 0x48, 0x89, 0x3d];
        replace(bytes, &test_jump_store, &[0x90; 8]);
        // mov dword [rip + x], 0 is how it is said that it is too late.
        replace(bytes, &[0xc7, 0x05], &[0xc6, 0x05]);
    });
    let (found, output) = copy.doctor();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(found["libraries"][0]["way"], "nowhere");
    let why = found["libraries"][0]["why"].as_str().unwrap();
    assert!(why.contains("a build that is not stripped could be recorded"), "{why}");
}

#[test]
fn a_static_program_cannot_be_preloaded_into() {
    let copy = Copy::of_tlsheap(|bytes| {
        // The headers that name the loader and say what it is asked for become ones that say
        // nothing.
        let headers = u64::from_le_bytes(bytes[0x20..0x28].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(bytes[0x38..0x3a].try_into().unwrap());
        for at in (headers..).step_by(56).take(usize::from(count)) {
            if [2, 3].contains(&bytes[at]) {
                bytes[at] = 0;
            }
        }
    });
    let (found, output) = copy.doctor();
    assert_eq!(output.status.code(), Some(3));
    assert!(found["obstacle"].as_str().unwrap().contains("is linked statically"), "{found:#}");
    assert_eq!(found["libraries"][0]["recordable"], false);
}

#[test]
fn a_set_user_id_program_cannot_be_preloaded_into() {
    let copy = Copy::of_tlsheap(|_| {});
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o4755)).unwrap();
    let (found, output) = copy.doctor();
    assert_eq!(output.status.code(), Some(3));
    assert!(found["obstacle"].as_str().unwrap().contains("set-user-ID"), "{found:#}");
}

#[test]
fn a_library_that_is_not_there_is_named_with_who_needs_it() {
    let copy = Copy::of_tlsheap(|bytes| replace(bytes, b"\0libm.so.6\0", b"\0libX.so.6\0"));
    let (found, output) = copy.doctor();
    assert_eq!(found["unresolved"].as_array().unwrap().len(), 1, "{found:#}");
    let named = found["unresolved"][0].as_str().unwrap();
    assert_eq!(named, format!("libX.so.6, needed by {}", copy.path().display()));
    assert!(text(&output.stdout).contains("not found: libX.so.6"));
    assert_eq!(output.status.code(), Some(0), "its own OpenSSL is there");
}

#[test]
fn of_a_script_the_interpreter_is_looked_at() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\nexec true\n").unwrap();
    let (found, output) = doctor(&script);
    assert_eq!((&found["script"], &found["program"]), (&path(&script).into(), &"/bin/sh".into()));
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("there is no TLS library in it"));
}

#[test]
fn a_process_is_looked_into_through_its_memory_map() {
    let mut server = Running::start(&["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json"]);
    server.next_json().expect("a server says where it listens");
    let pid = server.pid().to_string();
    let found = printed_json(&["doctor", &pid, "--json"]);
    assert_eq!(found["pid"].as_u64(), Some(u64::from(server.pid())));
    assert_eq!(found["libraries"][0]["object"], TLSHEAP);
    // Written for one processor.
    let attachable = cfg!(target_arch = "x86_64");
    assert_eq!(found["attachable"], attachable);
    let said = if attachable { "attaches to it as it runs" } else { "it cannot be attached to" };
    assert!(printed(&["doctor", &pid]).contains(said));
}

#[test]
fn who_is_not_there_is_wrong_use() {
    for (subject, says) in [
        ("4194305", "there is no process 4194305"),
        ("no-such-program", "no-such-program is not on PATH"),
        ("/no/such/program", "cannot read /no/such/program"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "not a program or library"),
    ] {
        let output = tlsheap(&["doctor", subject]);
        assert_eq!(output.status.code(), Some(2), "{subject}");
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}

#[test]
fn a_library_can_be_asked_about_too() {
    let preloaded = printed_json(&["doctor", "--json"])["library"].as_str().unwrap().to_owned();
    let (found, _) = doctor(Path::new(&preloaded));
    assert!(found["obstacle"].is_null(), "{found:#}");
}

#[test]
fn of_the_machine_it_says_what_recording_needs() {
    let said = printed(&["doctor"]);
    assert!(said.contains("library           comes with tlsheap"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    let machine = printed_json(&["doctor", "--json"]);
    assert!(machine["library"].is_string() && machine["library_missing"].is_null());
    assert!(machine["c_library"].as_str().unwrap().starts_with("2."), "{machine:#}");
}

/// Names of fields, as docs/json.md writes them.
fn fields(value: &Value, before: &str, into: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().unwrap() {
        match value {
            Value::Array(elements) if elements.first().is_some_and(Value::is_object) => {
                fields(&elements[0], &format!("{before}{name}[]."), into);
            }
            Value::Array(_) => drop(into.insert(format!("{before}{name}[]"))),
            _ => drop(into.insert(format!("{before}{name}"))),
        }
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_exists() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let docs = fs::read_to_string(docs).unwrap();
    let section = docs.split("## doctor --json").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|row| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let mut printed = BTreeSet::new();
    fields(&doctor(Path::new(TLSHEAP)).0, "", &mut printed);
    fields(&printed_json(&["doctor", "--json"]), "", &mut printed);
    assert_eq!(documented, printed);
}
