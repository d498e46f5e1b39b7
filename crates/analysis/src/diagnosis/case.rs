//! What there is to look at: one process at one moment, with what is known around it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use profile::Profile;

use crate::diagnosis::held_at::HeldAt;
use crate::diagnosis::holding::{Holding, holdings};
use crate::diagnosis::series::Series;
use crate::diagnosis::whole::Whole;
use crate::inventory::Inventory;
use crate::objects::{Object, objects_made};

/// What there is to look at.
#[derive(Clone, Debug)]
pub struct Case {
    /// Every stack that holds memory.
    pub holdings: Vec<Holding>,
    /// The moment that is judged.
    pub at: HeldAt,
    /// Live objects, less those of the baseline.
    pub objects: Inventory,
    /// Live objects, the baseline's too: what rules judge by.
    pub all_objects: Inventory,
    /// Objects ever made, by kind; those that are live where the profile does not know it.
    pub made: BTreeMap<Object, i64>,
    /// Objects that were live before the first connection, where that is known.
    pub objects_before: Option<Inventory>,
    /// The baseline is what would be held at the capture without open connections: it does not say
    /// what there was before the first of them.
    pub by_steps: bool,
    /// Connections open at the capture.
    pub connections: Option<NonZeroU64>,
    /// From where they are known.
    pub counted: Counted,
    /// What was left when the last connection was closed, less the baseline.
    pub closed: Option<Closed>,
    /// What is in use at the capture, where the peak is judged.
    pub left: Option<Vec<Holding>>,
    /// What connections agreed on, where it is known.
    pub negotiated: Option<Negotiated>,
    /// The process's program, where it is known.
    pub program: Option<String>,
    /// Whether there is still somebody to free what is held.
    pub ending: Ending,
    /// Captures over time; empty where there is only one.
    pub series: Series,
    /// What is known of the memory beside, where the whole process was recorded; of one process
    /// among several it is not told.
    pub whole: Option<Whole>,
}

/// From where the number of connections is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Somebody has said it who knows.
    Told,
    /// There are so many SSL objects.
    SslObjects,
}

/// Whether there is still somebody to free what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The process runs, or it is not known.
    #[default]
    Unknown,
    /// A signal has ended it: nothing can be said of what it would have freed.
    Killed,
    /// It has ended by itself, and freed what it wanted to.
    ByItself,
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
    /// say it. `None` when the profile does not know blocks and bytes of that moment. At its peak a
    /// process is judged without the moments beside it.
    pub fn new(
        profiles: Profiles<'_>,
        connections: Option<NonZeroU64>,
        at: HeldAt,
    ) -> Option<Case> {
        let at_capture = at == HeldAt::Capture;
        let baseline = profiles.baseline.filter(|_| at_capture);
        let closed = profiles.closed.filter(|_| at_capture);
        let profile = profiles.at_rest;
        let all_objects = Inventory::at(profile, at)?;
        let objects_before = match baseline {
            Some(baseline) => Some(Inventory::of(baseline)?),
            None => None,
        };
        let before = objects_before.clone().unwrap_or_default();
        let counted = all_objects.live(Object::Ssl).count;
        let counted = u64::try_from(counted).ok().and_then(NonZeroU64::new);
        let told = connections.filter(|_| at_capture);
        let closed = match (closed, baseline) {
            (Some(closed), Some(_)) => Some(Closed {
                holdings: holdings(closed, baseline, at)?,
                objects: Inventory::of(closed)?.since(&before),
            }),
            // Without a baseline there is nothing to tell what came with the connections by.
            _ => None,
        };
        let left = if at_capture { None } else { holdings(profile, None, HeldAt::Capture) };
        let live = || Object::ALL.map(|kind| (kind, all_objects.live(kind).count)).into();
        Some(Case {
            holdings: holdings(profile, baseline, at)?,
            at,
            objects: all_objects.since(&before),
            made: objects_made(profile).unwrap_or_else(live),
            all_objects,
            objects_before,
            by_steps: false,
            connections: told.or(counted),
            counted: if told.is_some() { Counted::Told } else { Counted::SslObjects },
            closed,
            left,
            negotiated: None,
            program: None,
            ending: Ending::default(),
            series: Series::default(),
            whole: None,
        })
    }

    /// All bytes and blocks, less those of the baseline.
    pub fn grown(&self) -> Amount {
        self.holdings.iter().fold(Amount::default(), |sum, held| Amount {
            bytes: sum.bytes.saturating_add(held.bytes),
            blocks: sum.blocks.saturating_add(held.blocks),
        })
    }

    /// All bytes, the baseline's too.
    pub fn all_bytes(&self) -> i64 {
        self.holdings.iter().fold(0, |sum, held| sum.saturating_add(held.all_bytes))
    }

    /// What the holdings that `wanted` picks have, the baseline's too.
    pub fn amount(&self, wanted: impl Fn(&Holding) -> bool) -> Amount {
        amount(&self.holdings, wanted)
    }

    /// How many objects are live, whenever they were made.
    pub fn live(&self, object: Object) -> i64 {
        self.all_objects.live(object).count
    }

    /// How many objects were ever made.
    pub fn ever_made(&self, object: Object) -> i64 {
        self.made.get(&object).copied().unwrap_or_default()
    }

    /// A figure's share of one connection.
    pub fn per_connection(&self, figure: i64) -> Option<f64> {
        self.connections.map(|connections| figure as f64 / connections.get() as f64)
    }

    /// Whether there are connections enough to say what each of them has: a few that are counted
    /// may be there by chance.
    pub fn has_connections(&self) -> bool {
        const FEW: u64 = 8;
        self.connections.is_some_and(|n| self.counted == Counted::Told || n.get() >= FEW)
    }

    /// A figure's share of one connection, where there are enough of them.
    pub fn of_each(&self, figure: i64) -> Option<f64> {
        self.per_connection(figure).filter(|_| self.has_connections())
    }

    /// Objects that each connection has; 0 where connections are few or not known.
    pub fn each(&self, object: Object) -> f64 {
        self.of_each(self.live(object)).unwrap_or_default()
    }

    /// The part of all bytes whose category is unknown.
    pub fn unknown_share(&self) -> f64 {
        let all = self.all_bytes();
        let unknown = self.amount(|held| held.category == "unknown").bytes;
        if all > 0 { unknown as f64 / all as f64 } else { 0.0 }
    }
}

/// What the holdings that `wanted` picks have, the baseline's too.
pub fn amount(holdings: &[Holding], wanted: impl Fn(&Holding) -> bool) -> Amount {
    holdings.iter().filter(|held| wanted(held)).fold(Amount::default(), |sum, held| Amount {
        bytes: sum.bytes.saturating_add(held.all_bytes),
        blocks: sum.blocks.saturating_add(held.all_blocks),
    })
}
