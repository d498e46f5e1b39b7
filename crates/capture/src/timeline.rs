//! Memory over time: `timeline.csv`, written and read back. What is looked at, and when, is the
//! matter of the engines that measure.

mod reading;
mod table;

use std::time::Duration;

use analysis::over_time::Groups;
use ledger::Snapshot;
use profile::{Profile, Symbols, ValueType, from_ledger_with};

pub use reading::{captured, parse, read};
pub use table::{Column, Table};

/// How often memory is looked at.
pub const EVERY: Duration = Duration::from_millis(250);

/// Seconds as the table has them: to a thousandth, so that a table that is read again is the one
/// that was written.
pub fn in_thousandths(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

/// Adds the sites of a ledger. `bytes` gives what the site at an index of [`Snapshot::sites`] had
/// in use at each moment; `last` is read after all of them.
pub fn add_ledger(
    groups: &mut Groups,
    last: &Snapshot,
    symbols: &mut Symbols,
    bytes: impl Fn(usize) -> Vec<i64>,
) {
    let each: Vec<usize> = (0..groups.moments()).collect();
    add_ledger_from(groups, last, symbols, &each, bytes);
}

/// As [`add_ledger`], where `bytes` gives what the site had from each of `moments` on, up to the
/// next of them: of many processes, most live for a few.
pub fn add_ledger_from(
    groups: &mut Groups,
    last: &Snapshot,
    symbols: &mut Symbols,
    moments: &[usize],
    bytes: impl Fn(usize) -> Vec<i64>,
) {
    // A profile with one column for each moment: so sites get their names and categories in the
    // same way as everywhere else.
    let column = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
    let empty = Profile::new(vec![column; moments.len()], None);
    groups.add_from(&from_ledger_with(last, symbols, empty, bytes), moments);
}
