//! A rule, and what it has found.

use std::collections::BTreeMap;

use crate::diagnosis::case::Case;
use crate::diagnosis::holding::Holding;
use crate::group::telling_of;

/// One thing that can cost more than it has to.
#[derive(Debug)]
pub struct Rule {
    /// Its name, in commands and in JSON.
    pub id: &'static str,
    /// Looks for it; `None` when it is not there.
    pub look: fn(&Case) -> Option<Finding>,
    /// What to do about it, by who can.
    pub remedies: &'static [Remedy],
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

/// Shortens the tables of remedies.
pub(super) const fn remedy(ecosystem: Ecosystem, text: &'static str) -> Remedy {
    Remedy { ecosystem, text }
}

/// Who can apply a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// A program that calls OpenSSL itself.
    C,
    /// The crate `openssl`.
    Rust,
    /// Python's `ssl`, and pyOpenSSL.
    Python,
    /// Node.js.
    Node,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Whoever can change `openssl.cnf`.
    OpensslCnf,
}

impl Ecosystem {
    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Ecosystem::C => "C",
            Ecosystem::Rust => "Rust (openssl)",
            Ecosystem::Python => "Python",
            Ecosystem::Node => "Node",
            Ecosystem::Nginx => "nginx",
            Ecosystem::Haproxy => "HAProxy",
            Ecosystem::OpensslCnf => "openssl.cnf",
        }
    }
}

/// A count or size that something was concluded from.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What, with its unit: `SSL_CTX for each connection`.
    pub what: &'static str,
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
    /// Bytes in use, less the baseline.
    pub bytes: i64,
    /// Blocks in use, less the baseline.
    pub blocks: i64,
    /// The few functions of its heaviest stack that tell its story, outermost first.
    pub telling: Vec<String>,
}

impl Finding {
    /// About holdings of which it is not said yet what the remedy would save.
    pub fn about(
        rule: &'static Rule,
        title: impl Into<String>,
        holdings: impl IntoIterator<Item = Holding>,
    ) -> Finding {
        let holdings: Vec<Holding> = holdings.into_iter().collect();
        Finding {
            rule,
            title: title.into(),
            bytes_per_connection: None,
            bytes_total: 0,
            at_rest_per_connection: None,
            most: None,
            facts: Vec::new(),
            sites: sites(&holdings),
        }
    }

    /// About holdings whose bytes would all be saved.
    pub fn of_holdings<'a>(
        rule: &'static Rule,
        case: &Case,
        holdings: impl Iterator<Item = &'a Holding>,
        title: impl Into<String>,
    ) -> Finding {
        let holdings: Vec<Holding> = holdings.cloned().collect();
        let bytes = holdings.iter().map(|held| held.bytes).sum();
        let each = case.per_connection(bytes);
        Finding {
            bytes_per_connection: each,
            bytes_total: bytes,
            at_rest_per_connection: each,
            ..Finding::about(rule, title, holdings)
        }
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, what: &'static str, value: f64) -> Finding {
        self.facts.push(Fact { what, value });
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
fn sites(holdings: &[Holding]) -> Vec<Site> {
    let mut by_site: BTreeMap<(&str, u32, &str), (i64, i64, &Holding)> = BTreeMap::new();
    for held in holdings {
        let leaf = held.leaf();
        let key = (leaf.file.as_str(), leaf.line, leaf.function.as_str());
        let site = by_site.entry(key).or_insert((0, 0, held));
        site.0 += held.bytes;
        site.1 += held.blocks;
        if held.bytes > site.2.bytes {
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
