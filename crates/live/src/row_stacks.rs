//! The stacks of one row: who asked for what it holds.

use std::collections::BTreeMap;

use analysis::column::Column;
use analysis::group::{By, Call, Counts, Key, key_of};
use profile::Frame;

use crate::View;

/// One stack of a row.
#[derive(Clone, Debug)]
pub struct RowStack {
    /// The calls, innermost first.
    pub calls: Vec<Call>,
    /// What it holds.
    pub counts: Counts,
}

impl View {
    /// The stacks of the row with this key, most bytes in use first; those of several processes
    /// are one where they are the same.
    pub fn stacks(&self, by: By, key: &Key) -> Vec<RowStack> {
        let profile = &self.profile;
        let mut found: BTreeMap<Vec<Call>, Counts> = BTreeMap::new();
        for sample in profile.samples().iter().filter(|it| key_of(profile, it, by) == *key) {
            let calls: Vec<Call> = profile.frames(sample).map(call).collect();
            let counts = Counts::total_of(profile, [sample]);
            let sum = found.entry(calls).or_insert(counts.zeroed());
            *sum = sum.plus(counts);
        }
        let mut stacks: Vec<RowStack> =
            found.into_iter().map(|(calls, counts)| RowStack { calls, counts }).collect();
        let bytes = Column::InUse.bytes();
        stacks.sort_by_key(|stack| std::cmp::Reverse(stack.counts.of(bytes)));
        stacks
    }
}

/// A frame without a name is called by its address.
fn call(frame: Frame<'_>) -> Call {
    match (frame.function, frame.address) {
        ("", address) if address != 0 => {
            Call { function: format!("{address:#x}"), ..Call::from(frame) }
        }
        _ => Call::from(frame),
    }
}
