//! One view beside an earlier one: what has changed since, row by row.

use std::collections::HashMap;
use std::sync::Arc;

use analysis::group::{By, Call, Counts, Key, Row, telling_of};
use contract::Domain;

use crate::{Connections, View};

/// One row of a view, with what has become of it.
#[derive(Clone, Debug)]
pub struct LiveRow {
    /// What it stands for.
    pub key: Key,
    /// What it holds.
    pub counts: Counts,
    /// By how many bytes in use it has grown since the earlier view.
    pub change_bytes: i64,
    /// By how many blocks in use.
    pub change_blocks: i64,
    /// Blocks allocated in a second since the look before; `None` at the first.
    pub allocations_per_second: Option<f64>,
    /// Bytes of each connection, where that is told by steps.
    pub bytes_per_connection: Option<f64>,
    /// The stack of its heaviest sample, innermost first.
    pub stack: Vec<Arc<Call>>,
}

/// By what rows are ordered, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Bytes in use.
    #[default]
    Bytes,
    /// Blocks in use.
    Blocks,
    /// Bytes of each connection.
    PerConnection,
    /// What has grown most.
    Change,
    /// Allocations in a second.
    Rate,
}

impl Order {
    /// Every order, in the order of the columns.
    pub const ALL: [Order; 5] =
        [Order::Bytes, Order::Blocks, Order::PerConnection, Order::Change, Order::Rate];

    /// The word for it on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Order::Bytes => "bytes",
            Order::Blocks => "blocks",
            Order::PerConnection => "connection",
            Order::Change => "growth",
            Order::Rate => "rate",
        }
    }

    /// The order with this word.
    pub fn from_word(word: &str) -> Option<Order> {
        Order::ALL.into_iter().find(|order| order.word() == word)
    }
}

/// A view and what it is held beside.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The view.
    pub now: &'a View,
    /// The one that changes are counted from.
    pub since: &'a View,
    /// The look before, which rates are counted from.
    pub before: Option<&'a View>,
}

impl Comparison<'_> {
    /// The rows of a domain, or of all of them, ordered. One that holds nothing now and held something then is a row
    /// too.
    pub fn rows(&self, by: By, domain: Option<Domain>, order: Order) -> Vec<LiveRow> {
        let is_shown = |row: &&Row| domain.is_none_or(|domain| row.key.domain == domain.word());
        let (now, since) = (self.now.rows(by), self.since.rows(by));
        let then: HashMap<&Key, &Row> =
            since.iter().filter(is_shown).map(|row| (&row.key, row)).collect();
        let before = self.before.map(|view| view.rows(by));
        let allocated: HashMap<&Key, i64> = before
            .iter()
            .flat_map(|rows| rows.iter())
            .map(|row| (&row.key, row.counts.alloc_blocks.unwrap_or_default()))
            .collect();
        let seconds = self.now.rates.map(|rates| rates.over.as_secs_f64());
        let of_connections = self.now.rows_of_connections(by);
        let open = self.now.connections.map_or(0, |Connections { live, .. }| live);
        let each: HashMap<&Key, f64> = of_connections
            .iter()
            .filter(|_| open > 0)
            .map(|row| (&row.key, row.bytes().unwrap_or_default() as f64 / open as f64))
            .collect();
        let is_told = self.now.of_connections.is_some() && open > 0;
        let row = |row: &Row, held: Counts| {
            let was = then.get(&row.key).map(|row| row.counts).unwrap_or_default();
            let grown = |now: Option<i64>, was: Option<i64>| {
                now.unwrap_or_default().saturating_sub(was.unwrap_or_default())
            };
            let allocations = before.as_ref().map(|_| {
                let was = allocated.get(&row.key).copied().unwrap_or_default();
                held.alloc_blocks.unwrap_or_default().saturating_sub(was).max(0) as f64
            });
            LiveRow {
                key: row.key.clone(),
                counts: held,
                change_bytes: grown(held.inuse_bytes, was.inuse_bytes),
                change_blocks: grown(held.inuse_blocks, was.inuse_blocks),
                allocations_per_second: allocations
                    .zip(seconds.filter(|seconds| *seconds > 0.0))
                    .map(|(count, seconds)| count / seconds),
                bytes_per_connection: is_told
                    .then(|| each.get(&row.key).copied().unwrap_or_default()),
                stack: row.stack.clone(),
            }
        };
        let mut rows: Vec<LiveRow> =
            now.iter().filter(is_shown).map(|it| row(it, it.counts)).collect();
        let known: std::collections::HashSet<&Key> = now.iter().map(|row| &row.key).collect();
        let gone = since.iter().filter(is_shown).filter(|it| !known.contains(&it.key));
        rows.extend(gone.map(|it| row(it, it.counts.zeroed())));
        rows.sort_by(|one, other| {
            other.weight(order).total_cmp(&one.weight(order)).then_with(|| one.key.cmp(&other.key))
        });
        rows
    }
}

impl LiveRow {
    fn weight(&self, order: Order) -> f64 {
        match order {
            Order::Bytes => self.counts.inuse_bytes.unwrap_or_default() as f64,
            Order::Blocks => self.counts.inuse_blocks.unwrap_or_default() as f64,
            Order::PerConnection => self.bytes_per_connection.unwrap_or_default(),
            Order::Change => self.change_bytes as f64,
            Order::Rate => self.allocations_per_second.unwrap_or_default(),
        }
    }

    /// The few functions of its heaviest stack that tell its story, outermost first.
    pub fn telling(&self) -> Vec<String> {
        telling_of(&self.stack)
    }
}
