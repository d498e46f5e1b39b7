//! What the program prints: standard output, quiet when its reader has gone and coloured only for a
//! terminal that wants it.
//!
//! Names in it come from programs and files of strangers, and a terminal takes some characters for
//! orders: none of them leaves here but line ends and the colours of our own tables.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use anyhow::Context;
use profile::harmless::{harmless_json, harmless_lines};
use report::medium::{Colour, Medium, Names, broken, has_cuts};
use serde::Serialize;

use crate::failure::Failure;
use crate::{medium, progress};

/// Writes text to standard output, with a line end if it has none: as wide as that is, if it is a
/// terminal. Colours are in it only if [`medium()`] has them. Where names were cut it says how to
/// see them whole.
pub fn print(text: &str) -> Result<(), Failure> {
    print_whole(&fitted(text, medium(), "--full"))
}

/// The same for text about what was written to a folder, where names can be looked up.
pub fn print_of(text: &str, folder: &Path) -> Result<(), Failure> {
    print_whole(&fitted(text, medium(), &top_of(folder)))
}

/// The command that shows whole what is in a folder.
pub fn top_of(folder: &Path) -> String {
    format!("tlsheap top {} --full", folder.display())
}

/// Writes text to standard output as it is, but harmless, with a line end if it has none: a format
/// that other programs read, or what is fitted already.
pub fn print_whole(text: &str) -> Result<(), Failure> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let harmless = harmless_on(medium(), text);
    print_with(|out| write!(out, "{harmless}{end}"))
}

/// The text in lines that have room on this medium, harmless, and with a word about names that were
/// cut: `way` shows them whole.
pub fn fitted(text: &str, medium: Medium, way: &str) -> String {
    let mut text = broken(&harmless_on(medium, text), medium);
    if medium.columns.is_some() && medium.names == Names::Cut && has_cuts(&text) {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let word = format!("… stands for a part of a name that has no room here; whole: {way}");
        text += &format!("{end}{}\n", broken(&harmless_lines(&word), medium));
    }
    text
}

fn harmless_on(medium: Medium, text: &str) -> String {
    match medium.colour {
        Colour::Never => harmless_lines(text).into_owned(),
        Colour::Always => but_for_colours(text),
    }
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

/// What standard output is.
pub fn medium() -> Medium {
    medium::of(&io::stdout())
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
