//! What changed between two profiles, row by row.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use profile::{Metric, Profile};

use crate::column::Column;
use crate::group::{By, Call, Counts, Key, Row, group, telling_of};
use crate::moved::{Followed, Versions, follow};
use crate::per_connection::{divide, margin};
use crate::ratio::Estimated;

/// One figure on both sides. Whole numbers, unless the figures are per connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// In the profile before; 0 where it has no such row.
    pub before: f64,
    /// In the profile after; 0 where it has no such row.
    pub after: f64,
}

impl Change {
    /// After less before.
    pub fn delta(self) -> f64 {
        self.after - self.before
    }

    /// The change as a part of what was before: -0.5 for half; `None` where there was nothing.
    pub fn relative(self) -> Option<f64> {
        (self.before != 0.0).then(|| self.delta() / self.before)
    }

    /// The change as a part of what was before, of figures that may be off by these margins: -0.5
    /// for half. `None` where there was nothing, or may have been nothing.
    pub fn relative_within(self, margins: Margins) -> Option<Estimated> {
        let after = Estimated { figure: self.after, margin: margins.after };
        after.change_from(Estimated { figure: self.before, margin: margins.before })
    }

    /// Whether the change is more than chance may have made. Always where both sides are exact.
    pub fn is_significant(self, margins: Margins) -> bool {
        margins.change.is_none_or(|margin| self.delta().abs() > margin)
    }
}

/// One row of a comparison. A figure is `None` when either profile has no such column.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffRow {
    /// What the row stands for.
    pub key: Key,
    /// Bytes of the column.
    pub bytes: Option<Change>,
    /// Blocks of the column.
    pub blocks: Option<Change>,
    /// How far off the bytes may be.
    pub bytes_margins: Margins,
    /// How far off the blocks may be.
    pub blocks_margins: Margins,
    /// Which profiles have the row.
    pub side: Side,
    /// What the row stood for before, where its site has moved since: [`diff_versions`].
    pub was: Option<Key>,
    /// The heaviest stack, innermost first: that of the side that holds more, after's if equal.
    pub stack: Vec<Arc<Call>>,
}

/// Halves of the widths of the 95 % intervals of two figures and of their difference; `None` for
/// what is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Margins {
    /// Half the width of the interval of the figure before.
    pub before: Option<f64>,
    /// Half the width of the interval of the figure after.
    pub after: Option<f64>,
    /// Half the width of the interval of the difference.
    pub change: Option<f64>,
}

impl Margins {
    /// The margins of two figures and of their difference: an exact side adds nothing to that.
    pub fn of(before: Option<f64>, after: Option<f64>) -> Margins {
        let change = match (before, after) {
            (Some(before), Some(after)) => Some(before.hypot(after)),
            (before, after) => before.or(after),
        };
        Margins { before, after, change }
    }
}

impl DiffRow {
    /// The few functions of the heaviest stack that tell its story, outermost first.
    pub fn telling(&self) -> Vec<String> {
        telling_of(&self.stack)
    }
}

/// Which profiles have a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Both have the row.
    Both,
    /// The row is gone.
    OnlyBefore,
    /// The row is new.
    OnlyAfter,
}

/// How many connections each side held, where figures are to be per connection.
pub type Connections = (NonZeroU64, NonZeroU64);

/// Compares two profiles, grouped alike. With `connections`, all figures are per connection.
/// The largest change of bytes in use comes first.
pub fn diff(
    before: &Profile,
    after: &Profile,
    by: By,
    connections: Option<Connections>,
) -> Vec<DiffRow> {
    diff_rows(&group(before, by), &group(after, by), connections)
}

/// Compares rows by site of what may be two versions of OpenSSL: sites whose lines have moved are
/// one row.
pub fn diff_versions(
    before: &[Row],
    after: &[Row],
    connections: Option<Connections>,
    versions: Versions,
) -> Vec<DiffRow> {
    let Followed { rows, mut was } = follow(before, after, versions);
    let mut rows = diff_rows(&rows, after, connections);
    for row in &mut rows {
        row.was = was.remove(&row.key);
    }
    rows
}

