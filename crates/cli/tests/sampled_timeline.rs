//! Memory over time of a sampled capture: how far each figure may be off, worked out again here
//! from the profiles of the same moments.

mod program;
mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use analysis::category;
use profile::Metric;
use program::{path, printed, scratch};
use recorded::{Recorded, installed};
use tempfile::TempDir;

/// Bytes between samples.
const EVERY: u64 = 4096;

/// `timeline.csv`: each line with the names of its columns.
fn lines(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let table = fs::read_to_string(folder.join("timeline.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    reader.deserialize().map(|line| line.unwrap()).collect()
}

fn figure(line: &BTreeMap<String, String>, column: &str) -> f64 {
    let text = line.get(column).unwrap_or_else(|| panic!("no {column}: {line:#?}"));
    text.parse().unwrap_or_else(|_| panic!("{column}: {text:?}"))
}

/// Bytes in use and their variance.
type Sum = (f64, f64);

/// By top-level category, from the samples of a profile and the sizes of their blocks.
fn sums(folder: &Path, name: &str) -> BTreeMap<String, Sum> {
    let profile = profile::pprof::read(&fs::read(folder.join(name)).unwrap(), name).unwrap();
    let sampling = profile.sampling.expect("a sample");
    assert_eq!(sampling.interval(), EVERY);
    let column = profile.column(Metric::InuseSpace).unwrap();
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for sample in profile.samples() {
        let Some(size) = sample.block_bytes() else { continue };
        let category = sample.label(category::LABEL).unwrap();
        let group = category.split('.').next().unwrap().to_owned();
        let bytes = sample.values[column] as f64;
        let sum = sums.entry(group).or_default();
        sum.0 += bytes;
        sum.1 += bytes * size as f64 * sampling.surplus(size);
    }
    sums
}

/// One block more is reckoned with, and that of the smallest size adds most: an interval's square.
fn assert_margin(margin: f64, variance: f64, what: &str) {
    let least = 1.96 * variance.sqrt();
    let most = 1.96 * (variance + (EVERY * EVERY) as f64 * 1.01).sqrt();
    assert!(least - 1.0 <= margin && margin <= most + 1.0, "{what}: {least} {margin} {most}");
}

/// The line has what the profile has, and the margins that follow from it.
fn assert_same(line: &BTreeMap<String, String>, sums: &BTreeMap<String, Sum>) {
    for (group, (bytes, variance)) in sums {
        assert_eq!(figure(line, group), *bytes, "{group}");
        assert_margin(figure(line, &format!("{group}_margin95")), *variance, group);
    }
    // Groups of which nothing was counted yet may have something.
    let groups: Vec<&str> = line.keys().filter_map(|name| name.strip_suffix("_margin95")).collect();
    assert!(groups.len() > 5 && groups.contains(&"openssl"), "{groups:?}");
    for group in groups.into_iter().filter(|group| !sums.contains_key(*group)) {
        if !matches!(group, "openssl" | "rust") {
            assert_eq!(figure(line, group), 0.0, "{group}");
            assert_margin(figure(line, &format!("{group}_margin95")), 0.0, group);
        }
    }
    let of_openssl = sums.iter().filter(|(group, _)| *group != "heap");
    let variance = of_openssl.map(|(_, (_, variance))| variance).sum();
    assert_margin(figure(line, "openssl_margin95"), variance, "openssl");
}

#[test]
fn each_capture_of_a_recording_has_the_line_of_its_moment() {
    if !installed("python3") {
        return;
    }
    let script = "import ssl, time\n\
                  kept = []\n\
                  for _ in range(15):\n\
                  \x20   kept.append(ssl.create_default_context())\n\
                  \x20   time.sleep(0.1)\n\
                  del kept\n\
                  time.sleep(0.5)\n";
    let options = ["--sample", "4k", "--every", "400ms"];
    let recorded = Recorded::with(&options, &["python3", "-c", script]);
    recorded.is_transparent();
    let lines = lines(&recorded.folder);
    let captures: Vec<_> =
        lines.iter().filter(|line| line["capture"].starts_with("series/")).collect();
    assert!(captures.len() >= 3, "{lines:#?}");
    for line in captures {
        assert_same(line, &sums(&recorded.folder, &line["capture"]));
    }
    for line in &lines {
        assert_eq!(line["connections"], "", "a sample does not count them");
        if line["processes"] == "0" {
            // What has ended holds nothing, and that is certain.
            assert_eq!(figure(line, "openssl_margin95"), 0.0, "{line:#?}");
        } else {
            // As whole bytes.
            let least = (1.96 * EVERY as f64).floor();
            assert!(figure(line, "openssl_margin95") >= least, "{line:#?}");
        }
    }
    let picture = fs::read_to_string(recorded.folder.join("timeline.svg")).unwrap();
    let (_, together) = picture.split_once("<title>OpenSSL together: ").unwrap();
    let (together, _) = together.split_once(" at its highest, after ").unwrap();
    assert!(together.contains(" ± "), "{together}");
    assert!(!picture.contains("connections"));
}

#[test]
fn a_runs_time_line_has_margins_and_so_has_its_page() {
    let folder = scratch("sampled-timeline-4k");
    let run = ["run", "-n=20", "--hold=1s", "--interval=200ms", "--sample=4k"];
    printed(&[&run[..], &["--out", path(&folder)]].concat());
    let capture = sums(&folder, "heap.pb.gz");
    let lines = lines(&folder);
    let hold: Vec<_> = lines.iter().filter(|line| line["phase"] == "hold").collect();
    let at_rest = hold
        .iter()
        .find(|line| capture.iter().all(|(group, (bytes, _))| figure(line, group) == *bytes))
        .unwrap_or_else(|| panic!("no line is as at rest: {capture:#?} {hold:#?}"));
    assert_same(at_rest, &capture);
    assert_eq!(at_rest["connections"], "20", "the server counts them");
    // What is OpenSSL's is not Rust's: that is as far off, in sizes of the allocator.
    let (openssl, rust) = (figure(at_rest, "openssl_margin95"), figure(at_rest, "rust_margin95"));
    assert!(openssl * 0.99 < rust && rust < openssl * 2.0, "{rust} for {openssl}");

    let place = TempDir::new().unwrap();
    let page = place.path().join("report.html");
    printed(&["report", path(&folder), "-o", path(&page)]);
    let page = fs::read_to_string(page).unwrap();
    let margin = |name: &str| analysis::notation::rounded(figure(at_rest, name));
    let cell = format!(">{} ± {}</td>", margin("tls"), margin("tls_margin95"));
    assert!(page.contains(&cell), "{cell}");
    let total = capture.values().map(|(bytes, _)| bytes).sum();
    let cell =
        format!(">{} ± {}</td>", analysis::notation::rounded(total), margin("openssl_margin95"));
    assert!(page.contains(&cell), "{cell}");
}
