//! Sentences on lines that are no longer than can be read.

use crate::medium::Medium;

/// A sentence on lines for this medium, of at most 100 columns, each behind `indent` blanks, without the last
/// line end. A word that is longer has a line of its own; a figure is not parted from its margin.
pub fn wrapped(sentence: &str, indent: usize, medium: Medium) -> String {
    let most = medium.of_sentences();
    let margin = " ".repeat(indent);
    let mut text = margin.clone();
    let mut column = indent;
    for word in unbroken(sentence) {
        let length = word.chars().count();
        if column > indent && column + 1 + length > most {
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
        assert_eq!(wrapped(&long, 0, Medium::PLAIN).lines().last(), Some("66.9 MB ± 3.7 MB"));
        assert_eq!(unbroken("± 3"), ["± 3"]);
    }
}
