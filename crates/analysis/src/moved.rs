//! Sites of two versions of OpenSSL whose lines have moved, matched with each other.
//!
//! Rows of the one version are given the keys of the other: first those of the same function in the
//! same file, in the order of their lines; then of the same function in another file; then of the
//! same file and category, where the blocks are of about the same size; then of the same category
//! alone, where they are of nearly the same size. What finds no partner stays as it is, gone or
//! new.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::group::{Key, Row};
use crate::short_name::{c_name, is_named};

/// What is known of the versions of two captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// Both have one version: a line is a line.
    Same,
    /// The versions differ: lines have moved.
    Different,
    /// The lines have to tell.
    Unknown,
}

impl Versions {
    /// By what two captures say of themselves.
    pub fn of(before: Option<&str>, after: Option<&str>) -> Versions {
        match (before, after) {
            (Some(before), Some(after)) if before == after => Versions::Same,
            (Some(_), Some(_)) => Versions::Different,
            _ => Versions::Unknown,
        }
    }
}

/// Rows with the keys that their sites have in the other version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    /// The rows, keys changed where a partner was found.
    pub rows: Vec<Row>,
    /// The keys that they had, by the ones that they have now.
    pub was: HashMap<Key, Key>,
}

/// Gives the rows `before` the keys of the same sites in `after`. Both are grouped by site.
pub fn follow(before: &[Row], after: &[Row], versions: Versions) -> Followed {
    let moved = match versions {
        Versions::Same => false,
        Versions::Different => true,
        Versions::Unknown => lines_differ(before, after),
    };
    if !moved {
        return Followed { rows: before.to_vec(), was: HashMap::new() };
    }
    let partners = Partners::find(before, after);
    let mut merged: BTreeMap<&Key, Row> = BTreeMap::new();
    let mut was = HashMap::new();
    for (at, row) in before.iter().enumerate() {
        let key = match partners.of.get(&at) {
            Some(partner) => &after[*partner].key,
            None => &row.key,
        };
        if *key != row.key {
            was.insert(key.clone(), row.key.clone());
        }
        // A site without a partner may stand at a line that is another's now.
        let counts = merged.get(key).map_or(row.counts, |other| other.counts.plus(row.counts));
        let stack = row.stack.clone();
        merged.insert(key, Row { key: key.clone(), column: row.column, counts, stack });
    }
    Followed { rows: merged.into_values().collect(), was }
}

/// Functions with one site on each side stand at other lines, for a good part of them.
fn lines_differ(before: &[Row], after: &[Row]) -> bool {
    let lines = |rows: &[Row]| -> BTreeMap<(String, String), BTreeSet<u32>> {
        let mut lines: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.key.line != 0 && is_named(&row.key.function)) {
            let place = (row.key.file.clone(), c_name(&row.key.function).to_owned());
            lines.entry(place).or_default().insert(row.key.line);
        }
        lines
    };
    let (before, after) = (lines(before), lines(after));
    let single = |lines: &BTreeSet<u32>| lines.len() == 1;
    let both: Vec<bool> = before
        .iter()
        .filter(|(_, lines)| single(lines))
        .filter_map(|(place, old)| Some(old != after.get(place).filter(|new| single(new))?))
        .collect();
    // One build is one source: a single function that differs would be enough, but for inlining.
    both.iter().filter(|moved| **moved).count() * 5 > both.len()
}

/// Which row is which.
#[derive(Default)]
struct Partners {
    /// Rows after by rows before.
    of: HashMap<usize, usize>,
    taken: BTreeSet<usize>,
}

impl Partners {
    fn find(before: &[Row], after: &[Row]) -> Partners {
        let mut partners = Partners::default();
        // A name that is only a place in a library differs with the library.
        let function =
            |key: &Key| is_named(&key.function).then(|| c_name(&key.function).to_owned());
        let owner = |key: &Key| (key.category.clone(), key.domain.clone());
        let of_file = |key: &Key| Some((key.file.clone(), function(key), owner(key)));
        let of_function = |key: &Key| Some((function(key)?, owner(key)));
        let of_place = |key: &Key| Some((key.file.clone(), owner(key)));
        let of_category = |key: &Key| Some(owner(key));
        partners.pair(before, after, of_file, Alike::Lines);
        partners.pair(before, after, of_function, Alike::Lines);
        partners.pair(before, after, of_place, Alike::Roughly);
        partners.pair(before, after, of_category, Alike::Sizes);
        partners
    }

