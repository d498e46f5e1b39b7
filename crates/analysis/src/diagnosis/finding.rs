//! A rule, and what it has found.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::diagnosis::case::Case;
use crate::diagnosis::ecosystem::Ecosystem;
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::telling_of;

/// One thing that can cost more than it has to. What to do about it is in the table of remedies.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in commands and in JSON.
    pub id: &'static str,
    /// Looks for it in what earlier rules have left; `None` when it is not there.
    pub look: fn(&mut Unclaimed<'_>) -> Option<Finding>,
    /// What the remedy costs.
    pub trade_off: &'static str,
    /// A public document about it.
    pub link: &'static str,
    /// Another rule whose finding has the bytes of this one in it.
    pub part_of: Option<&'static str>,
}

/// What to do, for one kind of program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// For whom.
    pub ecosystem: Ecosystem,
    /// What to do, in one or two sentences.
    pub text: &'static str,
}

/// A count or size that something was concluded from.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What, with its unit: `SSL_CTX for each connection`.
    pub what: Cow<'static, str>,
    /// How much.
    pub value: f64,
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub rule: &'static Rule,
    /// One sentence without its full stop.
    pub title: String,
    /// Bytes for each connection that the remedy would save; `None` where connections have nothing
    /// to do with it, or are not known.
    pub bytes_per_connection: Option<f64>,
    /// Bytes in all that the remedy would save.
    pub bytes_total: i64,
    /// The part of `bytes_per_connection` that is held while connections are open.
    pub at_rest_per_connection: Option<f64>,
    /// Bytes that the saving cannot exceed with any number of connections, where there is a bound.
    pub most: Option<f64>,
    /// Counts and sizes that it was concluded from.
    pub facts: Vec<Fact>,
    /// The sites that it is about, the heaviest first.
    pub sites: Vec<Site>,
    /// What to do about it in this program.
    pub remedies: Vec<Remedy>,
    /// The holdings that no other finding is about, as places among the case's.
    pub claimed: Vec<usize>,
}

/// A site of the evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// OpenSSL's file; empty when unknown.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The function; empty when unknown.
    pub function: String,
    /// Bytes in use.
    pub bytes: i64,
    /// Blocks in use.
    pub blocks: i64,
    /// The few functions of its heaviest stack that tell its story, outermost first.
    pub telling: Vec<String>,
}

impl Finding {
    /// About holdings of which it is not said yet what the remedy would save, and which other
    /// findings may be about.
    pub fn about<'a>(
        rule: &'static Rule,
        title: impl Into<String>,
        holdings: impl IntoIterator<Item = &'a Holding>,
    ) -> Finding {
        Finding {
            rule,
            title: title.into(),
            bytes_per_connection: None,
            bytes_total: 0,
            at_rest_per_connection: None,
            most: None,
            facts: Vec::new(),
            sites: sites(holdings),
            remedies: Vec::new(),
            claimed: Vec::new(),
        }
    }

    /// Claims the holdings at these places of the case.
    pub fn claiming(
        rule: &'static Rule,
        case: &Case,
        title: impl Into<String>,
        places: Vec<usize>,
    ) -> Finding {
        let held = places.iter().map(|at| &case.holdings[*at]);
        let about = Finding::about(rule, title, held);
        Finding { claimed: places, ..about }
    }

    /// Claims the holdings at these places, whose bytes would all be saved: those that connections
    /// have.
    pub fn of_connections(
        rule: &'static Rule,
        unclaimed: &Unclaimed<'_>,
        title: impl Into<String>,
        mut places: Vec<usize>,
    ) -> Finding {
        // What the first of them had the library fetch, the process has once.
        let case = unclaimed.case;
        let connections = case.connections.map_or(0, |n| i64::try_from(n.get()).unwrap_or(0));
        let is_once = |held: &Holding| {
            held.may_be_librarys() && held.all_blocks.saturating_mul(2) < connections
        };
        places.retain(|at| !is_once(&case.holdings[*at]));
        // Before the first connection there was nothing of theirs.
        let grown = || places.iter().map(|at| case.holdings[*at].bytes).sum();
        let all = || unclaimed.amount_at(&places).bytes;
        let bytes = if case.objects_before.is_some() { grown() } else { all() };
        Finding::claiming(rule, unclaimed.case, title, places)
            .saving(bytes)
            .for_each_connection(unclaimed.case)
    }

    /// Says how many bytes the remedy would save in all.
    #[must_use]
    pub fn saving(mut self, bytes: i64) -> Finding {
        self.bytes_total = bytes;
        self
    }

    /// Says that what would be saved comes with the connections.
    #[must_use]
    pub fn for_each_connection(mut self, case: &Case) -> Finding {
        self.bytes_per_connection = case.per_connection(self.bytes_total);
        self.at_rest_per_connection = self.bytes_per_connection;
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, what: impl Into<Cow<'static, str>>, value: f64) -> Finding {
        self.facts.push(Fact { what: what.into(), value });
        self
    }

    /// What the remedy would save with so many connections; `None` where these do not matter.
    pub fn projected(&self, connections: u64) -> Option<f64> {
        let bytes = self.bytes_per_connection? * connections as f64;
        Some(self.most.map_or(bytes, |most| bytes.min(most)))
    }

    /// By what findings are ordered: the bytes in all that the remedy would save.
    pub(super) fn weight(&self) -> i64 {
        self.bytes_total
    }
}

/// The sites of holdings, the heaviest first.
fn sites<'a>(holdings: impl IntoIterator<Item = &'a Holding>) -> Vec<Site> {
    sites_of(holdings.into_iter().map(|held| (held, (held.all_bytes, held.all_blocks))))
}

/// The sites of holdings with what each holds more than in the baseline.
pub(super) fn grown_sites<'a>(holdings: impl IntoIterator<Item = &'a Holding>) -> Vec<Site> {
    sites_of(holdings.into_iter().map(|held| (held, (held.bytes, held.blocks))))
}

/// The sites of holdings with the bytes and blocks that are told of each.
pub(super) fn sites_of<'a>(
    holdings: impl IntoIterator<Item = (&'a Holding, (i64, i64))>,
) -> Vec<Site> {
    let mut by_site: BTreeMap<(&str, u32, &str), (i64, i64, &Holding)> = BTreeMap::new();
    for (held, (bytes, blocks)) in holdings {
        let leaf = held.leaf();
        let key = (leaf.file.as_str(), leaf.line, leaf.function.as_str());
        let site = by_site.entry(key).or_insert((0, 0, held));
        site.0 = site.0.saturating_add(bytes);
        site.1 = site.1.saturating_add(blocks);
        if held.all_bytes > site.2.all_bytes {
            site.2 = held;
        }
    }
    let mut sites: Vec<Site> = by_site
        .into_iter()
        .map(|((file, line, function), (bytes, blocks, heaviest))| Site {
            file: file.to_owned(),
            line,
            function: function.to_owned(),
            bytes,
            blocks,
            telling: telling_of(&heaviest.calls),
        })
        .collect();
    // The sort is stable: equal sites stay in the order of their names.
    sites.retain(|site| site.bytes != 0);
    sites.sort_by_key(|site| std::cmp::Reverse(site.bytes));
    sites
}
