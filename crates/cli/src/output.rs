//! Standard output: quiet when its reader has gone, coloured only for a terminal that wants it.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::Context;
use report::table::Colour;
use serde::Serialize;

use crate::failure::Failure;
use crate::progress;

/// Writes text to standard output, with a line end if it has none.
pub fn print(text: &str) -> Result<(), Failure> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print_bytes(format!("{text}{end}").as_bytes())
}

/// Writes a file's contents to standard output.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    print_with(|out| out.write_all(bytes))
}

/// Writes to standard output what `fill` writes piece by piece.
pub fn print_with(
    fill: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> io::Result<()>,
) -> Result<(), Failure> {
    progress::end();
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match fill(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::BrokenPipe),
        result => Ok(result.context("cannot write to standard output")?),
    }
}

/// Writes a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("records of ours are valid JSON");
    print(&text)
}

/// Whether tables may be coloured: on a terminal, unless NO_COLOR is set.
pub fn colour() -> Colour {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stdout().is_terminal() { Colour::Always } else { Colour::Never }
}
