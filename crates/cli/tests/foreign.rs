//! Files of other profilers, made by those themselves, and profiles on standard input.

mod program;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use program::{path, printed, printed_json, text, tlsheap};
use tempfile::TempDir;

/// Keeps 1,000 blocks of 1,100 to 2,099 bytes of 2,000, and asks for 5,000 bytes each time as well.
const PROGRAM: &str = r"
#include <stdlib.h>
__attribute__((noinline)) char *make(size_t n) { char *p = malloc(n); p[0] = 1; return p; }
__attribute__((noinline)) char *outer(size_t n) { char *p = make(n); p[1] = 1; return p; }
int main(void) {
    static char *kept[2000];
    for (int i = 0; i < 2000; i++) { kept[i] = outer(100 + i); free(make(5000)); }
    for (int i = 0; i < 1000; i++) free(kept[i]);
    return kept[1999][0] == 0;
}
";

const KEPT: i64 = 1_599_500;

/// Whether a program of Debian's is there. Under CI, none may be missing.
fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output();
    let there = there.is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "missing: {program}");
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

fn compiled(place: &Path) -> PathBuf {
    let (source, program) = (place.join("kept.c"), place.join("kept"));
    fs::write(&source, PROGRAM).unwrap();
    let made = Command::new("cc")
        .args(["-g", "-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    program
}

#[test]
fn what_dhat_has_counted_is_read() {
    if !is_there("valgrind") {
        return;
    }
    let place = TempDir::new().unwrap();
    let file = place.path().join("dhat.out");
    let run = Command::new("valgrind")
        .args(["--tool=dhat", &format!("--dhat-out-file={}", path(&file))])
        .arg(compiled(place.path()))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    let top = printed_json(&["top", path(&file), "--json"]);
    assert_eq!(top["totals"]["inuse_bytes"], KEPT);
    assert_eq!(top["totals"]["inuse_blocks"], 1_000);
    assert_eq!(top["totals"]["alloc_blocks"], 4_000);
    let tree = printed(&["top", path(&file), "--tree"]);
    assert!(tree.contains("100.0 %  outer › make"), "{tree}");
}

#[test]
fn heaptracks_recording_is_refused_with_the_way_out_and_its_stacks_are_read() {
    if !is_there("heaptrack") || !is_there("heaptrack_print") {
        return;
    }
    let place = TempDir::new().unwrap();
    let run = Command::new("heaptrack")
        .arg("-o")
        .arg(place.path().join("recording"))
        .arg(compiled(place.path()))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run.stderr));
    let mut entries = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
    let recording = entries.find(|it| path(it).contains("recording.")).unwrap();
    let refused = tlsheap(&["top", path(&recording)]);
    assert_eq!(refused.status.code(), Some(2));
    let words = text(&refused.stderr);
    assert!(words.contains("heaptrack_print FILE -F stacks.txt"), "{words}");
    let stacks = place.path().join("stacks.txt");
    let made = Command::new("heaptrack_print")
        .args([path(&recording), "-F", path(&stacks), "--flamegraph-cost-type", "leaked"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let tree = printed(&["top", path(&stacks), "--peek", "make"]);
    let kept = "1,599,500";
    assert!(tree.contains(kept) && tree.contains("outer"), "{tree}");
    assert!(printed(&["top", path(&stacks)]).contains("samples; it has no figures of memory"));
}

#[test]
fn processor_time_is_shown_in_its_own_unit_and_gos_functions_by_their_names() {
    let go = Command::new("go").arg("version").output();
    if !go.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "missing: go");
        println!("skipped: go is not installed");
        return;
    }
    let place = TempDir::new().unwrap();
    let (source, program) = (place.path().join("main.go"), place.path().join("busy"));
    fs::write(
        &source,
        r#"package main
import ("crypto/sha256"; "os"; "runtime/pprof"; "time")
//go:noinline
func work(until time.Time) { for time.Now().Before(until) { sha256.Sum256(make([]byte, 4096)) } }
func main() {
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	work(time.Now().Add(500 * time.Millisecond))
	pprof.StopCPUProfile()
}
"#,
    )
    .unwrap();
    let built = Command::new("go")
        .args(["build", "-o", path(&program), path(&source)])
        .env("GOCACHE", place.path().join("cache"))
        .env("GO111MODULE", "off")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    let file = place.path().join("cpu.pb.gz");
    assert!(Command::new(&program).arg(&file).status().unwrap().success());
    let table = printed(&["top", path(&file), "--by=function"]);
    let heading = table.lines().next().unwrap();
    assert!(heading.ends_with("of cpu; it has no figures of memory"), "{table}");
    assert!(table.contains("main.main › ") && !table.contains("unknown number"), "{table}");
    let tree = printed(&["top", path(&file), "--tree"]);
    assert!(tree.contains("main.main › main.work"), "{tree}");
    let refused = tlsheap(&["top", path(&file), "--connections=5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("leave --connections out"));
}

#[test]
fn a_profile_is_read_from_standard_input_and_a_ledger_is_not() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/profiles");
    let read = |file: &Path| {
        Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["top", "-"])
            .stdin(Stdio::from(File::open(file).unwrap()))
            .output()
            .unwrap()
    };
    let read_one = read(&fixtures.join("good.pb.gz"));
    let said = text(&read_one.stdout);
    assert!(said.starts_with("standard input: 583.3 KB in use in 13 blocks"), "{said}");
    let place = TempDir::new().unwrap();
    let ledger = place.path().join("ledger");
    fs::write(&ledger, b"tlsheap\0and more").unwrap();
    let refused = read(&ledger);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("name the file"), "{}", text(&refused.stderr));
}
