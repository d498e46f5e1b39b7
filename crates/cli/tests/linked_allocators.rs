//! Allocators that are linked into programs under names of their own: a jemalloc's blocks are counted
//! to the byte, and of others it is said that they are not.

use load as _; // for the zlib that OpenSSL calls

mod counted;
#[path = "programs/needed.rs"]
mod needed;
mod program;
mod workshop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use counted::{Asked, Trial, recorded, sum};
use program::{path, printed, text, tlsheap_with};
use serde_json::Value;

/// A program of this workspace's with jemalloc in it; see its source.
fn with_jemalloc() -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = folder.join("examples/linked_jemalloc");
    if !program.exists() {
        let build = "cargo build --release -p preload --example linked_jemalloc";
        assert!(std::env::var_os("CI").is_none(), "missing: {} ({build})", program.display());
        println!("skipped: {} is not there ({build})", program.display());
        return None;
    }
    Some(program)
}

/// What the program says of itself, in its last line.
fn said(output: &str) -> Asked {
    let last = output.lines().last().unwrap_or_else(|| panic!("{output}"));
    let sums: Vec<u64> = last.split_whitespace().map(|it| it.parse().unwrap()).collect();
    Asked { ever: [sums[0], sums[1]], at_end: [sums[2], sums[3]] }
}

#[test]
fn a_jemalloc_under_names_of_its_own_is_counted_to_the_byte_beside_the_c_librarys() {
    let Some(program) = with_jemalloc() else { return };
    let trial = Trial::new();
    let (run, record) = trial.record(&program, &[]);
    let alone = Command::new(&program).output().unwrap();
    let (rust, c) = (said(&text(&alone.stdout)), trial.counted(&program, &[]));
    let add = |one: [u64; 2], other: [u64; 2]| [one[0] + other[0], one[1] + other[1]];
    let both = Asked { ever: add(rust.ever, c.ever), at_end: add(rust.at_end, c.at_end) };
    assert_eq!(recorded(&record), both, "{rust:?} and {c:?}: {record:#}");
    assert!(rust.ever[1] > 10_000_000 && c.ever[0] > 0, "{rust:?} and {c:?}");
    assert_eq!(record["problems"], serde_json::json!([]));
    for what in ["foreign_frees", "stale_blocks", "nested_calls", "untracked_blocks"] {
        let counted = &record["processes"][0]["recorder"][what];
        assert_eq!(counted, 0, "{what}: {record:#}");
    }
    // What it maps holds these blocks, and is not counted beside them.
    let mapped = sum(&record, "/heap/mappings/alloc")[1];
    assert!(mapped < 1 << 20, "{mapped}: {record:#}");
    // Whoever asked, and not who handed it on, has the blocks.
    let rows = printed(&["top", path(&run), "--domain=heap", "-n3"]);
    assert!(rows.contains("linked_jemalloc.rs") && !rows.contains("_rjem_"), "{rows}");
}

#[test]
fn in_a_sample_its_blocks_are_estimated_with_all_others() {
    let Some(program) = with_jemalloc() else { return };
    let trial = Trial::new();
    let (_, exact) = trial.record(&program, &[]);
    let run = trial.workshop.0.path().join("sampled");
    let seed = [("TLSHEAP_SAMPLE_SEED", "1")];
    let words = ["record", "--heap", "--sample=64", "--out", path(&run), "--", path(&program)];
    let output = tlsheap_with(trial.workshop.0.path(), &seed, &words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    for of in ["alloc", "inuse"] {
        let [_, truth] = sum(&exact, &format!("/heap/counts/{of}"));
        let name = format!("{of}_bytes");
        let counts = &record["heap"]["counts"];
        let (figure, end) = (&counts[&name], &counts["interval95"][&name][1]);
        let (figure, end) = (figure.as_f64().unwrap(), end.as_f64().unwrap());
        let off = (figure - truth as f64).abs() / (end - figure);
        assert!(off < 2.5, "{name}: {off} margins from {truth}: {counts:#}");
    }
    assert_eq!(record["problems"], serde_json::json!([]));
}

#[test]
fn of_a_stripped_program_it_is_said_that_its_jemalloc_is_not_counted() {
    let (Some(program), Some(strip)) = (with_jemalloc(), needed::program("strip")) else { return };
    let trial = Trial::new();
    let stripped = trial.workshop.0.path().join("stripped");
    let status = Command::new(strip).arg("-o").args([&stripped, &program]).status().unwrap();
    assert!(status.success(), "{status}");
    let (_, record) = trial.record(&stripped, &[]);
    let problem = record["problems"][0].as_str().unwrap_or_else(|| panic!("{record:#}"));
    assert!(problem.contains("what the jemalloc in /") && problem.contains("table of symbols"));
    assert_eq!(recorded(&record).ever, trial.counted(&stripped, &[]).ever);
    assert!(sum(&record, "/heap/mappings/alloc")[1] > 1 << 20, "{record:#}");
}

#[test]
fn of_an_allocator_that_tells_nobody_it_is_said_that_its_blocks_are_not_counted() {
    let trial = Trial::new();
    let program = trial.workshop.build("named", &["../heap/named_malloc.c"], &[]);
    let (_, record) = trial.record(&program, &[]);
    let problem = record["problems"][0].as_str().unwrap_or_else(|| panic!("{record:#}"));
    assert!(problem.contains("what the mimalloc in /"), "{problem}");
    assert!(problem.contains("/named gives is not counted, only what it maps"), "{problem}");
    // What it maps is.
    assert_eq!(sum(&record, "/heap/mappings/inuse"), [1, 1 << 20], "{record:#}");
    assert_eq!(recorded(&record).ever, trial.counted(&program, &[]).ever);
}

#[test]
fn a_mimalloc_that_python_has_and_does_not_ask_is_no_reproach() {
    let trial = Trial::new();
    let source = ["../heap/named_malloc.c"];
    let build = |name: &str, options: &[&str]| trial.workshop.build(name, &source, options);
    let ordinary = build("ordinary", &["-DPYTHON"]);
    let free_threaded = build("free-threaded", &["-DPYTHON", "-DFREE_THREADED"]);
    let problems = |program: &Path, variables: &[(&str, &str)]| {
        let run = trial.workshop.0.path().join("run");
        let _ = fs::remove_dir_all(&run);
        let output = trial.record_with(variables, &run, program, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let record = fs::read_to_string(run.join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        record["problems"].as_array().unwrap().len()
    };
    assert_eq!(problems(&ordinary, &[]), 0);
    assert_eq!(problems(&ordinary, &[("PYTHONMALLOC", "mimalloc_debug")]), 1);
    assert_eq!(problems(&free_threaded, &[]), 1);
}
