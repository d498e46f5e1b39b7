//! What costs more than it has to, found by rules in a profile.
//!
//! A [`Case`] is what there is to look at: the profile at rest, what was there before the first
//! connection and after the last one, and captures over time, as far as there are any. Each rule is
//! a file in `rules` and a line in [`RULES`]; it makes a [`Finding`] out of figures of the case, or
//! nothing. Nothing is claimed without a number of the profile itself.

pub mod case;
pub mod finding;
pub mod holding;
mod rules;
pub mod series;

use contract::Domain;

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Finding, Rule};

/// The rules of OpenSSL's memory, in the order in which findings of equal size are told.
pub const RULES: &[&Rule] = &[
    &rules::trust_store_parsed_again::RULE,
    &rules::context_per_connection::RULE,
    &rules::compression_negotiated::RULE,
    &rules::compression_allowed::RULE,
    &rules::record_buffers_kept::RULE,
    &rules::dtls_record_buffers_kept::RULE,
    &rules::oversized_read_buffer::RULE,
    &rules::mlkem_key_kept::RULE,
    &rules::peer_chains_kept::RULE,
    &rules::session_cache_filling::RULE,
    &rules::dtls_handshake_buffer_kept::RULE,
    &rules::bio_pairs::RULE,
    &rules::thread_state::RULE,
    &rules::stays_after_close::RULE,
    &rules::only_grows::RULE,
];

/// The rules of a domain's memory; none where none is known.
pub fn rules_of(domain: Domain) -> &'static [&'static Rule] {
    match domain {
        Domain::Openssl => RULES,
        _ => &[],
    }
}

/// The rules of every domain.
pub fn every_rule() -> impl Iterator<Item = &'static Rule> {
    Domain::ALL.into_iter().flat_map(|domain| rules_of(domain).iter().copied())
}

/// What was found, and what is left when everything that was found is gone.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The findings, most bytes first.
    pub findings: Vec<Finding>,
    /// Bytes in use for each connection; `None` where connections are not known.
    pub bytes_per_connection: Option<f64>,
    /// What no finding would remove of that.
    pub floor_per_connection: Option<f64>,
    /// The part of all bytes in use whose category is unknown, from 0 to 1.
    pub unknown_share: f64,
}

impl Diagnosis {
    /// What a remedy saves of each connection while it is open, in bytes: that of all findings with
    /// these ids. `None` where none of them was found, or none says it.
    pub fn saved_at_rest_by(&self, ids: &[&str]) -> Option<f64> {
        let removed = self.findings.iter().filter(|finding| ids.contains(&finding.rule.id));
        let saved = removed.filter_map(|finding| finding.at_rest_per_connection);
        saved.reduce(|sum, bytes| sum + bytes)
    }
}

/// Applies every rule.
pub fn diagnose(case: &Case) -> Diagnosis {
    let mut findings: Vec<Finding> = every_rule().filter_map(|rule| (rule.look)(case)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
    let bytes_per_connection = case.per_connection(case.grown().bytes);
    // A part of another finding goes when the other goes.
    let found = |id| findings.iter().any(|finding| finding.rule.id == id);
    let removable: f64 = findings
        .iter()
        .filter(|finding| !finding.rule.part_of.is_some_and(found))
        .filter_map(|finding| finding.at_rest_per_connection)
        .sum();
    Diagnosis {
        bytes_per_connection,
        floor_per_connection: bytes_per_connection.map(|bytes| (bytes - removable).max(0.0)),
        unknown_share: case.unknown_share(),
        findings,
    }
}

#[cfg(test)]
mod tests;
