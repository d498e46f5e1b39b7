//! `--sample`: a part of the blocks is counted, what is said of the whole is near the truth, and
//! says how near. Chance begins with a fixed seed where the recorded program has one thread;
//! elsewhere the margins are so wide that they are not missed in a lifetime.

mod program;
mod recorded;
#[path = "sampled/resident.rs"]
mod resident;

use std::fs;

use analysis::notation::rounded;
use program::{SmallRun, path, printed, printed_json, printed_on_100, scratch, text, tlsheap};
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
    for name in ["bytes", "freed_bytes"] {
        let figure = child["inherited"][name].as_f64().unwrap();
        let ends = &child["inherited"][format!("{name}_interval95")];
        let [low, high] = [0, 1].map(|end| ends[end].as_f64().unwrap());
        assert!(low < figure && figure < high, "{child:#}");
    }
    let said = text(&recorded.output.stderr);
    assert!(said.contains(&format!("forked from {}, and has ", parent["pid"])), "{said}");
    for line in said.lines().filter(|line| line.contains("forked from") || line.contains("in use"))
    {
        // Of a process that had ended nothing is in use, for certain.
        let line = line.replace(": 0 B in use in 0 blocks", "");
        assert_eq!(without_margin(&line), Vec::<&str>::new(), "{line}");
    }
}

/// The bytes in a text of people that have no margin.
fn without_margin(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_unit = |word: &str| {
        ["B", "KB", "MB", "GB", "bytes"].contains(&word.trim_end_matches([',', ';', '.', ')']))
    };
    let is_said = |at: usize| {
        // A figure, perhaps with a margin before its unit, or a margin.
        let behind = words.get(at + 1) == Some(&"±");
        behind || words[..at].iter().rev().take(3).any(|word| *word == "±")
    };
    let bare = (0..words.len()).filter(|at| is_unit(words[*at]) && !is_said(*at));
    bare.map(|at| words[at.saturating_sub(1)]).collect()
}

/// What stands in the elements that begin with `opening`.
fn elements<'a>(page: &'a str, opening: &str, closing: &str) -> Vec<&'a str> {
    let parts = page.split(opening).skip(1);
    parts.map(|part| part.split(closing).next().unwrap()).collect()
}

/// Two sampled runs of 20 connections.
fn two_sampled_runs(place: &TempDir) -> [String; 2] {
    ["node-0.4", "no-compression"].map(|configuration| {
        let folder = place.path().join(configuration);
        let start = ["run", "-n=20", "--hold=0s", "--interval=200ms", "--sample=4k", "--config"];
        let answer = printed(&[&start[..], &[configuration, "--out", path(&folder)]].concat());
        let (before, rest) = answer.split_once("\nresident memory of the server").unwrap();
        assert_eq!(without_margin(before), Vec::<&str>::new(), "{answer}");
        let own = rest.split_once("the recorder's own memory: ").unwrap().1;
        let own = own.split_once("\n\n").unwrap().0;
        // The bytes themselves are exact; of blocks that may be none there are no bytes each.
        assert_eq!(without_margin(own).len(), 1, "{own}");
        assert!(own.contains(" B per live block"), "{own}");
        path(&folder).to_owned()
    })
}

#[test]
fn on_the_page_of_sampled_runs_every_figure_has_its_margin() {
    let place = TempDir::new().unwrap();
    let [before, after] = two_sampled_runs(&place);
    let diff = printed(&["diff", &before, &after]);
    let (heading, _) = diff.split_once("\n\n").unwrap();
    assert_eq!(without_margin(heading), Vec::<&str>::new(), "{heading}");
    let percent = heading.split_once("a connection (").unwrap().1.split_once(')').unwrap().0;
    assert!(percent.contains(" ± ") && percent.ends_with(" %"), "{percent}");

    let file = place.path().join("report.html");
    printed(&["report", &before, &after, "-o", path(&file)]);
    let page = fs::read_to_string(file).unwrap();
    let margin = "<span class=\"margin\">± ";
    let stairs = elements(&page, "<ol class=\"stairs\">", "</ol>")[0];
    assert_eq!(stairs.matches(margin).count(), 2 + 2, "totals, change, percent: {stairs}");
    let labels = elements(&page, "<svg class=\"bar\" role=\"img\" aria-label=\"", "\"");
    assert_eq!(labels.len(), 4, "a bar for each in the staircase and in its own section");
    for part in labels.iter().flat_map(|label| label.split("; ")) {
        assert_eq!(part.matches(" ± ").count(), 2, "bytes and share: {part}");
    }
    let legends = elements(&page, "<ul class=\"legend\">", "</ul>");
    assert_eq!(legends.len(), 3);
    for part in legends[1..].iter().flat_map(|legend| elements(legend, "<li>", "</li>")) {
        assert_eq!(part.matches(margin).count(), 2, "{part}");
    }
    for facts in elements(&page, "<dl class=\"key\">", "</dl>") {
        for fact in elements(facts, "<dt>", "</div>") {
            assert!(fact.contains(margin) || fact.starts_with("connections<"), "{fact}");
        }
    }
    let tables = ["Figures of each configuration", "Largest changes from", "Sites of "];
    for table in tables.map(|label| elements(&page, &format!("aria-label=\"{label}"), "</table>")) {
        assert!(!table.is_empty());
        for cell in table.iter().flat_map(|table| elements(table, "<td class=\"n\"", "</td>")) {
            assert!(cell.contains(margin), "{cell}");
        }
    }
    let h1 = elements(&page, "<h1>", "</h1>")[0];
    assert_eq!(h1.matches('±').count(), 3, "{h1}");
    let made_of = elements(&page, "<p class=\"of-which\">", "</p>")[0];
    assert_eq!(made_of.matches('±').count(), 2 * made_of.matches('%').count(), "{made_of}");
    let alone = page_of(&place, &after);
    let made_of = elements(&alone, "<p class=\"of-which\">", "</p>")[0];
    assert!(made_of.contains("</span></span> blocks, measured with 20 connections."), "{made_of}");
}