/// The bytes of rows by category, the largest change first. Categories that did not change are left
/// out.
pub fn by_category(rows: &[DiffRow]) -> Vec<(String, Change)> {
    let mut changes: BTreeMap<&str, Change> = BTreeMap::new();
    for row in rows {
        let change = row.bytes.unwrap_or_default();
        let sum = changes.entry(row.key.category.as_str()).or_default();
        *sum = Change { before: sum.before + change.before, after: sum.after + change.after };
    }
    let mut changes: Vec<(String, Change)> = changes
        .into_iter()
        .filter(|(_, change)| change.delta() != 0.0)
        .map(|(category, change)| (category.to_owned(), change))
        .collect();
    changes.sort_by(|(_, a), (_, b)| b.delta().abs().total_cmp(&a.delta().abs()));
    changes
}

/// Half the width of the 95 % interval of a category's change in [`by_category`]; `None` where that
/// is exact. Of rows by site it is wider than it has to be: each reckons with one block more.
pub fn margin_of_category(rows: &[DiffRow], category: &str) -> Option<f64> {
    let rows = rows.iter().filter(|row| row.key.category == category);
    rows.filter_map(|row| row.bytes_margins.change).reduce(f64::hypot)
}

/// Compares rows that are already grouped, or less a baseline.
pub fn diff_rows(before: &[Row], after: &[Row], connections: Option<Connections>) -> Vec<DiffRow> {
    let mut pairs: BTreeMap<&Key, (Option<&Row>, Option<&Row>)> = BTreeMap::new();
    for row in before {
        pairs.entry(&row.key).or_default().0 = Some(row);
    }
    for row in after {
        pairs.entry(&row.key).or_default().1 = Some(row);
    }
    let column = column_of(before, after);
    // A side without the row has zero in the columns of that side's other rows.
    let none = (none_of(before, after), none_of(after, before));
    let mut rows: Vec<DiffRow> = pairs
        .into_iter()
        .map(|(key, (old, new))| {
            let counts = (
                old.map_or_else(|| none_beside(none.0, new), |row| row.counts),
                new.map_or_else(|| none_beside(none.1, old), |row| row.counts),
            );
            let change = |metric: Metric| {
                let (old, new) = counts.0.of(metric).zip(counts.1.of(metric))?;
                Some(match connections {
                    None => Change { before: old as f64, after: new as f64 },
                    Some((m, n)) => Change { before: divide(old, m), after: divide(new, n) },
                })
            };
            DiffRow {
                key: key.clone(),
                bytes: change(column.bytes()),
                blocks: change(column.blocks()),
                bytes_margins: margins_of(counts, column.bytes(), connections),
                blocks_margins: margins_of(counts, column.blocks(), connections),
                side: match (old, new) {
                    (Some(_), Some(_)) => Side::Both,
                    (Some(_), None) => Side::OnlyBefore,
                    (None, _) => Side::OnlyAfter,
                },
                was: None,
                stack: heavier(old, new).map(|row| row.stack.clone()).unwrap_or_default(),
            }
        })
        .collect();
    // The sort is stable: equal changes stay in the order of their keys.
    rows.sort_by(|a, b| b.magnitude().total_cmp(&a.magnitude()));
    rows
}

impl DiffRow {
    /// Whether the change of bytes is more than chance may have made. Always where both
    /// sides are exact.
    pub fn is_significant(&self) -> bool {
        self.bytes.is_none_or(|change| change.is_significant(self.bytes_margins))
    }

    /// By how much the row matters, whatever the direction.
    fn magnitude(&self) -> f64 {
        self.bytes.map(|change| change.delta().abs()).unwrap_or_default()
    }
}

/// How far off all bytes of the column may be.
pub fn margins_of_totals(
    before: &[Row],
    after: &[Row],
    connections: Option<Connections>,
) -> Margins {
    let total = |rows: &[Row], other: &[Row]| {
        rows.iter().fold(zero_of(rows, other), |sum, row| sum.plus(row.counts))
    };
    let sides = (total(before, after), total(after, before));
    margins_of(sides, column_of(before, after).bytes(), connections)
}

