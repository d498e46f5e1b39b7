//! What became of resident memory while connections came.

use std::collections::BTreeMap;

use contract::Domain;

use crate::resident_account::ResidentAccount;

/// By how much each line of the account grew for each connection, in bytes; below 0 where it
/// shrank.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountGrowth {
    /// Connections before.
    pub from: u64,
    /// Connections after.
    pub to: u64,
    /// The whole.
    pub total: f64,
    /// Resident bytes of live blocks, by who asked for them.
    pub blocks: BTreeMap<Domain, f64>,
    /// Requested bytes of live blocks, all together.
    pub requested: f64,
    /// [`ResidentAccount::mappings`].
    pub mappings: f64,
    /// [`ResidentAccount::headers`].
    pub headers: f64,
    /// [`ResidentAccount::free`].
    pub free: f64,
    /// [`ResidentAccount::stacks`].
    pub stacks: f64,
    /// [`ResidentAccount::files`].
    pub files: f64,
    /// [`ResidentAccount::shared`].
    pub shared: f64,
    /// [`ResidentAccount::other`].
    pub other: f64,
}

impl AccountGrowth {
    /// Between the accounts of two moments, each with its number of connections. `None` when there
    /// were not more of them at the second.
    pub fn between(
        (from, before): (u64, &ResidentAccount),
        (to, after): (u64, &ResidentAccount),
    ) -> Option<AccountGrowth> {
        let connections = to.checked_sub(from).filter(|more| *more > 0)? as f64;
        let each =
            |of: fn(&ResidentAccount) -> u64| (of(after) as f64 - of(before) as f64) / connections;
        let blocks = |domain: Domain| {
            let of = |account: &ResidentAccount| {
                account.blocks.get(&domain).map_or(0.0, |blocks| blocks.resident as f64)
            };
            (domain, (of(after) - of(before)) / connections)
        };
        Some(AccountGrowth {
            from,
            to,
            total: each(ResidentAccount::total),
            blocks: after.blocks.keys().copied().map(blocks).collect(),
            requested: each(|account| account.all_blocks().requested),
            mappings: each(|account| account.mappings.resident),
            headers: each(|account| account.headers),
            free: each(|account| account.free),
            stacks: each(|account| account.stacks),
            files: each(|account| account.files),
            shared: each(|account| account.shared),
            other: each(|account| account.other),
        })
    }

    /// The part of the growth that is in a line which says whose it is, from 0 to 1; `None` where
    /// nothing grew.
    pub fn explained(&self) -> Option<f64> {
        (self.total >= 1.0).then(|| (1.0 - self.other.abs() / self.total).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resident_account::Touched;

    fn account(openssl: u64, free: u64, other: u64) -> ResidentAccount {
        let blocks = [(Domain::Openssl, Touched { requested: 2 * openssl, resident: openssl })];
        ResidentAccount { blocks: blocks.into(), free, other, ..ResidentAccount::default() }
    }

    #[test]
    fn each_line_grows_by_itself_and_the_lines_add_up() {
        let (before, after) = (account(1_000, 900, 0), account(3_000, 400, 100));
        let growth = AccountGrowth::between((10, &before), (30, &after)).expect("more connections");
        assert_eq!((growth.total, growth.requested), (80.0, 200.0));
        assert_eq!(growth.blocks[&Domain::Openssl], 100.0);
        assert_eq!((growth.free, growth.other), (-25.0, 5.0));
        assert_eq!(growth.explained(), Some(1.0 - 5.0 / 80.0));
        assert_eq!(AccountGrowth::between((10, &before), (10, &after)), None);
        let same = AccountGrowth::between((1, &before), (2, &before)).expect("more connections");
        assert_eq!(same.explained(), None);
    }
}
