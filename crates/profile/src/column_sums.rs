//! Sums of hostile numbers, column by column.

/// Adds up the absolute values of each column, so that no sum over any part of the samples can
/// overflow once the whole was accepted.
pub(crate) struct ColumnSums(Vec<i64>);

impl ColumnSums {
    /// Sums for `columns` columns, all 0.
    pub(crate) fn new(columns: usize) -> ColumnSums {
        ColumnSums(vec![0; columns])
    }

    /// Adds one sample's values; `None` when a column leaves the range of an `i64`.
    pub(crate) fn add(&mut self, values: &[i64]) -> Option<()> {
        for (sum, value) in self.0.iter_mut().zip(values) {
            *sum = sum.checked_add(value.checked_abs()?)?;
        }
        Some(())
    }
}

/// What a reader expects of the values, for its error message.
pub(crate) const SUMS_IN_RANGE: &str = "values whose sum is below 2^63";
