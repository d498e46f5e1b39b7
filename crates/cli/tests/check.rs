//! `tlsheap check`: a service whose change gives each connection an SSL_CTX fails, and is told why.

mod program;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use program::{SmallRun, path, printed, printed_json, scratch, text, tlsheap};
use tempfile::TempDir;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/budgets");
    path(&folder.join(name)).to_owned()
}

/// A run of one of the services.
fn run_of(name: &str) -> PathBuf {
    let folder = scratch(&format!("check-{name}"));
    let connections = SmallRun::CONNECTIONS.to_string();
    let arguments = ["run", "--hold=0s", "--interval=200ms", "-n", &connections, "--config"];
    let file = fixture(&format!("{name}.toml"));
    printed(&[&arguments[..], &[&file, "--out", path(&folder)]].concat());
    folder
}

static SERVICE: LazyLock<PathBuf> = LazyLock::new(|| run_of("service"));
static CHANGED: LazyLock<PathBuf> = LazyLock::new(|| run_of("service-changed"));

#[test]
fn the_service_keeps_to_its_budget() {
    let said = printed(&["check", path(&SERVICE), "--budget", &fixture("budget.toml")]);
    assert!(said.contains(" keeps to "), "{said}");
}

#[test]
fn a_context_for_each_connection_fails_the_build_and_is_named_as_the_cause() {
    let place = TempDir::new().unwrap();
    let (junit, summary) = (place.path().join("junit.xml"), place.path().join("summary.md"));
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["check", path(&CHANGED), "--budget", &fixture("budget.toml"), "--github", "--junit"])
        .arg(&junit)
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let cause = "each connection has an SSL_CTX of its own (context-per-connection)";
    let said = text(&output.stdout);
    assert!(said.contains(cause), "{said}");
    assert!(said.contains("SSL_CTX_new"), "{said}");
    assert!(said.contains("SSL_CTX: 1 a connection"), "{said}");
    assert!(said.contains("::error title=context-per-connection is not allowed::"), "{said}");
    for file in [&junit, &summary] {
        let written = std::fs::read_to_string(file).unwrap();
        assert!(written.contains(cause), "{}: {written}", file.display());
    }
    let unwanted = |arguments: &[&str]| {
        let output = tlsheap(&[&["check", path(&CHANGED), "--json"], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        serde_json::from_str::<serde_json::Value>(&text(&output.stdout)).unwrap()
    };
    let json = unwanted(&["--budget", &fixture("budget.toml")]);
    assert_eq!(json["unwanted"][0]["id"], "context-per-connection");
    assert_eq!(json["passes"], false);
    // What broke a limit comes first among its sites.
    let total = &json["limits"][0];
    assert_eq!(total["passes"], false, "{total:#}");
    let story = total["causes"][0]["story"].as_array().unwrap();
    assert!(story.iter().any(|name| name == "build_context"), "{total:#}");
}

#[test]
fn against_a_baseline_the_sites_that_grew_are_named() {
    let place = TempDir::new().unwrap();
    let budget = place.path().join("budget.toml");
    let main = path(&SERVICE);
    let text_of = format!(
        "[baseline]\nprofile = {main:?}\n[total]\nbytes_per_connection = \"baseline + 5 %\"\n"
    );
    std::fs::write(&budget, text_of).unwrap();
    printed(&["check", main, "--budget", path(&budget)]);
    let output = tlsheap(&["check", path(&CHANGED), "--budget", path(&budget)]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(said.contains("in the baseline"), "{said}");
    assert!(said.contains("build_context"), "{said}");
    assert!(!said.contains("tls_setup_read_buffer"), "{said}");
}

#[test]
fn a_first_budget_is_one_that_its_run_keeps_to_and_that_is_not_written_twice() {
    let place = TempDir::new().unwrap();
    let budget = place.path().join("budget.toml");
    let arguments = ["check", path(&SERVICE), "--budget", path(&budget)];
    printed(&[&arguments[..], &["--init"]].concat());
    printed(&arguments);
    let again = tlsheap(&[&arguments[..], &["--init"]].concat());
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("is there already"));
    let json = printed_json(&[&arguments[..], &["--json"]].concat());
    assert_eq!(json["passes"], true);
}

#[test]
fn a_budget_that_is_wrong_or_missing_is_no_pass() {
    let place = TempDir::new().unwrap();
    let budget = place.path().join("budget.toml");
    let check = || tlsheap(&["check", path(&SERVICE), "--budget", path(&budget)]);
    let missing = check();
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("--init"), "{}", text(&missing.stderr));
    std::fs::write(&budget, "[total]\nbyte_per_connection = 5\n").unwrap();
    let wrong = check();
    assert_eq!(wrong.status.code(), Some(2));
    let said = text(&wrong.stderr);
    assert!(said.contains("budget.toml:2:1: total: expected a key out of"), "{said}");
    assert!(said.contains("did you mean bytes_per_connection?"), "{said}");
}
