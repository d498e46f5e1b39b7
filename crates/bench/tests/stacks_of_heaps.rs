//! Every stack of what Node, Python and a program in C++ ask malloc for is the compiler's unwinder's.
//! Looked at is a part of their allocations, and with `TLSHEAP_STACKS=all` each of them: more than
//! 100,000 of each program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::oracle::Verdict;
use bench::peers::beside;
use recorder::StackSource;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/heap");
const LIBRARY: &str = "libheap_oracle.so (cargo build --release -p bench --example heap_oracle)";
/// One allocation in so many is looked at; a prime, so that no loop has the same one each time.
const EACH: u64 = 11;
/// Allocations of each program that are looked at all the same.
const ENOUGH: u64 = 100_000;

/// Objects, closures, buffers and regular expressions, and a module that is found and read.
const NODE: &str = "
const kept = [];
for (let i = 0; i < 3000; i++) {
  kept.push(Buffer.alloc(1000 + i), JSON.parse(JSON.stringify({at: 'x'.repeat(i % 100)})));
  kept.push(new RegExp('a' + i).exec('ba' + i), new Map([[i, () => i]]));
}
const zlib = require('zlib');
for (let i = 0; i < 300; i++) zlib.gunzipSync(zlib.gzipSync(Buffer.from('text'.repeat(i))));
console.log(kept.length);
";

/// Above 512 bytes, objects are malloc's; on stacks of many depths, through C and back.
const PYTHON: &str = "
import functools, json, re, zlib
def deep(level, made):
    made.append(bytearray(600 + level))
    if level:
        deep(level - 1, made)
    return functools.reduce(lambda a, b: a if len(a) > len(b) else b, made[-3:])
for at in range(400):
    made = []
    deep(at % 90, made)
    text = json.dumps({str(key): 'x' * (600 + key) for key in range(60)})
    back = json.loads(text)
    words = sorted(back.values(), key=lambda word: word + word[::-1])
    re.sub('x{5}', lambda found: 'y' * 700, words[0])
    zlib.decompress(zlib.compress(text.encode()))
print(len(made))
";

#[test]
fn every_stack_of_nodes_heap_is_the_unwinders() {
    let Some(node) = installed(&["/usr/bin/node", "/usr/local/bin/node"]) else { return };
    judge("Node", &node, &["-e", NODE]);
}

#[test]
fn every_stack_of_pythons_heap_is_the_unwinders() {
    let Some(python) = installed(&["/usr/bin/python3"]) else { return };
    judge("Python", &python, &["-S", "-c", PYTHON]);
}

#[test]
fn every_stack_of_a_program_in_cxx_is_the_unwinders() {
    let Some(compiler) = installed(&["/usr/bin/c++"]) else { return };
    let place = tempfile::tempdir().expect("a temporary folder");
    let program = place.path().join("deep");
    let output = Command::new(compiler)
        .args(["-O2", "-pthread", "-o"])
        .args([program.as_os_str(), format!("{SOURCES}/deep.cc").as_ref()])
        .output()
        .expect("the compiler can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    judge("C++", &program, &[]);
}

fn judge(name: &str, program: &Path, arguments: &[&str]) {
    if StackSource::best() != StackSource::UnwindTables {
        return skip("unwind tables (x86-64 and a C library since 2.35)");
    }
    let Some(library) = beside("examples/libheap_oracle.so") else { return skip(LIBRARY) };
    let all = std::env::var("TLSHEAP_STACKS").is_ok_and(|how| how == "all");
    let each = if all { 1 } else { EACH };
    let place = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(program)
        .args(arguments)
        .env("LD_PRELOAD", library)
        .env("TLSHEAP_ORACLE_FOLDER", place.path())
        .env("TLSHEAP_ORACLE_EACH", each.to_string())
        .output()
        .expect("the program can be started");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let verdict = fs::read(place.path().join("verdict.json")).expect("a verdict");
    let verdict: Verdict = serde_json::from_slice(&verdict).expect("a verdict of ours");
    println!("{name}: {}", verdict.describe());
    assert_eq!(verdict.contradictions, 0, "{name}: {:#?}", verdict.examples);
    assert_eq!(verdict.without_site, 0, "{name}");
    assert!(verdict.compared >= ENOUGH / each, "{name}: {}", verdict.describe());
}

fn installed(places: &[&str]) -> Option<PathBuf> {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    if found.is_none() {
        skip(places[0]);
    }
    found
}

/// Where everything is installed that the tests need, nothing may be skipped.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
