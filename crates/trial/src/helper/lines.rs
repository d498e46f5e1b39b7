//! One line of JSON for each thing that is said, ordered or asked for.

use std::io::{self, Write};

use serde::Serialize;

/// A value of ours as one line, without its end.
pub fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("words, numbers and paths in UTF-8 are valid JSON")
}

/// Says something on standard output.
pub fn say(event: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", line(event))?;
    out.flush()
}
