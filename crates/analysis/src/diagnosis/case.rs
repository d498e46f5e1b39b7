//! What there is to look at: one capture, with what is known around it.

use std::num::NonZeroU64;

use profile::Profile;

use crate::diagnosis::holding::{Holding, holdings};
use crate::diagnosis::series::Series;
use crate::inventory::Inventory;
use crate::objects::Object;

/// What there is to look at.
#[derive(Clone, Debug)]
pub struct Case {
    /// Every stack that holds memory.
    pub holdings: Vec<Holding>,
    /// Live objects, less those of the baseline.
    pub objects: Inventory,
    /// Live objects, the baseline's too.
    pub all_objects: Inventory,
    /// Connections open at the capture.
    pub connections: Option<NonZeroU64>,
    /// What was left when the last connection was closed, less the baseline.
    pub closed: Option<Closed>,
    /// What connections agreed on, where it is known.
    pub negotiated: Option<Negotiated>,
    /// Captures over time; empty where there is only one.
    pub series: Series,
}

/// What was left when the last connection was closed, less what was there before the first.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Every stack that still holds memory.
    pub holdings: Vec<Holding>,
    /// Objects that are still there.
    pub objects: Inventory,
}

/// What most connections agreed on, in OpenSSL's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// For example `TLSv1.3`.
    pub protocol: String,
    /// For example `X25519MLKEM768`.
    pub group: String,
}

/// Bytes and blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Requested bytes.
    pub bytes: i64,
    /// Blocks.
    pub blocks: i64,
}

/// Profiles that a case is made of.
#[derive(Clone, Copy, Debug)]
pub struct Profiles<'a> {
    /// At rest, with the connections open.
    pub at_rest: &'a Profile,
    /// Before the first connection.
    pub baseline: Option<&'a Profile>,
    /// After the last connection was closed.
    pub closed: Option<&'a Profile>,
}

impl Case {
    /// Looks at profiles. Where nobody knows how many connections were open, the live SSL objects
    /// say it. `None` when the profile does not know bytes and blocks in use.
    pub fn new(profiles: Profiles<'_>, connections: Option<NonZeroU64>) -> Option<Case> {
        let Profiles { at_rest, baseline, closed } = profiles;
        let all_objects = Inventory::of(at_rest)?;
        let before = match baseline {
            Some(baseline) => Inventory::of(baseline)?,
            None => Inventory::default(),
        };
        let objects = all_objects.since(&before);
        let counted = u64::try_from(objects.live(Object::Ssl).count).ok().and_then(NonZeroU64::new);
        let closed = match (closed, baseline) {
            (Some(closed), Some(_)) => Some(Closed {
                holdings: holdings(closed, baseline)?,
                objects: Inventory::of(closed)?.since(&before),
            }),
            // Without a baseline there is nothing to tell what came with the connections by.
            _ => None,
        };
        Some(Case {
            holdings: holdings(at_rest, baseline)?,
            objects,
            all_objects,
            connections: connections.or(counted),
            closed,
            negotiated: None,
            series: Series::default(),
        })
    }

    /// All bytes and blocks, less those of the baseline.
    pub fn grown(&self) -> Amount {
        self.amount(|_| true)
    }

    /// What the holdings that `wanted` picks have, less the baseline.
    pub fn amount(&self, wanted: impl Fn(&Holding) -> bool) -> Amount {
        amount(&self.holdings, wanted)
    }

    /// A figure's share of one connection.
    pub fn per_connection(&self, figure: i64) -> Option<f64> {
        self.connections.map(|connections| figure as f64 / connections.get() as f64)
    }

    /// Objects that came with each connection; 0 where connections are not known.
    pub fn each(&self, object: Object) -> f64 {
        self.per_connection(self.objects.live(object).count).unwrap_or_default()
    }

    /// The part of all bytes in use whose category is unknown.
    pub fn unknown_share(&self) -> f64 {
        let all: i64 = self.holdings.iter().map(|held| held.all_bytes).sum();
        let unknown = self.holdings.iter().filter(|held| held.category == "unknown");
        let unknown: i64 = unknown.map(|held| held.all_bytes).sum();
        if all > 0 { unknown as f64 / all as f64 } else { 0.0 }
    }
}

/// What the holdings that `wanted` picks have, less the baseline.
pub fn amount(holdings: &[Holding], wanted: impl Fn(&Holding) -> bool) -> Amount {
    holdings.iter().filter(|held| wanted(held)).fold(Amount::default(), |sum, held| Amount {
        bytes: sum.bytes.saturating_add(held.bytes),
        blocks: sum.blocks.saturating_add(held.blocks),
    })
}
