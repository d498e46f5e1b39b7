//! The account of resident memory of a sampled run.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{SmallRun, path, printed};

/// Three parts are made of OpenSSL's bytes, the others are measured
/// by jemalloc and the kernel.
pub fn has_margins_where_it_is_made_of_estimates(answer: &str, folder: &str, exact: &SmallRun) {
    let place = TempDir::new().unwrap();
    let page = place.path().join("report.html");
    printed(&["report", folder, "-o", path(&page)]);
    let page = fs::read_to_string(page).unwrap();
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
        // OpenSSL's rounding is the same in both runs, and of many blocks is known better than
        // their bytes.
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
