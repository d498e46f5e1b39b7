//! Making text fit into a width.

use profile::harmless::harmless;

use crate::medium::{Medium, Names};

/// How many columns a text takes. Our own texts hold no wide characters; a name that does is
/// shown, if a little out of line.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// `text` in at most `most` columns, shortened in the middle with `…`.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let length = width(text);
    if length <= most {
        return text.to_owned();
    }
    let Some(kept) = most.checked_sub(1) else { return String::new() };
    // The end of a name tells more than its beginning.
    let begin = kept / 2;
    let end = kept - begin;
    let first: String = text.chars().take(begin).collect();
    let last: String = text.chars().skip(length - end).collect();
    format!("{first}…{last}")
}

/// A source path in at most `most` columns: folders in the middle go first.
/// `providers/implementations/ciphers/cipher_aes_gcm.c:30` is `providers/…/cipher_aes_gcm.c:30`.
pub(crate) fn shorten_path(path: &str, most: usize) -> String {
    if width(path) <= most {
        return path.to_owned();
    }
    if let (Some((first, _)), Some((_, last))) = (path.split_once('/'), path.rsplit_once('/')) {
        let without_middle = format!("{first}/…/{last}");
        if width(&without_middle) <= most {
            return without_middle;
        }
        let last_alone = format!("…/{last}");
        return if width(&last_alone) <= most { last_alone } else { shorten(last, most) };
    }
    shorten(path, most)
}

/// The lines of a story, each behind so many columns: one where names are cut, and else as many as
/// they take, broken before a joint.
pub(crate) fn told(names: &[String], behind: usize, medium: Medium) -> Vec<String> {
    let room = medium.room().saturating_sub(behind);
    if medium.names == Names::Cut {
        return vec![join_story(names, room)];
    }
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        let name = harmless(name);
        match lines.last_mut() {
            None => lines.push(name.into_owned()),
            Some(line) if width(line) + width(JOINT) + width(&name) <= room => {
                *line += JOINT;
                *line += &name;
            }
            Some(_) => lines.push(format!("› {name}")),
        }
    }
    lines
}

/// Between the names of a story.
const JOINT: &str = " › ";

/// Names joined with ` › ` in at most `most` columns: the longest names are shortened first.
pub(crate) fn join_story(names: &[String], most: usize) -> String {
    let names: Vec<_> = names.iter().map(|name| harmless(name)).collect();
    let joints = names.len().saturating_sub(1) * width(JOINT);
    let widths: Vec<usize> = names.iter().map(|name| width(name)).collect();
    let length = |longest: usize| -> usize {
        joints + widths.iter().map(|width| (*width).min(longest)).sum::<usize>()
    };
    // No name is shown that is longer than the whole.
    let mut longest = widths.iter().copied().max().unwrap_or_default().min(most);
    while longest > 1 && length(longest) > most {
        longest -= 1;
    }
    let names: Vec<String> = names.iter().map(|name| shorten(name, longest)).collect();
    shorten(&names.join(JOINT), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(shorten("ossl_asn1_item_ex_new_intern", 12), "ossl_…intern");
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("größer", 4), "g…er");
        assert_eq!(shorten("anything", 1), "…");
        assert_eq!(shorten("anything", 0), "");
    }

    #[test]
    fn long_paths_lose_folders_before_they_lose_their_file() {
        let path = "providers/implementations/ciphers/cipher_aes_gcm.c:30";
        assert_eq!(shorten_path(path, 60), path);
        assert_eq!(shorten_path(path, 31), "providers/…/cipher_aes_gcm.c:30");
        assert_eq!(shorten_path(path, 12), "ciphe…m.c:30");
    }

    #[test]
    fn a_story_keeps_its_short_names_whole() {
        let names = ["serve", "a_very_long_function_name_indeed", "leaf"].map(str::to_owned);
        assert_eq!(join_story(&names, 80), "serve › a_very_long_function_name_indeed › leaf");
        assert_eq!(join_story(&names, 30), "serve › a_very_…_indeed › leaf");
        assert!(width(&join_story(&names, 10)) <= 10);
        assert_eq!(join_story(&[], 10), "");
    }
}
