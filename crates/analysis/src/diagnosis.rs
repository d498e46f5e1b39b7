//! What costs more than it has to, found by rules in a profile.
//!
//! A [`Case`] is what there is to look at: what a process holds, how many objects it has and has
//! ever made, and the moments around that, as far as there are any. Each rule is a file in `rules`
//! and a line in [`RULES`]; it makes a [`Finding`] out of figures of the case, or nothing. Nothing
//! is claimed without a number of the profile itself.
//!
//! Rules look one after another, what contains before what is contained in it, and a finding takes
//! the stacks that it is about: each byte is in one finding only. What lies in none is told too.

mod bundles;
pub mod case;
pub mod ecosystem;
pub mod finding;
pub mod growth;
pub mod held_at;
pub mod holding;
mod processes;
pub mod reading;
mod remedies;
mod repeats;
pub mod rest;
mod rules;
pub mod series;
pub mod unclaimed;
pub mod whole;

use contract::Domain;

use crate::diagnosis::case::{Case, Counted};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::held_at::HeldAt;
use crate::diagnosis::rest::{Rest, rest};
use crate::diagnosis::unclaimed::{Note, Unclaimed};

pub use processes::diagnose_processes;

/// The rules of OpenSSL's memory, in the order in which they take what they are about, and in which
/// findings of equal size are told.
pub const RULES: &[&Rule] = &[
    &rules::bundle_parsed_again::RULE,
    &rules::crls_kept::RULE,
    &rules::session_cache_filling::RULE,
    &rules::sessions_outlive::RULE,
    &rules::peer_certificates_outlive::RULE,
    &rules::ssl_without_handshake::RULE,
    &rules::context_per_connection::RULE,
    &rules::contexts_outlive::RULE,
    &rules::library_contexts::RULE,
    &rules::keys_outlive::RULE,
    &rules::thread_state::RULE,
    &rules::compression_negotiated::RULE,
    &rules::record_buffers_kept::RULE,
    &rules::dtls_record_buffers_kept::RULE,
    &rules::compression_allowed::RULE,
    &rules::oversized_read_buffer::RULE,
    &rules::mlkem_key_kept::RULE,
    &rules::peer_chains_kept::RULE,
    &rules::dtls_handshake_buffer_kept::RULE,
    &rules::bio_pairs::RULE,
    &rules::stays_after_close::RULE,
    &rules::never_freed::RULE,
    &rules::only_grows::RULE,
];

/// The rules of what is not the TLS library's, in the same order: of all processes together.
pub const RULES_OF_OTHERS: &[&Rule] = &[
    &rules::asyncio_read_buffer::RULE,
    &rules::haproxy_session_cache::RULE,
    &rules::free_pages_kept::RULE,
    &rules::free_pages_after_close::RULE,
];

/// The rules of a domain's memory; none where none is known.
pub fn rules_of(domain: Domain) -> &'static [&'static Rule] {
    match domain {
        Domain::Openssl => RULES,
        Domain::Heap => RULES_OF_OTHERS,
        _ => &[],
    }
}

impl Rule {
    /// It is about what is not the TLS library's.
    pub fn is_about_others(&self) -> bool {
        RULES_OF_OTHERS.iter().any(|rule| rule.id == self.id)
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
    /// What is worth a word and no finding.
    pub notes: Vec<Note>,
    /// The moment that was judged.
    pub at: HeldAt,
    /// Bytes that were looked at: all that OpenSSL held at that moment.
    pub looked_at: i64,
    /// Resident bytes of the processes, which were looked at too; `None` where only OpenSSL's memory
    /// is known.
    pub resident: Option<u64>,
    /// What of OpenSSL's lies in no finding.
    pub rest: Rest,
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

    /// The part of what was looked at that lies in no finding, from 0 to 1.
    pub fn rest_share(&self) -> f64 {
        if self.looked_at > 0 { self.rest.bytes as f64 / self.looked_at as f64 } else { 0.0 }
    }

    /// What is left when all findings are gone of a connection that costs the whole process so many
    /// resident bytes.
    pub fn left_of(&self, bytes: f64) -> f64 {
        let openssls = self.bytes_per_connection.zip(self.floor_per_connection);
        let of_openssl = openssls.map_or(0.0, |(bytes, floor)| bytes - floor);
        let others = self.findings.iter().filter(|finding| finding.rule.is_about_others());
        let of_others: f64 = others.filter_map(|finding| finding.bytes_per_connection).sum();
        (bytes - of_openssl - of_others).max(0.0)
    }

    /// What is left of a connection when all findings are gone.
    fn floor(&self) -> Option<f64> {
        // A part of another finding goes when the other goes.
        let found = |id| self.findings.iter().any(|finding| finding.rule.id == id);
        let removable: f64 = self
            .findings
            .iter()
            .filter(|finding| !finding.rule.part_of.is_some_and(found))
            .filter_map(|finding| finding.at_rest_per_connection)
            .sum();
        self.bytes_per_connection.map(|bytes| (bytes - removable).max(0.0))
    }
}

/// Applies every rule to one process.
pub fn diagnose(case: &Case) -> Diagnosis {
    let mut unclaimed = Unclaimed::all_of(case);
    let mut findings = found(&mut unclaimed, every_rule());
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
    let mut diagnosis = Diagnosis {
        findings,
        notes: unclaimed.notes(),
        at: case.at,
        looked_at: case.all_bytes(),
        resident: resident(case),
        rest: rest(&unclaimed),
        bytes_per_connection: case.per_connection(case.grown().bytes),
        floor_per_connection: None,
        unknown_share: case.unknown_share(),
    };
    diagnosis.floor_per_connection = diagnosis.floor();
    diagnosis
}

/// What the processes have that is resident, where that is known.
fn resident(case: &Case) -> Option<u64> {
    case.whole.as_ref().map(|whole| whole.resident_bytes).filter(|bytes| *bytes > 0)
}

/// What these rules find, one after another.
fn found(
    unclaimed: &mut Unclaimed<'_>,
    rules: impl Iterator<Item = &'static Rule>,
) -> Vec<Finding> {
    let case = unclaimed.case;
    let mut findings = Vec::new();
    for rule in rules {
        let Some(mut finding) = (rule.look)(unclaimed) else { continue };
        if !is_worth_a_word(&finding, case) {
            continue;
        }
        let everything = || case.holdings.iter();
        let program = case.program.as_deref();
        finding.remedies = if finding.claimed.is_empty() {
            remedies::remedies(rule.id, everything(), program)
        } else {
            let claimed = finding.claimed.iter().map(|at| &case.holdings[*at]);
            remedies::remedies(rule.id, claimed, program)
        };
        unclaimed.take(&finding);
        findings.push(finding);
    }
    findings
}

/// Whether it saves enough to be told: a hundredth of what OpenSSL holds, and 64 KB. Where somebody
/// has told how many connections there were, what these have is told from half of that on, however
/// few they were.
fn is_worth_a_word(finding: &Finding, case: &Case) -> bool {
    const LEAST: i64 = 64 * 1024;
    let told = finding.bytes_per_connection.is_some() && case.counted == Counted::Told;
    let (least, part) = if told { (1, 200) } else { (LEAST, 100) };
    finding.bytes_total >= least && finding.bytes_total.saturating_mul(part) >= case.all_bytes()
}

#[cfg(test)]
mod tests;