    /// Pairs rows of equal traits.
    fn pair<T: Ord>(
        &mut self,
        before: &[Row],
        after: &[Row],
        trait_of: impl Fn(&Key) -> Option<T>,
        alike: Alike,
    ) {
        let mut groups: BTreeMap<T, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (at, row) in before.iter().enumerate() {
            if holds(row)
                && !self.of.contains_key(&at)
                && let Some(of) = trait_of(&row.key)
            {
                groups.entry(of).or_default().0.push(at);
            }
        }
        for (at, row) in after.iter().enumerate() {
            if holds(row)
                && !self.taken.contains(&at)
                && let Some(of) = trait_of(&row.key)
            {
                groups.entry(of).or_default().1.push(at);
            }
        }
        for (mut old, mut new) in groups.into_values() {
            old.sort_by_key(|at| (&before[*at].key.file, before[*at].key.line));
            new.sort_by_key(|at| (&after[*at].key.file, after[*at].key.line));
            if alike == Alike::Lines && old.len() == new.len() {
                old.into_iter().zip(new).for_each(|(old, new)| self.take(old, new));
                continue;
            }
            let tolerance = match alike {
                Alike::Lines | Alike::Roughly => 1.5,
                Alike::Sizes => 1.02,
            };
            self.pair_by_size(before, after, old, new, tolerance);
        }
    }

    /// The heaviest first, each with the one whose blocks are nearest in size.
    fn pair_by_size(
        &mut self,
        before: &[Row],
        after: &[Row],
        mut old: Vec<usize>,
        mut new: Vec<usize>,
        tolerance: f64,
    ) {
        old.sort_by_key(|at| std::cmp::Reverse(before[*at].bytes()));
        for at in old {
            let Some(size) = block_size(&before[at]) else { continue };
            let factor = |other: &usize| {
                let other = block_size(&after[*other])?;
                Some(if other > size { other / size } else { size / other })
            };
            let nearest = new
                .iter()
                .enumerate()
                .filter_map(|(index, other)| Some((index, factor(other)?)))
                .filter(|(_, factor)| *factor <= tolerance)
                .min_by(|(_, a), (_, b)| a.total_cmp(b));
            if let Some((index, _)) = nearest {
                self.take(at, new.remove(index));
            }
        }
    }

    fn take(&mut self, before: usize, after: usize) {
        self.of.insert(before, after);
        self.taken.insert(after);
    }
}

/// How rows of one trait are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// By the order of their lines, if there are as many on each side; else roughly by size.
    Lines,
    /// By the size of their blocks: a struct has grown or shrunk.
    Roughly,
    /// By the size of their blocks, nearly to the byte.
    Sizes,
}

/// The row has anything in it that could be compared.
fn holds(row: &Row) -> bool {
    row.bytes().is_some_and(|bytes| bytes != 0)
        || row.counts.alloc_bytes.is_some_and(|bytes| bytes != 0)
}

