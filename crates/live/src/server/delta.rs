//! What has changed between two views, as a profile.

use std::borrow::Cow;
use std::collections::HashMap;

use profile::{Frame, LabelValue, Merged, Metric, Profile, Sample, ValueType};

/// In the order of Go's heap profiles.
const COLUMNS: [Metric; 4] =
    [Metric::AllocObjects, Metric::AllocSpace, Metric::InuseObjects, Metric::InuseSpace];

/// What is made of memory in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InUse {
    /// By how much it has changed, which may be less than nothing.
    Change,
    /// What there is now.
    Now,
}

type Key<'a> = (Vec<Frame<'a>>, &'a [(Cow<'static, str>, LabelValue)]);

fn key<'a>(profile: &'a Profile, sample: &'a Sample) -> Key<'a> {
    (profile.frames(sample).collect(), &sample.labels)
}

/// What has come since `before`: allocations, and memory in use. Samples in which nothing is are
/// left out. Of a process that has ended, what it gave back is in it, and its allocations are not.
pub(crate) fn delta(before: &Profile, now: &Profile, in_use: InUse) -> Profile {
    let types = COLUMNS
        .map(|it| ValueType { kind: it.kind().to_owned(), unit: it.unit().to_owned() })
        .to_vec();
    let empty = || Profile::new(types.clone(), Some(COLUMNS.len() - 1));
    let mut whole = Merged::new(empty());
    whole.add(now);
    let mut delta = whole.finish();
    if are_aligned(before, now) {
        let pairs = delta.samples_mut().iter_mut().zip(before.samples().iter().zip(now.samples()));
        for (sample, (was, is)) in pairs {
            sample.values = change(&values(now, is), &values(before, was), in_use);
        }
        delta.samples_mut().retain(|sample| sample.values.iter().any(|value| *value != 0));
        return delta;
    }
    let mut then: HashMap<Key<'_>, Vec<i64>> = HashMap::new();
    for sample in before.samples() {
        let sum = then.entry(key(before, sample)).or_insert_with(|| vec![0; COLUMNS.len()]);
        for (sum, value) in sum.iter_mut().zip(values(before, sample)) {
            *sum = sum.saturating_add(value);
        }
    }
    let changed: Vec<Vec<i64>> = now
        .samples()
        .iter()
        .map(|sample| {
            let was = then.remove(&key(now, sample)).unwrap_or_else(|| vec![0; COLUMNS.len()]);
            change(&values(now, sample), &was, in_use)
        })
        .collect();
    for (sample, changed) in delta.samples_mut().iter_mut().zip(changed) {
        sample.values = changed;
    }
    if in_use == InUse::Change {
        // What has gone altogether.
        let mut gone = Merged::new(empty());
        gone.add(before);
        let mut gone = gone.finish();
        for (sample, was) in gone.samples_mut().iter_mut().zip(before.samples()) {
            let was = then.remove(&key(before, was)).unwrap_or_else(|| vec![0; COLUMNS.len()]);
            sample.values = change(&[0; COLUMNS.len()], &was, in_use);
        }
        profile::merge(&mut delta, &gone);
    }
    delta.samples_mut().retain(|sample| sample.values.iter().any(|value| *value != 0));
    delta
}

/// At most moments, nothing is new but the counts.
fn are_aligned(before: &Profile, now: &Profile) -> bool {
    let same = |(was, is): (&Sample, &Sample)| was.stack == is.stack && was.labels == is.labels;
    before.kin().is_some()
        && before.kin() == now.kin()
        && before.samples().len() == now.samples().len()
        && before.samples().iter().zip(now.samples()).all(same)
}

fn values(profile: &Profile, sample: &Sample) -> Vec<i64> {
    let value = |metric| profile.column(metric).map_or(0, |at| sample.values[at]);
    COLUMNS.map(value).to_vec()
}

fn change(now: &[i64], was: &[i64], in_use: InUse) -> Vec<i64> {
    let each = COLUMNS.iter().zip(now.iter().zip(was));
    each.map(|(metric, (now, was))| match (metric, in_use) {
        (Metric::InuseObjects | Metric::InuseSpace, InUse::Now) => *now,
        (Metric::InuseObjects | Metric::InuseSpace, InUse::Change) => now.saturating_sub(*was),
        // It only ever grows, and ends with its process.
        _ => now.saturating_sub(*was).max(0),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use ledger::{Counts, Site, Snapshot};
    use profile::{Symbols, from_ledger};

    use super::*;

    fn profile(sites: &[(u64, u64, u64)]) -> Profile {
        let site = |(address, inuse, alloc): &(u64, u64, u64)| Site {
            stack: vec![*address],
            counts: Counts {
                inuse_blocks: *inuse,
                inuse_bytes: 10 * inuse,
                alloc_blocks: *alloc,
                alloc_bytes: 10 * alloc,
                ..Counts::default()
            },
            ..Site::default()
        };
        let snapshot = Snapshot { sites: sites.iter().map(site).collect(), ..Snapshot::default() };
        from_ledger(&snapshot, &mut Symbols::new())
    }

    fn sums(profile: &Profile) -> Vec<i64> {
        (0..COLUMNS.len()).map(|column| profile.total(column)).collect()
    }

    #[test]
    fn what_came_and_what_went_is_in_it_and_what_stayed_is_not() {
        let before = profile(&[(16, 5, 5), (32, 7, 9), (48, 2, 2)]);
        let now = profile(&[(16, 5, 5), (32, 3, 12), (64, 1, 1)]);
        let changed = delta(&before, &now, InUse::Change);
        assert_eq!(changed.samples().len(), 3);
        // 3 and 1 were allocated; 4 and 2 went, and 1 came.
        assert_eq!(sums(&changed), [4, 40, -5, -50]);
        let since = delta(&before, &now, InUse::Now);
        assert_eq!(sums(&since), [4, 40, 9, 90]);
        assert_eq!(delta(&now, &now, InUse::Change).samples(), []);
    }
}