fn page_of(place: &TempDir, folder: &str) -> String {
    let file = place.path().join("one.html");
    printed(&["report", folder, "-o", path(&file)]);
    fs::read_to_string(file).unwrap()
}

/// In all three pictures.
fn every_frame_has_its_interval(folder: &str, exact: &SmallRun) {
    let flame = printed(&["flame", folder, "-o", "-", "--domain", "openssl"]);
    let said = "OpenSSL's part sampled every 4 KiB: an estimate of ";
    assert!(flame.contains(said), "no subtitle");
    let titles = figures_of_frames(&flame);
    assert!(titles.len() > 100);
    for (title, figures) in &titles {
        // All is all of itself.
        let of_what_it_holds = if title.starts_with("all (") { 1 } else { 2 };
        assert_eq!(figures.matches(" ± ").count(), of_what_it_holds, "{title}");
    }
    // The whole has the interval that tables give it.
    let totals = &printed_json(&["top", folder, "--json"])["totals"];
    let (bytes, margin) = estimate(totals, "inuse_bytes");
    let whole = format!("all ({} ± {} bytes, 100%", rounded(bytes), rounded(margin));
    assert!(titles.iter().any(|(title, _)| *title == whole), "no {whole}");

    let place = TempDir::new().unwrap();
    let file = place.path().join("diff.svg");
    printed(&["diff", exact.folder(), folder, "--flame", path(&file)]);
    let diff = fs::read_to_string(file).unwrap();
    assert!(diff.contains("(every 4 KiB); widths are those of"), "no subtitle");
    for (title, figures) in figures_of_frames(&diff) {
        let change = usize::from(!title.starts_with("all ("));
        let intervals = figures.matches(" ± ").count();
        if diff.contains("widths are those of sampled-node-0.4-4k") {
            assert_eq!(intervals, 1 + 2 * change, "{title}");
        } else {
            // Where the exact run held more, the change may be an estimate, and nothing else.
            assert!(intervals <= change, "{title}");
        }
    }

    let page = place.path().join("report.html");
    printed(&["report", folder, "-o", path(&page)]);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("estimates") && !page.contains("<b>exact</b>"));
    assert!(page.contains(", an estimate ± ") && page.contains(", sampled every 4 KiB"));
    let frames: Vec<&str> = page.split("<title>").skip(1).filter(|t| t.contains('\n')).collect();
    let intervals = |frame: &&&str| frame.split("</").next().unwrap().matches('±').count();
    let with_both = frames.iter().filter(|frame| intervals(frame) == 2);
    // How many stacks of Rust's are in jemalloc's sample is a matter of chance.
    let (with_both, all) = (with_both.count(), frames.len());
    assert!(with_both * 5 > all * 4, "all but Rust's: {with_both} of {all}");
}

/// The title of each frame, and what follows the name in it.
fn figures_of_frames(svg: &str) -> Vec<(&str, &str)> {
    let titles = svg.split("<title>").skip(1).map(|title| title.split(")</title>").next().unwrap());
    titles.map(|title| (title, title.rsplit_once(" (").unwrap().1)).collect()
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

    let table = printed_on_100(&["top", folder]);
    assert!(
        table.contains("sampled every 4 KiB: estimates, ± half their 95 % interval"),
        "{table}"
    );
    let row = table.lines().find(|line| line.contains("compression.zlib")).unwrap();
    assert_eq!(row.matches(" ± ").count(), 3, "bytes, blocks and share: {row}");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");

    let diff = printed_on_100(&["diff", exact.folder(), folder]);
    assert!(diff.contains("estimated from samples; changed by"), "{diff}");
    assert!(diff.contains("within error"), "{diff}");
    let (heading, _) = diff.split_once("estimated from").unwrap();
    assert_eq!(heading.matches(" ± ").count(), 2, "one side, and the percentage: {heading}");
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

    every_frame_has_its_interval(folder, &exact);

    for arguments in [&["diagnose", folder][..], &["check", folder, "--init"]] {
        let output = tlsheap(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("was sampled every 4 KiB") && said.contains("--sample"), "{said}");
    }

    resident::has_margins_where_it_is_made_of_estimates(&answer, folder, &exact);

    // Other programs find the estimates, the interval and how it was sampled.
    let profile = profile::pprof::read(&fs::read(format!("{folder}/heap.pb.gz")).unwrap(), "heap")
        .expect("a profile");
    assert_eq!(profile.sampling.map(profile::Sampling::interval), Some(4096));
    let comments = profile.comments.join("\n");
    assert!(comments.contains("domain openssl: sampled, one sample in 4096 bytes"), "{comments}");
    assert!(!comments.contains("domain openssl: exact"), "{comments}");
}