/// Bytes of a block, of the column or ever; small ones are all alike and say nothing.
fn block_size(row: &Row) -> Option<f64> {
    const LEAST: i64 = 64;
    let size = |bytes: Option<i64>, blocks: Option<i64>| bytes?.checked_div(blocks?);
    size(row.bytes(), row.blocks())
        .or_else(|| size(row.counts.alloc_bytes, row.counts.alloc_blocks))
        .filter(|size| *size >= LEAST)
        .map(|size| size as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diff::{Side, diff_versions};
    use crate::group::{By, Counts, group};
    use crate::sample_profile;

    /// Function, file, line, blocks and bytes.
    type Site<'a> = (&'a str, &'a str, u32, i64, i64);

    fn rows(sites: &[Site<'_>]) -> Vec<Row> {
        let mut profile = profile::Profile::of_heap();
        for (function, file, line, blocks, bytes) in sites {
            let mut frames = sample_profile::stack(&[(function, file)]);
            frames[0].line = *line;
            sample_profile::push(&mut profile, "openssl", &frames, *blocks, *bytes);
        }
        group(&profile, By::Site)
    }

    /// What became of each site: function, the line before, the line after, the change.
    fn changes(before: &[Site<'_>], after: &[Site<'_>]) -> Vec<(String, u32, u32, f64)> {
        let rows = diff_versions(&rows(before), &rows(after), None, Versions::Different);
        rows.iter()
            .map(|row| {
                let (old, new) = match row.side {
                    Side::OnlyBefore => (row.key.line, 0),
                    Side::OnlyAfter => (0, row.key.line),
                    Side::Both => (row.was.as_ref().unwrap_or(&row.key).line, row.key.line),
                };
                (row.key.function.clone(), old, new, row.bytes.unwrap().delta())
            })
            .collect()
    }

    const LIB: &str = "ssl/ssl_lib.c";

    #[test]
    fn a_function_is_the_same_at_another_line() {
        assert_eq!(
            changes(
                &[("SSL_CTX_new_ex", LIB, 685, 1, 1_400)],
                &[("SSL_CTX_new_ex", LIB, 4_234, 1, 1_848)]
            ),
            [("SSL_CTX_new_ex".to_owned(), 685, 4_234, 448.0)]
        );
    }

    #[test]
    fn sites_of_one_function_are_told_apart_by_their_order() {
        let before = [("f", LIB, 100, 1, 500), ("f", LIB, 120, 1, 64)];
        let after = [("f", LIB, 120, 1, 510), ("f", LIB, 140, 1, 64)];
        assert_eq!(
            changes(&before, &after),
            [("f".to_owned(), 100, 120, 10.0), ("f".to_owned(), 120, 140, 0.0)]
        );
    }

    #[test]
    fn of_more_sites_than_before_the_new_one_is_new() {
        let before = [("f", LIB, 100, 1, 500)];
        let after = [("f", LIB, 90, 1, 6_000), ("f", LIB, 140, 1, 510)];
        assert_eq!(
            changes(&before, &after),
            [("f".to_owned(), 0, 90, 6_000.0), ("f".to_owned(), 100, 140, 10.0)]
        );
    }

    #[test]
    fn a_buffer_that_another_function_makes_now_is_found_by_its_size() {
        let before = [
            ("ssl3_setup_read_buffer", "ssl/record/ssl3_buffer.c", 68, 10, 167_120),
            ("ssl3_setup_write_buffer", "ssl/record/ssl3_buffer.c", 129, 10, 164_920),
        ];
        let file = "ssl/record/methods/tls_common.c";
        let after = [
            ("tls_setup_read_buffer", file, 261, 10, 167_160),
            ("tls_setup_write_buffer", file, 196, 10, 164_650),
            ("tls_int_new_record_layer", file, 1_262, 20, 88_640),
        ];
        let found = changes(&before, &after);
        assert_eq!(found[0], ("tls_int_new_record_layer".to_owned(), 0, 1_262, 88_640.0));
        assert_eq!(found[1], ("tls_setup_write_buffer".to_owned(), 129, 196, -270.0));
        assert_eq!(found[2], ("tls_setup_read_buffer".to_owned(), 68, 261, 40.0));
    }

    #[test]
    fn of_one_version_a_line_is_a_line() {
        let (before, after) = ([("f", LIB, 100, 1, 500)], [("f", LIB, 101, 1, 500)]);
        let changes = diff_versions(&rows(&before), &rows(&after), None, Versions::Same);
        assert_eq!(changes.len(), 2);
        // Nobody knows the versions, but the only function there is has moved.
        let changes = diff_versions(&rows(&before), &rows(&after), None, Versions::Unknown);
        assert_eq!(changes.len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_on_the_way(
            before in sample_profile::any(), after in sample_profile::any(),
        ) {
            let (before, after) = (group(&before, By::Site), group(&after, By::Site));
            let followed = follow(&before, &after, Versions::Different);
            let sum = |rows: &[Row]| {
                let zero = rows.first().map(|row| row.counts.zeroed()).unwrap_or_default();
                rows.iter().fold(zero, |sum: Counts, row| sum.plus(row.counts))
            };
            prop_assert_eq!(sum(&followed.rows), sum(&before));
            let keys: BTreeSet<&Key> = followed.rows.iter().map(|row| &row.key).collect();
            prop_assert_eq!(keys.len(), followed.rows.len());
        }
    }
}
