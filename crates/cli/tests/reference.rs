//! The committed captures in profiles/reference, and the documents that show their figures.
//!
//! `TLSHEAP_BLESS=1 cargo test --release -p tlsheap --test reference` writes the table and the
//! pictures of profiles/README.md anew from the captures. The captures themselves are made by the
//! command that profiles/README.md names.

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use program::{path, printed, printed_json};
use serde_json::Value;

const TABLE: &str = "<!-- the table of profiles/reference -->\n";
const END: &str = "<!-- the end of the table -->\n";

#[test]
fn figures_are_those_of_the_captures_to_the_byte() {
    let comparison = comparison();
    let configurations = comparison["configurations"].as_array().unwrap();
    let standard = printed_json(&["configs", "--json"]);
    let names = |list: &Value| -> Vec<String> {
        let named = list["configurations"].as_array().unwrap().iter();
        named.map(|configuration| configuration["name"].to_string()).collect()
    };
    assert_eq!(names(&comparison), names(&standard), "profiles/reference lacks configurations");
    for figures in configurations {
        let name = figures["name"].as_str().unwrap();
        let connections = number(&figures["connections"]);
        let totals = |file: &str| {
            let capture = reference().join(name).join(file);
            printed_json(&["top", path(&capture), "--json", "-n=1"])["totals"].clone()
        };
        let (before, at_rest) = (totals("baseline.pb.gz"), totals("heap.pb.gz"));
        let each =
            |column: &str| (number(&at_rest[column]) - number(&before[column])) / connections;
        let agrees = |column: &str, figure: &str| {
            let shown = number(&figures[figure]);
            assert!((each(column) - shown).abs() < 0.01, "{name}: {figure} {shown}");
        };
        agrees("inuse_bytes", "openssl_bytes_per_connection");
        agrees("inuse_blocks", "blocks_per_connection");
        let run: Value = json(&reference().join(name).join("run.json"));
        assert_eq!(run["configuration"], figures["name"]);
        assert_eq!(number(&run["connections"]), connections);
    }
}

#[test]
fn the_table_is_that_of_the_captures() {
    let document = root().join("profiles/README.md");
    let mut text = fs::read_to_string(&document).unwrap();
    let from = text.find(TABLE).expect("profiles/README.md has a marked table") + TABLE.len();
    let to = from + text[from..].find(END).expect("the table has an end");
    let table = printed(&["compare", "--show", path(&reference()), "--format", "markdown"]);
    if text[from..to] == table {
        return;
    }
    assert!(blessing(), "profiles/README.md shows\n{}the captures say\n{table}", &text[from..to]);
    text.replace_range(from..to, &table);
    fs::write(&document, &text).unwrap();
}

#[test]
fn the_pictures_are_drawn_from_the_captures() {
    let of = |configuration: &str| path(&reference().join(configuration)).to_owned();
    let pictures = [
        ("node-0.4/flame.svg", vec!["flame".to_owned(), of("node-0.4")]),
        ("release-buffers/flame.svg", vec!["flame".to_owned(), of("release-buffers")]),
    ];
    for (name, arguments) in pictures {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let drawn = printed(&[&arguments[..], &["-o", "-"]].concat());
        let file = reference().join(name);
        if fs::read_to_string(&file).unwrap() != drawn {
            assert!(blessing(), "{name} is another picture than `tlsheap flame` draws of it");
            fs::write(&file, drawn).unwrap();
        }
    }
}

/// docs/2011.md puts claims of that year beside today's figures: each of them as it is here.
#[test]
fn the_report_of_2011_is_told_with_these_figures() {
    let page = fs::read_to_string(root().join("docs/2011.md")).unwrap();
    let words: Vec<&str> = page.split_whitespace().collect();
    let page = words.join(" ");
    let comparison = comparison();
    let figure = |configuration: &str, name: &str| {
        let all = comparison["configurations"].as_array().unwrap();
        let one = all.iter().find(|it| it["name"] == configuration).expect("a configuration");
        number(&one[name])
    };
    let bytes = |configuration: &str| figure(configuration, "openssl_bytes_per_connection");
    let rate = |configuration: &str| figure(configuration, "handshakes_per_second");
    let less = |from: &str, to: &str| bytes(from) - bytes(to);
    let claims = [
        format!("{} bytes of OpenSSL memory", grouped(bytes("node-0.4"))),
        format!("{} bytes less", grouped(less("node-0.4", "shared-store"))),
        format!("{:.1} %", less("node-0.4", "shared-store") * 100.0 / bytes("node-0.4")),
        format!("{:.0} to {} full handshakes", rate("node-0.4"), grouped(rate("shared-store"))),
        format!("{:.1} times", rate("shared-store") / rate("node-0.4")),
        format!(
            "{} bytes less, of which 583,312",
            grouped(less("shared-context", "no-compression"))
        ),
        format!("200 × {} bytes", grouped(bytes("no-compression"))),
        format!("{:.1} MB", bytes("no-compression") * 200.0 / 1e6),
        format!("{} bytes less", grouped(less("no-compression", "release-buffers"))),
        format!("down to {}", grouped(bytes("release-buffers"))),
        format!("{} bytes and 121 blocks", grouped(less("shared-store", "shared-context"))),
        format!("it is {}", grouped(bytes("tls13"))),
    ];
    let missing: Vec<_> = claims.iter().filter(|claim| !page.contains(claim.as_str())).collect();
    assert!(missing.is_empty(), "docs/2011.md does not say {missing:?}");
}

fn comparison() -> Value {
    json(&reference().join("compare.json"))
}

fn json(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// A whole number in groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn reference() -> PathBuf {
    root().join("profiles/reference")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn blessing() -> bool {
    std::env::var_os("TLSHEAP_BLESS").is_some()
}
