//! Two profiles of one process as one.

use std::collections::HashMap;

use crate::{FunctionId, Line, Location, LocationId, Mapping, MappingId, Profile, Sample};

/// Adds the samples of `other` to `into`, behind its own, with their labels.
///
/// Columns are the same when they have the same kind and unit. Columns of `into` that `other` does
/// not have are 0 in its samples; columns that only `other` has are left out. Comments of `other`
/// follow those of `into`; its times are left out. Both are of one recording, so they were sampled
/// in the same way, or one of them was not.
pub fn merge(into: &mut Profile, other: &Profile) {
    let mut merged = Merged::new(std::mem::take(into));
    merged.add(other);
    *into = merged.whole;
}

/// A profile to which many are added, each as by [`merge`]: of those that have handles in common
/// each is looked up once.
pub struct Merged {
    whole: Profile,
    /// By [`Profile::kin`].
    known: HashMap<u64, Handles>,
}

/// Handles of the whole, by the handles of those that were added.
#[derive(Default)]
struct Handles {
    mappings: Vec<MappingId>,
    functions: Vec<FunctionId>,
    locations: Vec<LocationId>,
}

/// So many kinds of profiles are remembered: each has as much as its tables.
const MOST: usize = 16;

impl Merged {
    /// Adds to this one.
    pub fn new(whole: Profile) -> Merged {
        Merged { whole, known: HashMap::new() }
    }

    /// Adds one.
    pub fn add(&mut self, other: &Profile) {
        let into = &mut self.whole;
        let columns: Vec<Option<usize>> = into
            .sample_types()
            .iter()
            .map(|column| other.sample_types().iter().position(|theirs| theirs == column))
            .collect();
        let known = other.kin().and_then(|kin| self.known.remove(&kin));
        let handles = known.unwrap_or_default().grown(into, other);
        for sample in other.samples() {
            into.push(Sample {
                stack: sample.stack.iter().map(|id| handles.locations[id.index()]).collect(),
                values: columns.iter().map(|at| at.map_or(0, |at| sample.values[at])).collect(),
                labels: sample.labels.clone(),
            });
        }
        into.sampling = into.sampling.or(other.sampling);
        for comment in &other.comments {
            // Several processes of a sampled recording say the same.
            if other.sampling.is_none() || !into.comments.contains(comment) {
                into.comments.push(comment.clone());
            }
        }
        if let Some(kin) = other.kin() {
            if self.known.len() >= MOST {
                self.known.clear();
            }
            self.known.insert(kin, handles);
        }
    }

    /// All that was added.
    pub fn finish(self) -> Profile {
        self.whole
    }
}

impl Handles {
    /// With those of `other` that are not there yet.
    fn grown(mut self, into: &mut Profile, other: &Profile) -> Handles {
        let new = other.mappings().skip(self.mappings.len());
        self.mappings.extend(new.map(|mapping: &Mapping| into.mapping(mapping.clone())));
        let new = other.functions().skip(self.functions.len());
        self.functions.extend(new.map(|function| into.function(function.clone())));
        let functions = &self.functions;
        let line =
            |line: &Line| Line { function: functions[line.function.index()], line: line.line };
        let mappings = &self.mappings;
        let new = other.locations().skip(self.locations.len());
        self.locations.extend(new.map(|location| {
            into.location(Location {
                mapping: location.mapping.map(|mapping| mappings[mapping.0 as usize]),
                address: location.address,
                lines: location.lines.iter().map(line).collect(),
            })
        }));
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary;
    use crate::{Function, Metric, ValueType};

    fn with_sample(mut profile: Profile, name: &str, values: Vec<i64>) -> Profile {
        let mapping = profile.mapping(Mapping { file: name.to_owned(), ..Mapping::default() });
        let function = profile.function(Function { name: name.to_owned(), ..Function::default() });
        let stack = vec![profile.location(Location {
            mapping: Some(mapping),
            address: 16,
            lines: vec![Line { function, line: 7 }],
        })];
        let mut sample = Sample { stack, values, labels: Vec::new() };
        sample.set_label(contract::labels::DOMAIN, name);
        profile.push(sample);
        profile
    }

    #[test]
    fn columns_are_matched_by_name_and_missing_ones_are_zero() {
        let column = |metric: Metric| ValueType {
            kind: metric.kind().to_owned(),
            unit: metric.unit().to_owned(),
        };
        let mut into = with_sample(Profile::of_heap(), "openssl", vec![1, 2, 3, 4, 5, 6]);
        let types = vec![column(Metric::InuseSpace), column(Metric::InuseObjects)];
        let other = with_sample(Profile::new(types, None), "rust", vec![100, 10]);
        merge(&mut into, &other);
        let values: Vec<_> = into.samples().iter().map(|sample| sample.values.clone()).collect();
        assert_eq!(values, [vec![1, 2, 3, 4, 5, 6], vec![10, 100, 0, 0, 0, 0]]);
        let added = &into.samples()[1];
        assert_eq!(added.label("domain"), Some("rust"));
        let frames: Vec<_> = into.frames(added).map(|frame| (frame.function, frame.line)).collect();
        assert_eq!(frames, [("rust", 7)]);
        let mapping = into.location_of(added.stack[0]).mapping.unwrap();
        assert_eq!(into.mapping_of(mapping).file, "rust");
    }

    #[test]
    fn profiles_with_tables_in_common_come_to_what_they_come_to_one_by_one() {
        let site = |address| ledger::Site {
            stack: vec![address, 77],
            counts: ledger::Counts { inuse_blocks: 1, inuse_bytes: address, ..Default::default() },
            ..ledger::Site::default()
        };
        let mut symbols = crate::Symbols::new();
        let profiles: Vec<Profile> = [&[5, 6][..], &[6], &[8, 5, 9]]
            .map(|addresses| {
                let sites = addresses.iter().copied().map(site).collect();
                let snapshot = ledger::Snapshot { sites, ..ledger::Snapshot::default() };
                crate::from_ledger(&snapshot, &mut symbols)
            })
            .into();
        assert!(profiles.iter().all(|one| one.kin() == profiles[0].kin()));
        let foreign = with_sample(Profile::of_heap(), "heap", vec![1; 6]);
        let mut together = Merged::new(foreign.clone());
        let mut one_by_one = foreign.clone();
        for profile in profiles.iter().chain([&foreign]) {
            together.add(profile);
            merge(&mut one_by_one, profile);
        }
        let together = together.finish();
        assert_eq!(crate::pprof::write(&together), crate::pprof::write(&one_by_one));
        let bytes: Vec<i64> = together.samples().iter().map(|sample| sample.values[1]).collect();
        assert_eq!(bytes, [1, 6, 5, 6, 9, 8, 5, 1]);
    }

    proptest! {
        #[test]
        fn sums_add_up_and_stacks_keep_their_frames(
            a in arbitrary::profile(), b in arbitrary::profile(),
        ) {
            let mut merged = a.clone();
            merge(&mut merged, &b);
            let (mine, theirs) = merged.samples().split_at(a.samples().len());
            prop_assert_eq!(mine, a.samples());
            prop_assert_eq!(theirs.len(), b.samples().len());
            for (sample, original) in theirs.iter().zip(b.samples()) {
                prop_assert!(merged.frames(sample).eq(b.frames(original)));
                for (at, column) in merged.sample_types().iter().enumerate() {
                    let from = b.sample_types().iter().position(|theirs| theirs == column);
                    let expected = from.map_or(0, |from| original.values[from]);
                    prop_assert_eq!(sample.values[at], expected);
                }
            }
        }
    }
}
