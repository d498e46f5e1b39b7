//! What lies in no finding, and who holds it.

use std::collections::BTreeMap;

use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::telling::asked_by;

/// What lies in no finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Bytes.
    pub bytes: i64,
    /// Who holds them, the heaviest first.
    pub holders: Vec<Holder>,
}

/// Who holds a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// OpenSSL's function that was called from outside, and who called it.
    pub path: String,
    /// Bytes.
    pub bytes: i64,
    /// Blocks.
    pub blocks: i64,
}

/// What no finding has taken.
pub(super) fn rest(unclaimed: &Unclaimed<'_>) -> Rest {
    held_by(unclaimed.holdings().map(|(_, held)| held))
}

/// Who has what these stacks hold.
pub(super) fn held_by<'a>(holdings: impl Iterator<Item = &'a Holding>) -> Rest {
    of(holdings.filter(|held| held.all_bytes != 0).map(|held| {
        let frames: Vec<_> = held.calls.iter().map(|call| call.frame()).collect();
        Holder { path: asked_by(&frames), bytes: held.all_bytes, blocks: held.all_blocks }
    }))
}

/// Everything that these hold, each path once.
pub(super) fn of(holders: impl Iterator<Item = Holder>) -> Rest {
    let mut by_path: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for holder in holders {
        let sums = by_path.entry(holder.path).or_default();
        sums.0 = sums.0.saturating_add(holder.bytes);
        sums.1 = sums.1.saturating_add(holder.blocks);
    }
    let mut holders: Vec<Holder> =
        by_path.into_iter().map(|(path, (bytes, blocks))| Holder { path, bytes, blocks }).collect();
    // The sort is stable: equal ones stay in the order of their names.
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.bytes));
    let bytes = holders.iter().fold(0_i64, |sum, holder| sum.saturating_add(holder.bytes));
    Rest { bytes, holders }
}
