//! What text is printed on: how wide it is, whether it has colours, and what becomes of names that
//! have no room.

use anstyle::Style;
use profile::harmless::harmless;

/// Whether lines carry terminal colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Escape sequences for headings, stories and changes.
    Always,
    /// Plain text.
    #[default]
    Never,
}

/// What becomes of names that have no room on a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// They lose their middle, for which [`CUT`] stands.
    #[default]
    Cut,
    /// They stay whole, on lines of their own where need be.
    Whole,
}

/// Stands for what was cut out of a name.
pub const CUT: char = '…';

/// A terminal, or a file or pipe, which is as wide as it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Medium {
    /// Whether it has colours.
    pub colour: Colour,
    /// How wide it is; `None` for as wide as it takes.
    pub columns: Option<usize>,
    /// What becomes of names that are too long for it.
    pub names: Names,
}

/// Lines of sentences are no longer than this on a medium of any width: eyes get lost in them.
const SENTENCE: usize = 100;

/// Nobody reads on less.
const LEAST: usize = 20;

impl Medium {
    /// A file or pipe: whole lines, no colours.
    pub const PLAIN: Medium = Medium { colour: Colour::Never, columns: None, names: Names::Cut };

    /// A terminal of so many columns, without colours.
    pub const fn of(columns: usize) -> Medium {
        Medium { columns: Some(columns), ..Medium::PLAIN }
    }

    /// How long a line of sentences may be.
    pub fn of_sentences(self) -> usize {
        self.room().min(SENTENCE)
    }

    /// How long a line may be.
    pub fn room(self) -> usize {
        self.columns.map_or(usize::MAX, |columns| columns.max(LEAST))
    }

    /// How long a line with names may be before they are cut.
    pub(crate) fn room_for_names(self) -> usize {
        match self.names {
            Names::Cut => self.room(),
            Names::Whole => usize::MAX,
        }
    }

    /// The text, harmless on a terminal, in this style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let text = harmless(text);
        match self.colour {
            Colour::Always => format!("{style}{text}{style:#}"),
            Colour::Never => text.into_owned(),
        }
    }
}

/// What is left of a text on this medium: lines that are longer than it are broken at blanks, and
/// go on two blanks further in. A word that is longer than a line stays whole; colours take no
/// room.
pub fn broken(text: &str, medium: Medium) -> String {
    let Some(columns) = medium.columns.map(|_| medium.room()) else { return text.to_owned() };
    let lines: Vec<String> = text.split('\n').map(|line| broken_line(line, columns)).collect();
    lines.join("\n")
}

fn broken_line(line: &str, columns: usize) -> String {
    if seen(line) <= columns {
        return line.to_owned();
    }
    let words = line.trim_start_matches(' ');
    let indent = line.len() - words.len();
    // Where lines begin far on the right, there is no room to go on below.
    let hanging = if indent + 2 > columns / 2 { 2 } else { indent + 2 };
    let mut text = " ".repeat(indent);
    let mut column = indent;
    // Blanks between columns stay where no line ends.
    let mut gap = 0;
    for word in words.split_inclusive(' ') {
        let bare = word.trim_end_matches(' ');
        if bare.is_empty() {
            gap += word.len();
            continue;
        }
        let begun = column > indent;
        if begun && column + gap + seen(bare) > columns {
            text.push('\n');
            text.push_str(&" ".repeat(hanging));
            column = hanging;
        } else {
            text.push_str(&" ".repeat(gap));
            column += gap;
        }
        text.push_str(bare);
        column += seen(bare);
        gap = word.len() - bare.len();
    }
    text
}

/// How many columns a text takes: all but its colours.
fn seen(text: &str) -> usize {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().map_or(0, |piece| piece.chars().count());
    let rest = pieces.map(|piece| {
        let behind = piece.split_once('m').map_or(piece, |(_, behind)| behind);
        behind.chars().count()
    });
    first + rest.sum::<usize>()
}

/// Whether a name in the text was cut. The mark at a line's beginning, before a blank, is a word
/// of ours: `… and 12 more rows`.
pub fn has_cuts(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches([' ', '\u{1b}']);
        let line = line.strip_prefix('[').and_then(|it| it.split_once('m')).map_or(line, |it| it.1);
        line.strip_prefix("… ").unwrap_or(line).contains(CUT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_go_on_further_in() {
        let medium = Medium::of(20);
        assert_eq!(
            broken("  one two three four five\nshort", medium),
            "  one two three four\n    five\nshort"
        );
        assert_eq!(
            broken("a/path/that/is/longer/than/the/line is", medium),
            "a/path/that/is/longer/than/the/line\n  is"
        );
        assert_eq!(broken("12345  12345  12345  12345", medium), "12345  12345  12345\n  12345");
        let coloured = "\u{1b}[1mone two three four\u{1b}[0m";
        assert_eq!(broken(coloured, medium), coloured);
        let long = "word ".repeat(90);
        assert_eq!(broken(&long, Medium::PLAIN), long);
    }

    #[test]
    fn a_cut_name_is_told_from_words_of_ours() {
        assert!(has_cuts("  12  crypt…new.c:3\n"));
        assert!(!has_cuts("a line\n… and 12 more rows, 3 bytes together\n"));
        assert!(!has_cuts("\u{1b}[2m… and 12 more rows\u{1b}[0m\n"));
        assert!(has_cuts("\u{1b}[2m  serve › ossl_…_new\u{1b}[0m\n"));
    }
}
