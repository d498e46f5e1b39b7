//! What resident memory is made of, in JSON.

use analysis::rss_account::Account;
use serde::{Deserialize, Serialize};

use crate::json::interval::{Ends, ends_of_held};

/// What resident memory is made of, at the three moments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RssRecord {
    /// Before the first connection that counts.
    pub baseline: Option<AccountRecord>,
    /// With every connection open.
    pub at_rest: Option<AccountRecord>,
    /// After the last connection was closed.
    pub closed: Option<AccountRecord>,
}

/// What resident memory is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Resident memory; equals the sum of the parts and of `not_explained_bytes`.
    pub rss_bytes: u64,
    /// The share that the parts explain, from 0 to 1.
    pub explained: f64,
    /// What no part explains; below zero when the parts are more than there is.
    pub not_explained_bytes: i64,
    /// Always the same parts in the same order.
    pub parts: Vec<PartRecord>,
}

/// One named part of resident memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartRecord {
    /// A stable word for it.
    pub name: String,
    /// A stable word for what it belongs to.
    pub group: String,
    /// A few words for people.
    pub label: String,
    /// Below zero for what is in other parts and not resident.
    pub bytes: i64,
    /// How far off they may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_interval95: Option<Ends>,
}

impl AccountRecord {
    /// The bytes of all parts of a group.
    pub fn of_group(&self, group: &str) -> i64 {
        self.parts.iter().filter(|part| part.group == group).map(|part| part.bytes).sum()
    }

    /// Half the width of the 95 % interval of [`AccountRecord::of_group`]; `None` where that is
    /// exact.
    pub fn margin_of_group(&self, group: &str) -> Option<f64> {
        PartRecord::margin_of(self.parts.iter().filter(|part| part.group == group))
    }
}

impl PartRecord {
    /// Half the width of the 95 % interval of `bytes`; `None` where they are exact.
    pub fn margin(&self) -> Option<f64> {
        Some(self.bytes_interval95?[1] - self.bytes as f64)
    }

    /// Half the width of the 95 % interval of a sum of parts. All parts are estimated from the same
    /// blocks, which may be in them with the same sign: margins add up as they are.
    pub fn margin_of<'a>(parts: impl Iterator<Item = &'a PartRecord>) -> Option<f64> {
        parts.filter_map(PartRecord::margin).reduce(|sum, margin| sum + margin)
    }
}

impl From<&Account> for AccountRecord {
    fn from(account: &Account) -> AccountRecord {
        AccountRecord {
            rss_bytes: account.rss,
            explained: account.explained(),
            not_explained_bytes: account.not_explained(),
            parts: account
                .parts
                .iter()
                .map(|part| PartRecord {
                    name: part.name.to_owned(),
                    group: part.group.name().to_owned(),
                    label: part.label.to_owned(),
                    bytes: part.bytes,
                    bytes_interval95: part
                        .margin
                        .map(|margin| ends_of_held(part.bytes as f64, margin)),
                })
                .collect(),
        }
    }
}