/// The margins of both sides, each of its own connections.
fn margins_of(
    (old, new): (Counts, Counts),
    metric: Metric,
    connections: Option<Connections>,
) -> Margins {
    let (m, n) = connections.unwrap_or((NonZeroU64::MIN, NonZeroU64::MIN));
    let (before, after) = (margin(&old, metric, m), margin(&new, metric, n));
    Margins::of(before, after)
}

/// The figures that rows are looked at by: those of both sides are the same.
fn column_of(before: &[Row], after: &[Row]) -> Column {
    before.first().or(after.first()).map_or_else(Column::default, |row| row.column)
}

/// The row that holds more bytes: its stack tells what went away, or what is new.
fn heavier<'a>(old: Option<&'a Row>, new: Option<&'a Row>) -> Option<&'a Row> {
    let bytes = |row: &Row| row.bytes().unwrap_or_default();
    match (old, new) {
        (Some(old), Some(new)) if bytes(old) > bytes(new) => Some(old),
        (old, new) => new.or(old),
    }
}

/// Nothing, in the columns of `rows` and as far off as the least known of them.
fn none_of(rows: &[Row], other: &[Row]) -> Counts {
    let sum = rows.iter().map(|row| row.counts).reduce(Counts::plus);
    sum.map_or_else(|| zero_of(rows, other), Counts::none)
}

/// Nothing on a side that has no such row, beside what the other side has: of a sample, as far off
/// as one block of the same sizes.
fn none_beside(none: Counts, other: Option<&Row>) -> Counts {
    match other.map(|row| row.counts.none()) {
        Some(other) if none.off.is_some() && other.off.is_some() => {
            Counts { off: other.off, ..none }
        }
        _ => none,
    }
}

