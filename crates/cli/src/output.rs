//! What the program prints: standard output, quiet when its reader has gone and coloured only for a
//! terminal that wants it.
//!
//! Names in it come from programs and files of strangers, and a terminal takes some characters for
//! orders: none of them leaves here but line ends and the colours of our own tables.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anyhow::Context;
use profile::harmless::{harmless_json, harmless_lines};
use report::table::Colour;
use serde::Serialize;

use crate::failure::Failure;
use crate::progress;

/// Writes text to standard output, with a line end if it has none. Colours are in it only if
/// [`colour`] has them.
pub fn print(text: &str) -> Result<(), Failure> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let harmless = match colour() {
        Colour::Never => harmless_lines(text).into_owned(),
        Colour::Always => but_for_colours(text),
    };
    print_with(|out| write!(out, "{harmless}{end}"))
}

/// What our own tables are coloured with: the beginning of such a sequence, and its numbers.
const COLOURS: [&str; 6] = ["0m", "1m", "2m", "31m", "32m", "33m"];

/// The text made harmless, with the colours of our own tables left in. [`Colour`] lets no escape of
/// a name through, so that at most a name outside of tables can colour itself.
fn but_for_colours(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut harmless = harmless_lines(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let is_colour = COLOURS.iter().any(|colour| piece.starts_with(colour));
        harmless += if is_colour { "\u{1b}[" } else { "\\u{1b}[" };
        harmless += &harmless_lines(piece);
    }
    harmless
}

/// Writes a file's contents to standard output. What a terminal shows of it is harmless.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    print_with(|out| out.write_all(bytes))
}

/// Writes to standard output what `fill` writes piece by piece. That has to be a format whose texts
/// are harmless by themselves: who pipes it into a file gets it byte for byte.
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

/// Writes a value as indented JSON. Texts keep every character, but as its number where a terminal
/// would take it for an order.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("records of ours are valid JSON");
    print_with(|out| writeln!(out, "{}", harmless_json(text)))
}

/// Whether tables may be coloured: on a terminal, unless NO_COLOR is set.
pub fn colour() -> Colour {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stdout().is_terminal() { Colour::Always } else { Colour::Never }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_colours_of_our_own_tables_pass() {
        let text = "\u{1b}[1m\u{1b}[31mred\u{1b}[0m \u{1b}[8mhidden \u{1b}]0;title\u{7}\n\u{9b}1m";
        assert_eq!(
            but_for_colours(text),
            "\u{1b}[1m\u{1b}[31mred\u{1b}[0m \\u{1b}[8mhidden \\u{1b}]0;title\\u{7}\n\\u{9b}1m"
        );
    }
}
