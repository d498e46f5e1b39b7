//! What no finding has taken yet: each stack's bytes belong to one finding only.

use crate::diagnosis::case::{Amount, Case};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::objects::Object;

/// A case, and what of it no rule has taken yet.
#[derive(Debug)]
pub struct Unclaimed<'a> {
    /// What there is to look at.
    pub case: &'a Case,
    taken: Vec<bool>,
    found: Vec<&'static str>,
    set_aside: Vec<usize>,
    notes: Vec<Note>,
}

/// Something that is worth a word and costs nothing that could be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The rule that has looked.
    pub rule: &'static str,
    /// One sentence without its full stop.
    pub text: String,
}

impl<'a> Unclaimed<'a> {
    /// Everything.
    pub fn all_of(case: &'a Case) -> Unclaimed<'a> {
        let taken = vec![false; case.holdings.len()];
        Unclaimed { case, taken, found: Vec::new(), set_aside: Vec::new(), notes: Vec::new() }
    }

    /// What is left of the case's holdings, each with its place among them.
    pub fn holdings(&self) -> impl Iterator<Item = (usize, &'a Holding)> {
        let free = |(at, _): &(usize, &Holding)| !self.taken[*at];
        self.case.holdings.iter().enumerate().filter(free)
    }

    /// The places of the holdings that `wanted` picks out of what is left.
    pub fn pick(&self, wanted: impl Fn(&Holding) -> bool) -> Vec<usize> {
        let picked = self.holdings().filter(|(_, held)| held.all_bytes > 0 && wanted(held));
        picked.map(|(at, _)| at).collect()
    }

    /// What the holdings at these places have.
    pub fn amount_at(&self, places: &[usize]) -> Amount {
        let held = places.iter().map(|at| &self.case.holdings[*at]);
        held.fold(Amount::default(), |sum, held| Amount {
            bytes: sum.bytes.saturating_add(held.all_bytes),
            blocks: sum.blocks.saturating_add(held.all_blocks),
        })
    }

    /// What the holdings that `wanted` picks have.
    pub fn amount(&self, wanted: impl Fn(&Holding) -> bool) -> Amount {
        self.amount_at(&self.pick(wanted))
    }

    /// Objects whose structs are in what is left, and that `wanted` picks.
    pub fn count(&self, object: Object, wanted: impl Fn(&Holding) -> bool) -> i64 {
        self.amount(|held| held.object == Some(object) && wanted(held)).blocks
    }

    /// A finding with this name was made of the case.
    pub fn has_found(&self, rule: &Rule) -> bool {
        self.found.contains(&rule.id)
    }

    /// Holdings that belong to a container that a later rule judges.
    pub fn set_aside(&self) -> &[usize] {
        &self.set_aside
    }

    /// Leaves holdings to a later rule, for which they go with their container.
    pub(super) fn put_aside(&mut self, places: impl IntoIterator<Item = usize>) {
        self.set_aside.extend(places);
    }

    /// No finding has taken the holding at this place.
    pub fn is_free(&self, at: usize) -> bool {
        !self.taken[at]
    }

    /// Says something that is no finding.
    pub(super) fn note(&mut self, rule: &Rule, text: impl Into<String>) {
        self.notes.push(Note { rule: rule.id, text: text.into() });
    }

    /// What was said.
    pub(super) fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes what the finding is about.
    pub(super) fn take(&mut self, finding: &Finding) {
        for at in &finding.claimed {
            self.taken[*at] = true;
        }
        self.found.push(finding.rule.id);
    }
}
