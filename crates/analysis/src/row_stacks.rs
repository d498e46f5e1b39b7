//! The stacks of one row: who asked for what it holds.

use std::collections::BTreeMap;

use profile::{Frame, Profile};

use crate::column::Column;
use crate::counts::Columns;
use crate::group::{By, Call, Counts, Key, key_of};

/// One stack of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowStack {
    /// The calls, innermost first.
    pub calls: Vec<Call>,
    /// What it holds.
    pub counts: Counts,
}

/// The stacks of the row with this key, less what each held in `baseline`, most bytes of the column
/// first; those of several processes are one where they are the same.
pub fn row_stacks(
    profile: &Profile,
    baseline: Option<&Profile>,
    by: By,
    key: &Key,
    column: Column,
) -> Vec<RowStack> {
    let none = Columns::of(profile).zero();
    let mut found: BTreeMap<Vec<Call>, Counts> = BTreeMap::new();
    let sides = [(Some(profile), Side::Capture), (baseline, Side::Before)];
    for (profile, side) in sides {
        let Some(profile) = profile else { continue };
        let columns = Columns::of(profile);
        for sample in profile.samples().iter().filter(|it| key_of(profile, it, by) == *key) {
            let calls: Vec<Call> = profile.frames(sample).map(call).collect();
            let sum = found.entry(calls).or_insert(none);
            *sum = match side {
                Side::Capture => sum.plus(columns.read(sample)),
                Side::Before => sum.minus(columns.read(sample)),
            };
        }
    }
    let mut stacks: Vec<RowStack> =
        found.into_iter().map(|(calls, counts)| RowStack { calls, counts }).collect();
    stacks.sort_by_key(|stack| std::cmp::Reverse(stack.counts.of(column.bytes())));
    stacks
}

#[derive(Clone, Copy)]
enum Side {
    Capture,
    Before,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::group;
    use crate::sample_profile::{push, stack};

    #[test]
    fn a_rows_stacks_add_up_to_it_less_what_was_there_before() {
        let leaf = ("SSL_new", "ssl/ssl_lib.c");
        let (one, other) = ([leaf, ("accept", "x.c")], [leaf, ("connect", "x.c")]);
        let profile = |bytes: [i64; 3]| {
            let mut profile = Profile::of_heap();
            for (frames, bytes) in [&one, &other, &one].into_iter().zip(bytes) {
                push(&mut profile, "openssl", &stack(frames), 1, bytes);
            }
            push(&mut profile, "openssl", &stack(&[("BIO_new", "crypto/bio/bio_lib.c")]), 1, 9);
            profile
        };
        let (now, before) = (profile([10, 25, 20]), profile([1, 2, 3]));
        let key = &group(&now, By::Site)[0].key;
        let stacks = row_stacks(&now, Some(&before), By::Site, key, Column::InUse);
        let told: Vec<_> =
            stacks.iter().map(|it| (&*it.calls[1].function, it.counts.inuse_bytes)).collect();
        assert_eq!(told, [("accept", Some(26)), ("connect", Some(23))]);
        let whole = row_stacks(&now, None, By::Site, key, Column::InUse);
        assert_eq!(whole[0].counts.inuse_blocks, Some(2));
    }
}
