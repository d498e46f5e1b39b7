//! Standard output: quiet when its reader has gone, coloured only for a terminal that wants it.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

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
        result => Ok(result?),
    }
}

/// Writes a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Writes a value as one line of JSON, for a reader that waits for lines.
pub fn print_json_line(value: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(value)?)
}

/// Columns of text.
const WIDTH: usize = 100;

/// A sentence on lines of at most [`WIDTH`] columns, each behind `indent` blanks, without the last
/// line end. A word that is longer has a line of its own; a figure is not parted from its margin.
pub fn wrapped(sentence: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut text = margin.clone();
    let mut column = indent;
    for word in unbroken(sentence) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            text += "\n";
            text += &margin;
            column = indent;
        }
        if column > indent {
            text.push(' ');
            column += 1;
        }
        text += &word;
        column += length;
    }
    text
}

/// Units that stand behind their figures.
const UNITS: [&str; 8] = ["B", "KB", "MB", "GB", "TB", "PB", "EB", "%"];

/// The words of a sentence; an estimate with its units and its margin, as `1.3 MB ± 74.0 KB`, is
/// one word.
fn unbroken(sentence: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        if word == "±" {
            let unit = words.pop_if(|last| UNITS.contains(&last.as_str()));
            let parts = [words.pop(), unit, Some(word.to_owned())];
            words.push(parts.into_iter().flatten().collect::<Vec<_>>().join(" "));
            continue;
        }
        let is_unit = UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']));
        match words.last_mut() {
            Some(last) if last.ends_with('±') || (is_unit && last.contains('±')) => {
                *last += " ";
                *last += word;
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
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
    fn a_figure_is_not_parted_from_its_margin() {
        let words = unbroken("(with 66.9 MB ± 3.7 MB, or 32 ± 3 allocations, 5 ± 1 % of 1 MB)");
        let expected = ["(with", "66.9 MB ± 3.7 MB,", "or", "32 ± 3", "allocations,", "5 ± 1 %"];
        assert_eq!(words[..6], expected);
        assert_eq!(words[6..], ["of", "1", "MB)"]);
        let long = "twelve-chars ".repeat(7) + "66.9 MB ± 3.7 MB";
        assert_eq!(wrapped(&long, 0).lines().last(), Some("66.9 MB ± 3.7 MB"));
        assert_eq!(unbroken("± 3"), ["± 3"]);
    }
}