/// Zero in the columns of `rows`; where there are no rows to ask, in those of the other side.
fn zero_of(rows: &[Row], other: &[Row]) -> Counts {
    rows.first().or(other.first()).map(|row| row.counts.zeroed()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample_profile;

    fn profile(sites: &[(&str, i64)]) -> Profile {
        let mut profile = Profile::of_heap();
        for (file, bytes) in sites {
            let frames = sample_profile::stack(&[("f", file)]);
            sample_profile::push(&mut profile, "openssl", &frames, 1, *bytes);
        }
        profile
    }

    /// A profile of blocks of 100 bytes, of which one in about ten was counted.
    fn sampled(sites: &[(&str, i64)]) -> Profile {
        let mut sampled = profile(sites);
        sampled.sampling = profile::Sampling::every(1_000);
        sampled.samples_mut().iter_mut().for_each(|sample| sample.set_block_bytes(100));
        sampled
    }

    #[test]
    fn of_estimates_only_changes_beyond_their_margin_are_significant() {
        let before = sampled(&[("ssl/a.c", 100_000), ("ssl/b.c", 100_000)]);
        let after = sampled(&[("ssl/a.c", 200_000), ("ssl/b.c", 110_000)]);
        let rows = diff(&before, &after, By::Site, None);
        let significant: Vec<bool> = rows.iter().map(DiffRow::is_significant).collect();
        assert_eq!(significant, [true, false]);
        // Each side's own: 1.96 √(bytes × 100 / (e^0.1 − 1)), and one block more.
        let margin = rows[0].bytes_margins.change.expect("an estimate");
        assert!((33_000.0..36_000.0).contains(&margin), "{margin}");
        let total = margins_of_totals(&group(&before, By::Site), &group(&after, By::Site), None);
        assert!(total.change.expect("an estimate") > margin);
        // Against what is exact, one side's margin is all there is.
        let exact = profile(&[("ssl/a.c", 100_000), ("ssl/b.c", 100_000)]);
        let half = diff(&exact, &after, By::Site, None);
        assert!(half[0].bytes_margins.change.expect("an estimate") < margin);
        let rows = diff(&exact, &exact, By::Site, None);
        assert!(
            rows.iter().all(|row| row.bytes_margins == Margins::default() && row.is_significant())
        );
    }

    #[test]
    fn of_what_no_sample_counted_there_may_still_be_a_block() {
        let one_block = profile::Sampling::every(1_000).unwrap().uncertainty_of_bytes(100, 0.0);
        let after = sampled(&[("ssl/b.c", 100_000)]);
        let sites = [("ssl/a.c", 100_000), ("ssl/b.c", 100_000)];
        for before in [sampled(&sites), profile(&sites)] {
            let gone = &diff(&before, &after, By::Site, None)[0];
            assert_eq!((gone.side, gone.bytes.unwrap().after), (Side::OnlyBefore, 0.0));
            assert_eq!(gone.bytes_margins.after, Some(one_block.margin()));
            assert!(gone.bytes_margins.change >= gone.bytes_margins.after);
        }
        let exact = profile(&[("ssl/c.c", 1)]);
        let gone = &diff(&after, &exact, By::Site, None)[0];
        assert_eq!(gone.bytes_margins.after, None, "exactly nothing is nothing for certain");
    }

    fn deltas(rows: &[DiffRow]) -> Vec<(&str, f64, Side)> {
        let delta = |row: &DiffRow| row.bytes.unwrap().delta();
        rows.iter().map(|row| (row.key.file.as_str(), delta(row), row.side)).collect()
    }

    #[test]
    fn the_largest_change_comes_first_and_rows_of_one_side_are_kept() {
        let before = profile(&[("ssl/a.c", 500), ("ssl/b.c", 10), ("ssl/gone.c", 70)]);
        let after = profile(&[("ssl/a.c", 510), ("ssl/b.c", 10), ("ssl/new.c", 20)]);
        assert_eq!(
            deltas(&diff(&before, &after, By::Site, None)),
            [
                ("ssl/gone.c", -70.0, Side::OnlyBefore),
                ("ssl/new.c", 20.0, Side::OnlyAfter),
                ("ssl/a.c", 10.0, Side::Both),
                ("ssl/b.c", 0.0, Side::Both),
            ]
        );
    }

    #[test]
    fn a_row_is_told_by_the_side_that_holds_more() {
        let with = |caller, bytes| {
            let mut profile = Profile::of_heap();
            let frames = sample_profile::stack(&[("f", "ssl/a.c"), (caller, "crates/x/src/x.rs")]);
            let frames = [profile::Frame { line: 1, ..frames[0] }, frames[1]];
            sample_profile::push(&mut profile, "openssl", &frames, 1, bytes);
            profile
        };
        let told = |before, after| {
            let rows = diff(&with("gone", before), &with("new", after), By::Site, None);
            rows[0].stack[1].function.clone()
        };
        assert_eq!([told(5, 1), told(1, 5), told(5, 5)], ["gone", "new", "new"]);
    }

    #[test]
    fn per_connection_each_side_is_divided_by_its_own_connections() {
        let connections = Some((NonZeroU64::new(100).unwrap(), NonZeroU64::new(200).unwrap()));
        let rows = diff(
            &profile(&[("ssl/a.c", 10_000)]),
            &profile(&[("ssl/a.c", 20_000)]),
            By::Site,
            connections,
        );
        assert_eq!(rows[0].bytes, Some(Change { before: 100.0, after: 100.0 }));
    }

    #[test]
    fn against_an_empty_profile_everything_is_new() {
        let rows = diff(&profile(&[]), &profile(&[("ssl/a.c", 5)]), By::Site, None);
        assert_eq!(deltas(&rows), [("ssl/a.c", 5.0, Side::OnlyAfter)]);
    }

    proptest! {
        #[test]
        fn nothing_changes_against_itself(profile in sample_profile::any()) {
            for row in diff(&profile, &profile, By::Site, None) {
                prop_assert_eq!(row.bytes.map(Change::delta), Some(0.0));
                prop_assert_eq!(row.blocks.map(Change::delta), Some(0.0));
                prop_assert_eq!(row.side, Side::Both);
            }
        }

        #[test]
        fn the_changes_add_up_to_the_change_of_the_totals(
            before in sample_profile::any(), after in sample_profile::any(),
        ) {
            for by in [By::Site, By::Function, By::File, By::Category] {
                let rows = diff(&before, &after, by, None);
                let sum: f64 = rows.iter().map(|row| row.bytes.unwrap().delta()).sum();
                let bytes = |profile| Counts::total(profile).inuse_bytes.unwrap();
                // The figures are whole and small, so their sum is exact in any order.
                prop_assert_eq!(sum as i64, bytes(&after) - bytes(&before));
            }
        }
    }
}
