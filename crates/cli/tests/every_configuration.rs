//! What holds in each of the standard configurations: sums agree to the byte, resident memory is
//! accounted for, and what the connections held is given back.

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{path, printed_json, scratch};
use serde_json::Value;

/// Columns of a profile that have totals.
const COLUMNS: [&str; 6] =
    ["inuse_bytes", "inuse_blocks", "alloc_bytes", "alloc_blocks", "peak_bytes", "peak_blocks"];

/// The one that keeps memory on purpose when its connections are gone.
const KEEPS_SESSIONS: &str = "session-cache";

#[test]
fn every_standard_configuration_adds_up() {
    let configurations = printed_json(&["configs", "--json"]);
    let names: Vec<&str> = configurations["configurations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|configuration| configuration["name"].as_str().unwrap())
        .collect();
    assert!(names.len() >= 12);
    // Two at a time: most of a run is waiting.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let names = names.iter().skip(half).step_by(2);
            scope.spawn(move || names.for_each(|name| adds_up(name)));
        }
    });
}

fn adds_up(configuration: &str) {
    let folder = scratch(&format!("adds-up-{configuration}"));
    let options = ["run", "--hold=300ms", "--interval=100ms", "--json", "-n=10"];
    let place = ["--config", configuration, "--out", path(&folder)];
    let run = Run { record: printed_json(&[&options[..], &place].concat()), folder };
    for (moment, profile) in
        [("baseline", "baseline.pb.gz"), ("at_rest", "heap.pb.gz"), ("closed", "closed.pb.gz")]
    {
        run.sums_agree(moment, profile, configuration);
        run.resident_memory_is_explained(moment, configuration);
    }
    let openssl = |moment: &str| number(&run.record[moment]["openssl"]["inuse_bytes"]) as f64;
    let kept = openssl("closed") / openssl("baseline") - 1.0;
    assert!(configuration == KEEPS_SESSIONS || kept.abs() <= 0.02, "{configuration} keeps {kept}");
    fs::remove_dir_all(run.folder).unwrap();
}

struct Run {
    record: Value,
    folder: PathBuf,
}

impl Run {
    /// Rows by site, function, file and category make the total of the profile, and that is the
    /// ledger's.
    fn sums_agree(&self, moment: &str, profile: &str, configuration: &str) {
        let file = self.folder.join(profile);
        let ledger = &self.record[moment]["openssl"];
        for by in ["site", "function", "file", "category"] {
            let top = all_rows(&file, by);
            for column in COLUMNS {
                let rows = top["sites"].as_array().unwrap();
                let sum: i64 = rows.iter().map(|row| number(&row[column])).sum();
                let what = format!("{column} of {configuration} by {by}, {moment}");
                assert_eq!(sum, number(&top["totals"][column]), "{what}");
                assert_eq!(sum, number(&ledger[column]), "{what}, against the ledger");
            }
        }
    }

    fn resident_memory_is_explained(&self, moment: &str, configuration: &str) {
        let account = &self.record["rss"][moment];
        let explained = account["explained"].as_f64().unwrap();
        assert!(explained >= 0.95, "{configuration}, {moment}: {account:#}");
        let parts = account["parts"].as_array().unwrap();
        let sum: i64 = parts.iter().map(|part| number(&part["bytes"])).sum();
        assert_eq!(
            sum + number(&account["not_explained_bytes"]),
            number(&account["rss_bytes"]),
            "{configuration}, {moment}"
        );
        assert_eq!(account["rss_bytes"], self.record[moment]["rss_bytes"]);
        let part = |name: &str| {
            let part = parts.iter().find(|part| part["name"] == name).expect("a fixed list");
            number(&part["bytes"])
        };
        let in_use = |domain: &str| number(&self.record[moment][domain]["inuse_bytes"]);
        assert_eq!(part("openssl_in_use"), in_use("openssl"));
        assert_eq!(part("rust_in_use"), in_use("rust"));
        // Only pages that were never touched can be less than nothing.
        let negative: Vec<_> =
            parts.iter().filter(|part| number(&part["bytes"]) < 0).map(|p| &p["name"]).collect();
        assert!(negative.iter().all(|name| *name == "never_touched"), "{account:#}");
        assert!(part("files") > 1_000_000 && part("recorder") > 1_000_000 && part("stacks") > 0);
    }
}

fn all_rows(profile: &Path, by: &str) -> Value {
    printed_json(&["top", path(profile), "--json", "-n=0", "--by", by])
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}
