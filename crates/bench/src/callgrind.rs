//! Programs under valgrind's callgrind, which counts the instructions that they execute: of the
//! same work nearly the same number each time, on a busy machine too.

use std::path::Path;
use std::process::Command;

/// What is missing for it, in words; `None` when it is there.
pub fn missing() -> Option<String> {
    let found = Command::new("valgrind").arg("--version").output();
    found.is_err().then(|| "valgrind (Debian: valgrind)".to_owned())
}

/// Instructions of a run of `program`, all its threads together, with what the run prints. What
/// callgrind writes goes to `folder`. An error says what the program or valgrind said last.
pub fn instructions(program: &Path, arguments: &[String], folder: &Path) -> Result<u64, String> {
    let counts = folder.join("callgrind");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let failed = |why: &str| format!("{} under callgrind: {why}", program.display());
    if !output.status.success() {
        return Err(failed(said.lines().last().unwrap_or("it said nothing")));
    }
    let text = std::fs::read_to_string(&counts).map_err(|error| failed(&error.to_string()))?;
    total(&text).ok_or_else(|| failed("its file has no line of totals"))
}

/// The sum over all functions.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_those_of_the_last_lines() {
        let text = "version: 1\ncreator: callgrind-3.19.0\nsummary: 7\n\nfn=(1) main\n1 7\n\n\
                    totals: 1234567\n";
        assert_eq!(total(text), Some(1_234_567));
        assert_eq!(total("version: 1\n"), None);
    }
}
