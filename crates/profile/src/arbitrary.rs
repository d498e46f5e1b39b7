//! Profiles for property tests.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Function, LabelValue, Line, Location, Mapping, Profile, Sample, ValueType};

/// Names as they occur: plain ones, with separators of our formats, of other scripts, empty.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z_:<>, ]{1,12}",
        1 => "[;\n\t 0-9@/\\\\]{1,6}",
        1 => ".{0,6}",
        1 => Just(String::new()),
    ]
}

/// A profile with up to three columns, its labels in order of their keys, nothing in it that
/// pprof cannot express.
pub(crate) fn profile() -> impl Strategy<Value = Profile> {
    (1_usize..4).prop_flat_map(|columns| {
        let header =
            (proptest::option::of(0..columns), vec(name(), 0..3), any::<i64>(), any::<i64>());
        let tables = (
            vec((any::<u32>(), any::<u32>(), name(), "[0-9a-f]{0,8}"), 1..4),
            vec((name(), name(), name()), 1..8),
            vec((any::<Option<u8>>(), any::<u64>(), vec((any::<u8>(), any::<u32>()), 0..4)), 1..8),
        );
        let values = vec(-1_000_000_i64..1_000_000_000_000, columns);
        let samples = vec((vec(any::<u8>(), 0..7), values, vec(label(), 0..3)), 0..12);
        (header, tables, samples).prop_map(move |(header, tables, samples)| {
            let (default, comments, time_nanos, duration_nanos) = header;
            let types = (0..columns)
                .map(|n| ValueType { kind: format!("kind{n}"), unit: "bytes".to_owned() })
                .collect();
            let mut profile = Profile::new(types, default);
            profile.comments = comments;
            profile.time_nanos = time_nanos;
            profile.duration_nanos = duration_nanos;
            add_samples(&mut profile, tables, samples);
            profile
        })
    })
}

type MappingParts = (u32, u32, String, String);
type LocationParts = (Option<u8>, u64, Vec<(u8, u32)>);
type TableParts = (Vec<MappingParts>, Vec<(String, String, String)>, Vec<LocationParts>);
type SampleParts = (Vec<u8>, Vec<i64>, Vec<(Cow<'static, str>, LabelValue)>);

fn add_samples(profile: &mut Profile, tables: TableParts, samples: Vec<SampleParts>) {
    let (mappings, functions, locations) = tables;
    let mappings: Vec<_> = mappings
        .into_iter()
        .map(|(start, length, file, build_id)| {
            let start = u64::from(start) << 12;
            let end = start + u64::from(length);
            profile.mapping(Mapping { start, end, file_offset: 0x1000, file, build_id })
        })
        .collect();
    let functions: Vec<_> = functions
        .into_iter()
        .map(|(name, system_name, file)| profile.function(Function { name, system_name, file }))
        .collect();
    let locations: Vec<_> = locations
        .into_iter()
        .map(|(mapping, address, lines)| {
            let mapping = mapping.map(|at| mappings[usize::from(at) % mappings.len()]);
            let lines = lines
                .into_iter()
                .map(|(at, line)| Line {
                    function: functions[usize::from(at) % functions.len()],
                    line,
                })
                .collect();
            profile.location(Location { mapping, address, lines })
        })
        .collect();
    for (stack, values, mut labels) in samples {
        let stack =
            stack.into_iter().map(|at| locations[usize::from(at) % locations.len()]).collect();
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        profile.push(Sample { stack, values, labels });
    }
}

fn label() -> impl Strategy<Value = (Cow<'static, str>, LabelValue)> {
    let value = prop_oneof![
        "[a-z.]{1,8}".prop_map(|text| LabelValue::Text(text.into())),
        (any::<i64>(), name()).prop_map(|(number, unit)| LabelValue::Number(number, unit)),
    ];
    ("[a-z]{1,4}".prop_map(Cow::Owned), value)
}

/// All that a profile says, with every handle resolved: equal exactly when two profiles say the
/// same, whatever the order of their tables.
pub(crate) fn meaning(profile: &Profile) -> impl PartialEq + std::fmt::Debug + use<> {
    let samples: Vec<_> = profile
        .samples()
        .iter()
        .map(|sample| {
            let stack: Vec<_> = sample
                .stack
                .iter()
                .map(|id| {
                    let location = profile.location_of(*id);
                    let lines: Vec<_> = location
                        .lines
                        .iter()
                        .map(|line| (profile.function_of(line.function).clone(), line.line))
                        .collect();
                    let mapping = location.mapping.map(|id| profile.mapping_of(id).clone());
                    (mapping, location.address, lines)
                })
                .collect();
            (stack, sample.values.clone(), sample.labels.clone())
        })
        .collect();
    (
        profile.sample_types().to_vec(),
        profile.default_sample_type(),
        samples,
        profile.comments.clone(),
        profile.time_nanos,
        profile.duration_nanos,
    )
}
