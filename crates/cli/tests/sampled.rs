//! `--sample`: a part of the blocks is counted, what is said of the whole is near the truth, and says
//! how near. Chance begins with a fixed seed where the recorded program has one thread; elsewhere the
//! margins are so wide that they are not missed in a lifetime.

mod program;
mod recorded;

use std::fs;

use program::{SmallRun, path, printed, printed_json, scratch, text, tlsheap};
use recorded::{Recorded, installed};
use serde_json::Value;
use tempfile::TempDir;

/// A file that does not change, to have something to digest.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

/// A recording of a command with chance beginning at `seed`.
fn sampled_record(place: &TempDir, seed: u32, every: &str, command: &[&str]) -> (String, String) {
    let folder = place.path().join(format!("run-{seed}"));
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&folder), "--sample", every, "--"])
        .args(command)
        .env("TLSHEAP_SAMPLE_SEED", seed.to_string())
        .timeout(std::time::Duration::from_secs(120))
        .output()
        .expect("the program can be started");
    assert!(output.status.success(), "{}", text(&output.stderr));
    (path(&folder).to_owned(), text(&output.stderr))
}

/// A figure, and the upper end of its interval less the figure.
fn estimate(counts: &Value, name: &str) -> (f64, f64) {
    let figure = counts[name].as_f64().unwrap();
    let high = counts["interval95"][name][1].as_f64().unwrap_or_else(|| panic!("{counts:#}"));
    (figure, high - figure)
}

/// The truth is within so many margins; two are four deviations.
fn assert_near(counts: &Value, name: &str, truth: &Value, margins: f64) {
    let (figure, margin) = estimate(counts, name);
    let truth = truth[name].as_f64().unwrap();
    assert!((figure - truth).abs() <= margins * margin, "{name}: {figure} ± {margin} for {truth}");
}

#[test]
fn a_sampled_recording_is_near_an_exact_one() {
    if !installed("openssl") {
        return;
    }
    let command = ["openssl", "dgst", "-sha256", FILE];
    let exact = Recorded::of(&command);
    let truth = exact.record()["openssl"].clone();
    assert_eq!(truth.get("interval95"), None, "what is exact has no interval");
    let place =
        |site: &Value| ["file", "line", "function", "category"].map(|name| site[name].to_string());
    let known: Vec<_> = exact.top()["sites"].as_array().unwrap().iter().map(place).collect();
    let folders = TempDir::new().unwrap();
    for seed in 1..6 {
        let (folder, said) = sampled_record(&folders, seed, "4k", &command);
        assert!(said.contains("sampled every 4 KiB: estimates"), "{said}");
        assert!(said.contains(" ± "), "{said}");
        assert!(!said.contains("recorded exactly"), "{said}");
        let record: Value =
            serde_json::from_str(&fs::read_to_string(format!("{folder}/run.json")).unwrap())
                .unwrap();
        assert_eq!(record["processes"][0]["recorder"]["sampled_every_bytes"], 4096);
        assert_eq!(record["connections"], Value::Null, "a sample does not count them");
        for name in ["alloc_bytes", "alloc_blocks", "peak_bytes"] {
            assert_near(&record["openssl"], name, &truth, 2.0);
        }

        let top = printed_json(&["top", &folder, "--json", "-n", "0"]);
        assert_eq!(top["sampled_every_bytes"], 4096);
        assert_eq!(top["objects"], Value::Null);
        for site in top["sites"].as_array().unwrap() {
            // Functions and callers are read off the stacks, which end where exact ones do.
            assert!(known.contains(&place(site)), "{site:#}");
        }
        let sites = top["sites"].as_array().unwrap();
        for name in ["inuse_bytes", "alloc_bytes", "alloc_blocks", "peak_blocks"] {
            let sum: i64 = sites.iter().map(|site| site[name].as_i64().unwrap()).sum();
            assert_eq!(sum, top["totals"][name].as_i64().unwrap(), "rows add up to totals");
            assert_eq!(top["totals"][name], record["openssl"][name], "{name}");
        }
    }
    // The same seed, the same samples.
    let again = TempDir::new().unwrap();
    let totals = |place| {
        let (folder, _) = sampled_record(place, 1, "4k", &command);
        printed_json(&["top", &folder, "--json"])["totals"].clone()
    };
    let other = TempDir::new().unwrap();
    assert_eq!(totals(&again), totals(&other));
}

#[test]
fn a_forked_child_is_sampled_too() {
    if !installed("python3") {
        return;
    }
    let script = "import os, ssl\n\
                  kept = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  if os.fork() == 0:\n\
                  \x20   ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  \x20   del kept\n\
                  \x20   os._exit(0)\n\
                  os.wait()\n";
    let recorded = Recorded::with(&["--sample", "256"], &["python3", "-c", script]);
    recorded.is_transparent();
    let record = recorded.record();
    let [parent, child] = &record["processes"].as_array().unwrap()[..] else {
        panic!("two processes: {record:#}")
    };
    assert_eq!(child["forked_from"], parent["pid"]);
    for process in [parent, child] {
        assert_eq!(process["recorder"]["sampled_every_bytes"], 256);
        assert_eq!(process["recorder"]["foreign_frees"], 0);
        assert!(process["openssl"]["alloc_bytes"].as_u64().unwrap() > 10_000, "{process:#}");
    }
    assert!(child["inherited"]["bytes"].as_u64().unwrap() > 10_000, "{child:#}");
    assert!(child["inherited"]["freed_bytes"].as_u64().unwrap() > 1_000, "{child:#}");
}

