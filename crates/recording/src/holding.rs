//! Who holds what ledgers hold and did not before, by function.

use std::num::NonZeroU64;

use analysis::group::{By, group};
use analysis::top::{Top, TopRow};
use capture::records::account::ResidentHolderRecord;
use capture::records::heap::HolderRecord;
use profile::Symbols;

use crate::profiles;
use crate::watch::Ledgers;

/// Functions named.
const HOLDERS: usize = 8;

/// Of what was requested, for each of so many connections.
pub(crate) fn requested(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> Vec<HolderRecord> {
    let holder = |row: TopRow| HolderRecord {
        function: row.key.function,
        through: row.telling,
        bytes: row.bytes.unwrap_or_default(),
        blocks: row.blocks.unwrap_or_default(),
    };
    rows(now, before, connections, symbols).map(holder).collect()
}

/// The same of ledgers that say what is resident.
pub(crate) fn resident(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> Vec<ResidentHolderRecord> {
    let holder = |row: TopRow| ResidentHolderRecord {
        function: row.key.function,
        through: row.telling,
        bytes: row.bytes.unwrap_or_default(),
    };
    rows(now, before, connections, symbols).map(holder).collect()
}

/// The functions that hold most of it, a byte at least.
fn rows(
    now: &Ledgers,
    before: &Ledgers,
    connections: NonZeroU64,
    symbols: &mut Symbols,
) -> impl Iterator<Item = TopRow> {
    let [now, before] =
        [now, before].map(|ledgers| group(&profiles::merged(ledgers, symbols), By::Function));
    let top = Top::per_connection(&now, Some(&before), connections);
    let rows = top.rows.into_iter().filter(|row| row.bytes.is_some_and(|bytes| bytes >= 1.0));
    rows.take(HOLDERS)
}
