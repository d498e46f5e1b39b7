//! Two profiles of one process as one.

use crate::{
    FunctionId, LabelValue, Line, Location, LocationId, Mapping, MappingId, Profile, Sample,
};

/// Adds the samples of `other` to `into`, behind its own, with their labels.
///
/// Columns are the same when they have the same kind and unit. Columns of `into` that `other` does
/// not have are 0 in its samples; columns that only `other` has are left out. Comments of `other`
/// follow those of `into`; its times are left out. Both are of one recording, so they were sampled
/// in the same way, or one of them was not.
pub fn merge(into: &mut Profile, other: &Profile) {
    let columns: Vec<Option<usize>> = into
        .sample_types()
        .iter()
        .map(|column| other.sample_types().iter().position(|theirs| theirs == column))
        .collect();
    let mappings: Vec<MappingId> =
        other.mappings().map(|mapping: &Mapping| into.mapping(mapping.clone())).collect();
    let functions: Vec<FunctionId> =
        other.functions().map(|function| into.function(function.clone())).collect();
    let line =
        |line: &Line| Line { function: functions[line.function.0 as usize], line: line.line };
    let locations: Vec<LocationId> = other
        .locations()
        .map(|location| {
            into.location(Location {
                mapping: location.mapping.map(|mapping| mappings[mapping.0 as usize]),
                address: location.address,
                lines: location.lines.iter().map(line).collect(),
            })
        })
        .collect();
    for sample in other.samples() {
        let labels: Vec<(String, LabelValue)> = sample.labels.clone();
        into.push(Sample {
            stack: sample.stack.iter().map(|id| locations[id.0 as usize]).collect(),
            values: columns.iter().map(|at| at.map_or(0, |at| sample.values[at])).collect(),
            labels,
        });
    }
    into.sampling = into.sampling.or(other.sampling);
    for comment in &other.comments {
        // Several processes of a sampled recording say the same.
        if other.sampling.is_none() || !into.comments.contains(comment) {
            into.comments.push(comment.clone());
        }
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