#[test]
fn a_sampled_run_is_near_an_exact_one_and_every_view_says_what_it_is() {
    let exact = SmallRun::of("node-0.4", "sampled");
    let folder = scratch("sampled-node-0.4-4k");
    let answer = printed(&[
        "run",
        "-n",
        "20",
        "--hold=0s",
        "--interval=200ms",
        "--sample=4k",
        "--out",
        path(&folder),
    ]);
    assert!(answer.contains("sampled every 4 KiB: estimates"), "{answer}");
    let costs = answer.lines().find(|line| line.starts_with("One connection costs")).unwrap();
    assert_eq!(costs.matches(" ± ").count(), 2, "{costs}");
    let too_long = |line: &&str| line.contains('±') && line.chars().count() > 100;
    assert_eq!(answer.lines().find(too_long), None);

    let folder = path(&folder);
    let (truth, top) = (exact.top(&["-n", "0"]), printed_json(&["top", folder, "--json"]));
    assert_near(&top["totals"], "inuse_bytes", &truth["totals"], 3.0);
    assert_near(&top["totals"], "inuse_blocks", &truth["totals"], 3.0);
    let cost = &top["per_connection"];
    let (low, high) = (&cost["interval95"]["bytes"][0], &cost["interval95"]["bytes"][1]);
    let (low, high) = (low.as_f64().unwrap(), high.as_f64().unwrap());
    let (bytes, truth) =
        (cost["bytes"].as_f64().unwrap(), truth["per_connection"]["bytes"].as_f64().unwrap());
    assert!(low < bytes && bytes < high);
    assert!((bytes - truth).abs() < 3.0 * (high - bytes), "{low} to {high} for {truth}");
    // Within a twentieth: 25 MB are 6,000 samples.
    assert!((high - low) / bytes < 0.1, "{low} to {high}");
    assert!(!printed(&["top", exact.folder(), "--json"]).contains("interval95"));
    assert!(!printed(&["top", exact.folder()]).contains('±'));

    let table = printed(&["top", folder]);
    assert!(
        table.contains("sampled every 4 KiB: estimates, ± half their 95 % interval"),
        "{table}"
    );
    let row = table.lines().find(|line| line.contains("compression.zlib")).unwrap();
    assert_eq!(row.matches(" ± ").count(), 2, "{row}");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");

    let diff = printed(&["diff", exact.folder(), folder]);
    assert!(diff.contains("estimated from samples; changed by"), "{diff}");
    assert!(diff.contains("within error"), "{diff}");
    let (heading, _) = diff.split_once('\n').unwrap();
    assert_eq!(heading.matches(" ± ").count(), 1, "one side is exact: {heading}");
    assert!(diff.lines().all(|line| line.chars().count() <= 100), "{diff}");
    let diff = printed_json(&["diff", exact.folder(), folder, "--json"]);
    assert_eq!(diff["before"].get("sampled_every_bytes"), None);
    assert_eq!(diff["after"]["sampled_every_bytes"], 4096);
    let rows = diff["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["significant"] == false), "{rows:#?}");
    for row in rows.iter().filter(|row| row["side"] != "only_before") {
        assert_eq!(row.get("before_interval95"), None, "{row:#}");
        let [low, high] = [0, 1].map(|end| row["after_interval95"]["bytes"][end].as_f64().unwrap());
        let middle = row["after_bytes"].as_f64().unwrap();
        assert!(low < high && (low + high - 2.0 * middle).abs() < 0.01, "{row:#}");
    }

    let flame = printed(&["flame", folder, "-o", "-"]);
    assert!(
        flame.contains("OpenSSL's part sampled every 4 KiB: estimates, in use ± "),
        "no subtitle"
    );

    let place = TempDir::new().unwrap();
    let page = place.path().join("report.html");
    printed(&["report", folder, "-o", path(&page)]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("estimates") && page.contains('±') && !page.contains("<b>exact</b>"));

    for arguments in [&["diagnose", folder][..], &["check", folder, "--init"]] {
        let output = tlsheap(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("was sampled every 4 KiB") && said.contains("--sample"), "{said}");
    }

    resident_memory_has_margins_where_it_is_made_of_estimates(&answer, folder, &page, &exact);

    // Other programs find the estimates, the interval and how it was sampled.
    let profile = profile::pprof::read(&fs::read(format!("{folder}/heap.pb.gz")).unwrap(), "heap")
        .expect("a profile");
    assert_eq!(profile.sampling.map(profile::Sampling::interval), Some(4096));
    let comments = profile.comments.join("\n");
    assert!(comments.contains("domain openssl: sampled, one sample in 4096 bytes"), "{comments}");
    assert!(!comments.contains("domain openssl: exact"), "{comments}");
}

/// The account of resident memory: three parts are made of OpenSSL's bytes, the others are measured
/// by jemalloc and the kernel.
fn resident_memory_has_margins_where_it_is_made_of_estimates(
    answer: &str,
    folder: &str,
    page: &str,
    exact: &SmallRun,
) {
    let record: Value =
        serde_json::from_str(&fs::read_to_string(format!("{folder}/run.json")).unwrap()).unwrap();
    let truth: Value =
        serde_json::from_str(&fs::read_to_string(exact.file("run.json")).unwrap()).unwrap();
    for moment in ["baseline", "at_rest", "closed"] {
        let parts = record["rss"][moment]["parts"].as_array().unwrap();
        let true_parts = truth["rss"][moment]["parts"].as_array().unwrap();
        let with = |parts: &[Value]| -> Vec<String> {
            let with = parts.iter().filter(|part| part.get("bytes_interval95").is_some());
            with.map(|part| part["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(with(parts), ["openssl_in_use", "rust_in_use", "size_classes"], "{moment}");
        assert_eq!(with(true_parts), [""; 0], "what is exact has no interval");
        let part = |parts: &[Value], name: &str| {
            parts.iter().find(|part| part["name"] == *name).unwrap().clone()
        };
        let openssl = part(parts, "openssl_in_use");
        let counts = &record[moment]["openssl"];
        assert_eq!(openssl["bytes"], counts["inuse_bytes"]);
        assert_eq!(openssl["bytes_interval95"], counts["interval95"]["inuse_bytes"]);
        let rust = part(parts, "rust_in_use");
        assert_eq!(rust["bytes"], record[moment]["rust"]["inuse_bytes"]);
        assert_eq!(rust["bytes_interval95"], record[moment]["rust"]["inuse_bytes_interval95"]);

        let margin = |name: &str| {
            let part = part(parts, name);
            part["bytes_interval95"][1].as_f64().unwrap() - part["bytes"].as_f64().unwrap()
        };
        // OpenSSL's rounding is the same in both runs, and of many blocks is known better than their
        // bytes.
        let rounding = |parts: &[Value]| part(parts, "size_classes")["bytes"].as_f64().unwrap();
        let off = rounding(parts) - rounding(true_parts);
        assert!(off.abs() < 3.0 * margin("size_classes"), "{moment}: {off}");
        if moment == "at_rest" {
            assert!(margin("size_classes") < margin("openssl_in_use"));
        }
        // Rust's is what is left: it is off by as much as OpenSSL's usable bytes.
        assert!(margin("rust_in_use") > margin("openssl_in_use"), "{moment}");
        let rust = |parts: &[Value]| part(parts, "rust_in_use")["bytes"].as_f64().unwrap();
        let off = rust(parts) - rust(true_parts);
        assert!(off.abs() < 3.0 * margin("rust_in_use"), "{moment}: {off}");
    }

    let memory = &record["recorder_memory"];
    for name in ["bytes_per_live_block", "bytes_per_added_block"] {
        let [low, high] =
            [0, 1].map(|end| memory[format!("{name}_interval95")][end].as_f64().unwrap());
        let each = memory[name].as_f64().unwrap();
        assert!(low < each && each < high && each > 0.0, "{memory:#}");
    }
    let (_, memory) = answer.split_once("the recorder's own memory").unwrap();
    let (memory, _) = memory.split_once("connections").unwrap();
    assert_eq!(memory.matches('±').count(), 2, "{memory}");

    let table = |answer: &str| -> Vec<String> {
        let lines = answer.lines().skip_while(|line| !line.starts_with("resident memory of"));
        lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let lines = table(answer);
    for line in &lines {
        let estimated = ["OpenSSL in use", "Rust in use", "the allocator's overhead"];
        let is = line.starts_with("  ") && estimated.iter().any(|name| line.contains(name));
        assert!(line.chars().count() <= 100, "{line}");
        if line.starts_with("  ") {
            assert_eq!(line.matches(" ± ").count(), if is { 3 } else { 0 }, "{line}");
        }
    }
    let held = lines.iter().find(|line| line.contains("OpenSSL and Rust hold")).unwrap();
    assert_eq!(held.matches(" ± ").count(), 1, "{held}");
    assert!(!table(&exact.answer).concat().contains('±'));

    let (_, waterfall) = page.split_once("What resident memory is made of").unwrap();
    let (waterfall, _) = waterfall.split_once("</table>").unwrap();
    let margins: Vec<bool> = ["OpenSSL in use", "Rust in use", "thread stacks"]
        .iter()
        .map(|name| {
            let (_, row) = waterfall.split_once(name).unwrap();
            row.split_once("</tr>").unwrap().0.contains(" ± ")
        })
        .collect();
    assert_eq!(margins, [true, true, false]);
}
