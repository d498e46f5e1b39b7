//! `--sample` of the whole process: what everybody asks malloc for is estimated too, and the
//! intervals hold the truth. Chance begins with a fixed seed.

mod counted;
#[path = "programs/needed.rs"]
mod needed;
mod program;
mod workshop;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use counted::{Trial, sum};
use program::{path, printed_json, text, tlsheap_with};
use serde_json::Value;

fn sampled(trial: &Trial, program: &Path, seed: &str, every: &str) -> Value {
    let run = trial.workshop.0.path().join("run");
    let _ = fs::remove_dir_all(&run);
    let words = ["record", "--heap", "--sample", every, "--out", path(&run), "--", path(program)];
    let variables = [("TLSHEAP_SAMPLE_SEED", seed)];
    let output = tlsheap_with(trial.workshop.0.path(), &variables, &words);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("estimated"), "{said}");
    serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap()
}

/// How far a figure is from the truth, in halves of its 95 % interval.
fn off(counts: &Value, name: &str, truth: u64) -> f64 {
    let figure = counts[name].as_f64().unwrap();
    let high = counts["interval95"][name][1].as_f64().unwrap_or_else(|| panic!("{counts:#}"));
    (figure - truth as f64).abs() / (high - figure).max(1.0)
}

#[test]
fn what_everybody_asks_malloc_for_is_near_the_truth() {
    let trial = Trial::new();
    let program = trial.workshop.build("family", &["../heap/family.c", "library.c"], &["-pthread"]);
    let (_, exact) = trial.record(&program, &[]);
    let [alloc_blocks, alloc_bytes] = sum(&exact, "/heap/counts/alloc");
    let [inuse_blocks, inuse_bytes] = sum(&exact, "/heap/counts/inuse");
    // The program asks for 2,000 blocks, each seventh of them without a byte, which is in no sample,
    // and gives every second one back.
    let without_a_byte = || (0..2_000).step_by(7);
    let alloc_blocks = alloc_blocks - without_a_byte().count() as u64;
    let inuse_blocks = inuse_blocks - without_a_byte().filter(|at| at % 2 == 1).count() as u64;
    let (mut all, mut near) = (0, 0);
    for seed in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let record = sampled(&trial, &program, seed, "2k");
        let counts = &record["heap"]["counts"];
        for (name, truth) in [
            ("alloc_blocks", alloc_blocks),
            ("alloc_bytes", alloc_bytes),
            ("inuse_blocks", inuse_blocks),
            ("inuse_bytes", inuse_bytes),
        ] {
            let off = off(counts, name, truth);
            assert!(off < 3.0, "seed {seed}, {name}: {off} margins from {truth}: {counts:#}");
            (all, near) = (all + 1, near + usize::from(off <= 1.0));
        }
        for process in record["processes"].as_array().unwrap() {
            for what in ["foreign_frees", "stale_blocks", "nested_calls", "untracked_blocks"] {
                assert_eq!(process["recorder"][what], 0, "{process:#}");
            }
        }
        assert_eq!(record["heap"]["mappings"]["alloc_bytes"], 0, "no part of them is counted");
        assert!(record["account"].is_null(), "{record:#}");
        assert_eq!(record["problems"], serde_json::json!([]));
    }
    assert!(near * 10 >= all * 8, "{near} of {all} intervals hold the truth");
}

/// Where each byte is a sample, nearly every block is counted: each function of the family gives
/// and takes back what it should.
#[test]
fn a_sample_of_every_byte_is_nearly_every_block() {
    let trial = Trial::new();
    let program = trial.workshop.build("family", &["../heap/family.c", "library.c"], &["-pthread"]);
    let (run, exact) = trial.record(&program, &[]);
    let rows = |run: &Path| {
        let words = ["top", path(run), "--json", "-n0", "--domain=heap", "--column=allocated"];
        let top = printed_json(&[&words[..], &["--by=function"]].concat());
        let row = |row: &Value| {
            let of = |what: &str| row[what].as_u64().unwrap();
            (row["function"].as_str().unwrap().to_owned(), [of("alloc_bytes"), of("inuse_bytes")])
        };
        top["sites"].as_array().unwrap().iter().map(row).collect::<BTreeMap<_, _>>()
    };
    let every_block = rows(&run);
    assert!(every_block.len() > 3, "{exact:#}");
    let record = sampled(&trial, &program, "1", "1");
    let of_sample = rows(&run);
    for (function, exact) in every_block {
        let estimate = of_sample.get(&function).unwrap_or_else(|| panic!("{function}: {record:#}"));
        for (estimate, exact) in estimate.iter().zip(exact) {
            // Blocks of a few bytes are left out at times.
            assert!(estimate.abs_diff(exact) <= 8, "{function}: {estimate} for {exact}");
        }
    }
}
