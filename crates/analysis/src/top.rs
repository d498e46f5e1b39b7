//! The answer in rows: what holds the memory, how much each, and which share of the whole.

use std::num::NonZeroU64;

use crate::column::Column;
use crate::group::{Counts, Key, Row};
use crate::per_connection::{ConnectionRow, divide, growth, margin, per_connection};
use crate::ratio::Estimated;
use crate::telling::Teller;

/// What the figures of a [`Top`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figures {
    /// The column's, in the whole process.
    Process,
    /// The column's for one of so many connections, less what was there before the first.
    PerConnection(NonZeroU64),
}

/// Rows with their shares, most bytes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    /// What the figures mean.
    pub figures: Figures,
    /// Which figures they are.
    pub column: Column,
    /// All bytes; `None` when the profile has no such column.
    pub bytes: Option<f64>,
    /// All blocks; `None` when the profile has no such column.
    pub blocks: Option<f64>,
    /// Half the width of the 95 % interval of `bytes`; `None` where that is exact.
    pub bytes_margin: Option<f64>,
    /// Half the width of the 95 % interval of `blocks`; `None` where that is exact.
    pub blocks_margin: Option<f64>,
    /// The rows, most bytes first.
    pub rows: Vec<TopRow>,
}

/// One row of a [`Top`].
#[derive(Clone, Debug, PartialEq)]
pub struct TopRow {
    /// What the row stands for.
    pub key: Key,
    /// Bytes, in the meaning of [`Top::figures`].
    pub bytes: Option<f64>,
    /// Blocks, in the meaning of [`Top::figures`].
    pub blocks: Option<f64>,
    /// Half the width of the 95 % interval of `bytes`; `None` where that is exact.
    pub bytes_margin: Option<f64>,
    /// Half the width of the 95 % interval of `blocks`; `None` where that is exact.
    pub blocks_margin: Option<f64>,
    /// The row's part of all bytes, from 0 to 1 unless rows are negative; `None` when there are
    /// no bytes at all, or, of estimates, there may be none.
    pub share: Option<f64>,
    /// Half the width of the 95 % interval of `share`; `None` where that is exact.
    pub share_margin: Option<f64>,
    /// The figures that bytes and blocks are shares of, undivided.
    pub growth: Counts,
    /// The few functions that tell the row's story, outermost first.
    pub telling: Vec<String>,
}

impl Top {
    /// What is in the whole process.
    pub fn of_process(rows: &[Row]) -> Top {
        let mut top = Top::per_connection(rows, None, NonZeroU64::MIN);
        top.figures = Figures::Process;
        top
    }

    /// What one connection costs: (at rest − baseline) / connections.
    pub fn per_connection(
        at_rest: &[Row],
        baseline: Option<&[Row]>,
        connections: NonZeroU64,
    ) -> Top {
        let baseline_rows = baseline.unwrap_or_default();
        let first = at_rest.first().or(baseline_rows.first());
        let column = first.map_or_else(Column::default, |row| row.column);
        let total = total(&growth(at_rest, baseline_rows));
        let share = |metric| total.of(metric).map(|figure| divide(figure, connections));
        let (bytes, blocks) = (share(column.bytes()), share(column.blocks()));
        let bytes_margin = margin(&total, column.bytes(), connections);
        let whole = whole(bytes, bytes_margin);
        let rows = per_connection(at_rest, baseline, connections);
        let mut teller = Teller::default();
        Top {
            figures: Figures::PerConnection(connections),
            column,
            bytes,
            blocks,
            bytes_margin,
            blocks_margin: margin(&total, column.blocks(), connections),
            rows: rows.into_iter().map(|row| TopRow::new(row, whole, &mut teller)).collect(),
        }
    }

    /// All bytes, as what rows and groups of rows are parts of; `None` where there are none.
    pub(crate) fn whole(&self) -> Option<Estimated> {
        whole(self.bytes, self.bytes_margin)
    }

    /// How many connections figures are shared by.
    pub(crate) fn connections(&self) -> NonZeroU64 {
        match self.figures {
            Figures::Process => NonZeroU64::MIN,
            Figures::PerConnection(connections) => connections,
        }
    }

    /// Half the width of the 95 % interval of what the rows after the first `shown` hold together;
    /// `None` where that is exact.
    pub fn rest_margin(&self, shown: usize) -> Option<f64> {
        let rest = self.rows.get(shown..).unwrap_or_default();
        let sum = rest.iter().map(|row| row.growth).reduce(Counts::plus)?;
        margin(&sum, self.column.bytes(), self.connections())
    }

    /// How many rows come after the first `shown`, and the bytes they hold together.
    pub fn rest(&self, shown: usize) -> (usize, f64) {
        let rest = self.rows.get(shown..).unwrap_or_default();
        (rest.len(), rest.iter().filter_map(|row| row.bytes).sum())
    }
}

impl TopRow {
    fn new(row: ConnectionRow, whole: Option<Estimated>, teller: &mut Teller) -> TopRow {
        let bytes = row.bytes.map(|figure| Estimated { figure, margin: row.bytes_margin });
        let share = bytes.zip(whole).and_then(|(bytes, whole)| bytes.part_of(whole));
        TopRow {
            telling: row.told_by(teller),
            share: share.map(|share| share.figure),
            share_margin: share.and_then(|share| share.margin),
            growth: row.growth,
            key: row.key,
            bytes: row.bytes,
            blocks: row.blocks,
            bytes_margin: row.bytes_margin,
            blocks_margin: row.blocks_margin,
        }
    }
}

fn whole(bytes: Option<f64>, margin: Option<f64>) -> Option<Estimated> {
    bytes.filter(|bytes| *bytes > 0.0).map(|figure| Estimated { figure, margin })
}

fn total(rows: &[Row]) -> Counts {
    let zero = rows.first().map(|row| row.counts.zeroed()).unwrap_or_default();
    rows.iter().fold(zero, |sum, row| sum.plus(row.counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile;

    #[test]
    fn shares_are_parts_of_the_total_and_the_rest_is_what_is_not_shown() {
        let rows = group(&sample_profile::echo_server(), By::Site);
        let top = Top::of_process(&rows);
        assert_eq!(top.bytes, Some(589_248.0));
        assert_eq!(top.blocks, Some(24.0));
        let shares: f64 = top.rows.iter().filter_map(|row| row.share).sum();
        assert!((shares - 1.0).abs() < 1e-9);
        assert_eq!(top.rest(1), (2, 5_936.0));
        assert_eq!(top.rest(9), (0, 0.0));
    }

    #[test]
    fn per_connection_all_figures_are_divided() {
        let rows = group(&sample_profile::echo_server(), By::Category);
        let top = Top::per_connection(&rows, None, NonZeroU64::new(2).unwrap());
        assert_eq!(top.bytes, Some(294_624.0));
        assert_eq!(top.rows[0].key.category, "compression.zlib");
        assert_eq!(top.rows[0].blocks, Some(6.5));
    }

    #[test]
    fn an_empty_profile_has_no_shares() {
        assert_eq!(Top::of_process(&[]).rows, []);
        assert_eq!(Top::of_process(&[]).bytes, None);
    }
}
