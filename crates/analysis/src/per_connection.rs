//! What one connection costs: rows at rest, less the rows before the first connection, divided
//! by the number of connections.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use profile::Metric;

use crate::group::{Call, Counts, Key, Row};
use crate::telling::Teller;

/// The share of one connection in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionRow {
    /// What the row stands for.
    pub key: Key,
    /// Bytes of the column for each connection; negative where the baseline held more. `None` when
    /// a profile has no such column.
    pub bytes: Option<f64>,
    /// Blocks of the column for each connection, like `bytes`.
    pub blocks: Option<f64>,
    /// Half the width of the 95 % interval of `bytes`; `None` where that is exact.
    pub bytes_margin: Option<f64>,
    /// Half the width of the 95 % interval of `blocks`; `None` where that is exact.
    pub blocks_margin: Option<f64>,
    /// At rest less baseline, undivided.
    pub growth: Counts,
    /// The stack of the row's heaviest sample, innermost first.
    pub stack: Vec<Arc<Call>>,
}

impl ConnectionRow {
    /// The few functions of the heaviest stack that tell its story, outermost first.
    pub fn told_by(&self, teller: &mut Teller) -> Vec<String> {
        teller.telling(&self.stack)
    }
}

/// Rows at rest less the rows of the baseline, both grouped in the same way. Rows that only the
/// baseline has are kept, negative. Most bytes first.
pub fn growth(at_rest: &[Row], baseline: &[Row]) -> Vec<Row> {
    let mut before: BTreeMap<&Key, &Row> = baseline.iter().map(|row| (&row.key, row)).collect();
    let mut rows: Vec<Row> = at_rest
        .iter()
        .map(|row| match before.remove(&row.key) {
            Some(base) => Row { counts: row.counts.minus(base.counts), ..row.clone() },
            None => row.clone(),
        })
        .collect();
    rows.extend(before.into_values().map(|row| {
        let counts = row.counts.zeroed().minus(row.counts);
        Row { counts, ..row.clone() }
    }));
    rows.sort_by(|a, b| {
        let size = |row: &Row| (row.bytes(), row.counts.alloc_bytes);
        size(b).cmp(&size(a)).then_with(|| a.key.cmp(&b.key))
    });
    rows
}

/// Each row's share of one connection: (at rest − baseline) / connections, most bytes first.
/// Without a baseline, what the process held before its first connection is in the shares too.
pub fn per_connection(
    at_rest: &[Row],
    baseline: Option<&[Row]>,
    connections: NonZeroU64,
) -> Vec<ConnectionRow> {
    let share = |figure: Option<i64>| figure.map(|figure| divide(figure, connections));
    growth(at_rest, baseline.unwrap_or_default())
        .into_iter()
        .map(|row| ConnectionRow {
            bytes: share(row.bytes()),
            blocks: share(row.blocks()),
            bytes_margin: margin(&row.counts, row.column.bytes(), connections),
            blocks_margin: margin(&row.counts, row.column.blocks(), connections),
            growth: row.counts,
            key: row.key,
            stack: row.stack,
        })
        .collect()
}

/// Half the width of the 95 % interval of a figure's share of one connection.
pub fn margin(counts: &Counts, metric: Metric, connections: NonZeroU64) -> Option<f64> {
    counts.margin(metric).map(|margin| margin / connections.get() as f64)
}

/// A figure's share of one connection.
pub fn divide(figure: i64, connections: NonZeroU64) -> f64 {
    figure as f64 / connections.get() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile;

    fn row(file: &str, blocks: i64, bytes: i64) -> Row {
        let counts =
            Counts { inuse_blocks: Some(blocks), inuse_bytes: Some(bytes), ..Counts::default() };
        Row { key: Key { file: file.to_owned(), ..Key::default() }, counts, ..Row::default() }
    }

    fn figures(rows: &[ConnectionRow]) -> Vec<(&str, f64, f64)> {
        rows.iter().map(|r| (r.key.file.as_str(), r.bytes.unwrap(), r.blocks.unwrap())).collect()
    }

    #[test]
    fn the_baseline_is_taken_off_before_dividing() {
        let connections = NonZeroU64::new(4).unwrap();
        let at_rest = [row("grown", 8, 1_000), row("same", 3, 300), row("new", 4, 200)];
        let baseline = [row("grown", 0, 200), row("same", 3, 300), row("gone", 2, 80)];
        let rows = per_connection(&at_rest, Some(&baseline), connections);
        assert_eq!(
            figures(&rows),
            [("grown", 200.0, 2.0), ("new", 50.0, 1.0), ("same", 0.0, 0.0), ("gone", -20.0, -0.5)]
        );
    }

    #[test]
    fn without_a_baseline_everything_is_shared_out() {
        let rows = per_connection(&[row("all", 6, 900)], None, NonZeroU64::new(3).unwrap());
        assert_eq!(figures(&rows), [("all", 300.0, 2.0)]);
    }

    #[test]
    fn a_missing_column_stays_missing() {
        let mut only_bytes = row("a", 1, 10);
        only_bytes.counts.inuse_blocks = None;
        let rows = per_connection(&[only_bytes], Some(&[row("a", 1, 4)]), NonZeroU64::MIN);
        assert_eq!(rows[0].bytes, Some(6.0));
        assert_eq!(rows[0].blocks, None);
    }

    proptest! {
        #[test]
        fn growth_adds_up_to_the_growth_of_the_totals(
            before in sample_profile::any(), after in sample_profile::any(),
        ) {
            let rows = growth(&group(&after, By::Site), &group(&before, By::Site));
            let expected = Counts::total(&after).minus(Counts::total(&before));
            let sum = rows.iter().fold(expected.zeroed(), |sum, row| sum.plus(row.counts));
            prop_assert_eq!(sum, expected);
        }
    }
}
