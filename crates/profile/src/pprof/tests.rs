use proptest::prelude::*;
use prost::Message;

use super::proto;
use super::*;
use crate::arbitrary::{self, meaning};
use crate::{Function, LabelValue, Line, Location, Profile, Sample, ValueType};

/// The unpacked message of what `write` makes.
fn written(profile: &Profile) -> proto::Profile {
    proto::Profile::decode(&*unpack(&write(profile), "").unwrap()).unwrap()
}

/// A sound message: one sample, `main` calling `leaf`, 13 blocks of 583312 bytes.
fn sound() -> proto::Profile {
    let texts = ["", "inuse_objects", "count", "inuse_space", "bytes", "main", "leaf", "main.c"];
    proto::Profile {
        sample_type: vec![
            proto::ValueType { kind: 1, unit: 2 },
            proto::ValueType { kind: 3, unit: 4 },
        ],
        sample: vec![proto::Sample {
            location_id: vec![2, 1],
            value: vec![13, 583_312],
            label: vec![proto::Label { key: 6, text: 5, number: 0, number_unit: 0 }],
        }],
        mapping: vec![proto::Mapping { id: 7, memory_limit: 4096, ..proto::Mapping::default() }],
        location: vec![
            proto::Location {
                id: 1,
                mapping_id: 7,
                address: 16,
                line: vec![proto::Line { function_id: 1, line: 3 }],
            },
            proto::Location {
                id: 2,
                mapping_id: 0,
                address: 32,
                line: vec![proto::Line { function_id: 9, line: 8 }],
            },
        ],
        function: vec![
            proto::Function { id: 1, name: 5, system_name: 5, filename: 7 },
            proto::Function { id: 9, name: 6, system_name: 6, filename: 7 },
        ],
        string_table: texts.map(str::to_owned).to_vec(),
        default_sample_type: 3,
        ..proto::Profile::default()
    }
}

/// The error for the sound message after `change`.
fn error_after(change: impl FnOnce(&mut proto::Profile)) -> String {
    let mut message = sound();
    change(&mut message);
    read(&message.encode_to_vec(), "a.pb").unwrap_err().to_string()
}

/// What is said of the sound message with one text of 60 KB, and 4,000 times what `refer` adds with
/// the index of that text and a number.
fn refusal_of(mut refer: impl FnMut(&mut proto::Profile, i64, u64)) -> String {
    error_after(|message| {
        message.string_table.push("x".repeat(60_000));
        let text = message.string_table.len() as i64 - 1;
        for number in 0..4_000 {
            refer(message, text, number);
        }
    })
}

#[test]
fn a_text_that_is_referred_to_again_and_again_does_not_fill_the_memory() {
    let sentences = [
        refusal_of(|message, text, _| {
            let label = proto::Label { key: 6, text, number: 0, number_unit: 0 };
            message.sample[0].label.push(label);
        }),
        refusal_of(|message, text, _| {
            let label = proto::Label { key: text, text: 0, number: 1, number_unit: 0 };
            message.sample.push(proto::Sample { label: vec![label], ..message.sample[0].clone() });
        }),
        refusal_of(|message, text, number| {
            let id = 100 + number;
            message.function.push(proto::Function { id, name: text, system_name: 5, filename: 7 });
        }),
        refusal_of(|message, text, _| message.comment.push(text)),
        refusal_of(|message, text, number| {
            let mapping = proto::Mapping { filename: text, id: 100 + number, ..message.mapping[0] };
            message.mapping.push(mapping);
        }),
        // Each of these lines would be a row with the text in it.
        refusal_of(|message, text, number| {
            message.function[0].name = text;
            let line = vec![proto::Line { function_id: 1, line: number as i64 }];
            let (id, address) = (100 + number, 0);
            message.location.push(proto::Location { id, mapping_id: 0, address, line });
        }),
        refusal_of(|message, text, _| {
            message.function[0].name = text;
            let sample = proto::Sample { location_id: vec![1], ..message.sample[0].clone() };
            message.sample.push(sample);
        }),
    ];
    for (at, sentence) in sentences.iter().enumerate() {
        let begins = sentence.starts_with("a.pb is too large: expected at most ");
        assert!(begins && sentence.contains("times its own size"), "{at}: {sentence}");
    }
}

#[test]
fn entries_that_say_nothing_do_not_fill_the_memory() {
    // A hundred kilobytes on the disk, and 20 MB of functions that are two bytes each.
    let functions = [0x2a, 0x00].repeat(10 << 20);
    let room = crate::room::Room::of_file(100);
    let error = read_unpacked(&functions, "a.pb", room).unwrap_err().to_string();
    assert!(error.starts_with("a.pb is too large: expected at most "), "{error}");
}

#[test]
fn a_name_is_no_book() {
    let error = error_after(|message| message.string_table[5] = "x".repeat(70_000));
    assert!(error.contains("expected names of at most 65536 bytes, found 70000"), "{error}");
}

#[test]
fn a_profile_has_no_hundred_columns() {
    let error = error_after(|message| {
        message.sample_type = vec![proto::ValueType { kind: 1, unit: 2 }; 100];
    });
    assert!(error.contains("expected at most 64 sample types, found more"), "{error}");
}

#[test]
fn a_sampled_profile_keeps_its_interval_and_the_sizes_of_its_blocks() {
    let mut profile = Profile::of_heap();
    let function = profile.function(Function { name: "leaf".to_owned(), ..Function::default() });
    let lines = vec![Line { function, line: 3 }];
    let stack = vec![profile.location(Location { lines, ..Location::default() })];
    let mut sample = Sample { stack, values: vec![1; 6], labels: Vec::new() };
    sample.set_block_bytes(376);
    profile.push(sample);
    assert_eq!(written(&profile).period, 1, "what is not sampled has a byte for each");
    profile.sampling = crate::Sampling::every(65_536);
    let message = written(&profile);
    let texts = message.period_type.map(|it| [it.kind, it.unit].map(|at| at as usize));
    let texts = texts.map(|places| places.map(|at| message.string_table[at].as_str()));
    assert_eq!((texts, message.period), (Some(["space", "bytes"]), 65_536));
    let again = read(&write(&profile), "a.pb").unwrap();
    assert_eq!(again.sampling, profile.sampling);
    assert_eq!(again.samples()[0].block_bytes(), Some(376));
}

#[test]
fn a_period_of_other_programs_means_nothing_and_one_that_cannot_be_ours_is_refused() {
    let with_period = |period| {
        let mut message = sound();
        message.period = period;
        message
    };
    let foreign = read(&with_period(524_288).encode_to_vec(), "a.pb").unwrap();
    assert_eq!(foreign.sampling, None);
    for period in [-1, i64::MAX] {
        let mut message = with_period(period);
        // Only our own profiles have this column.
        message.string_table[3] = "peak_space".to_owned();
        let error = read(&message.encode_to_vec(), "a.pb").unwrap_err().to_string();
        let expected = format!("a period of 1 to 1073741824 bytes, found {period}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_profile_of_another_writer_is_read_with_its_ids_as_they_are() {
    let profile = read(&sound().encode_to_vec(), "a.pb").unwrap();
    let sample = &profile.samples()[0];
    let names: Vec<_> = profile.frames(sample).map(|f| (f.function, f.file, f.line)).collect();
    assert_eq!(names, [("leaf", "main.c", 8), ("main", "main.c", 3)]);
    assert_eq!(sample.values, [13, 583_312]);
    assert_eq!(sample.label("leaf"), Some("main"));
    assert_eq!(profile.default_sample_type(), Some(1));
}

#[test]
fn each_broken_reference_is_named() {
    for (expected, error) in [
        ("a location of the profile, found id 3", error_after(|p| p.sample[0].location_id[0] = 3)),
        ("a location of the profile, found id 0", error_after(|p| p.sample[0].location_id[0] = 0)),
        ("a mapping of the profile, found id 8", error_after(|p| p.location[0].mapping_id = 8)),
        (
            "a function of the profile, found id 2",
            error_after(|p| p.location[0].line[0].function_id = 2),
        ),
        ("a string index below 8, found 8", error_after(|p| p.function[0].name = 8)),
        ("a string index below 8, found -1", error_after(|p| p.sample_type[0].unit = -1)),
        ("a string index below 8, found 99", error_after(|p| p.default_sample_type = 99)),
        ("a string index below 8, found 9", error_after(|p| p.comment = vec![0, 9])),
        ("a label with a key, found one without", error_after(|p| p.sample[0].label[0].key = 0)),
        (
            "a function with an id of its own, found a second one with id 1",
            error_after(|p| p.function[1].id = 1),
        ),
        ("a location with an id above 0, found id 0", error_after(|p| p.location[0].id = 0)),
        (
            "a sample with 2 values, one per sample type, found 1",
            error_after(|p| p.sample[0].value.truncate(1)),
        ),
        ("an empty first string, found \"x\"", error_after(|p| p.string_table[0] = "x".into())),
        (
            "a table of strings, found a message without one",
            error_after(|p| p.string_table.clear()),
        ),
        (
            "a line number from 0 to 4294967295, found -5",
            error_after(|p| p.location[0].line[0].line = -5),
        ),
        ("values whose sum is below 2^63", error_after(|p| p.sample[0].value[0] = i64::MIN)),
        (
            "values whose sum is below 2^63",
            error_after(|p| {
                p.sample[0].value[0] = i64::MAX;
                p.sample.push(p.sample[0].clone());
            }),
        ),
    ] {
        assert!(error.starts_with("a.pb is damaged at byte "), "{error}");
        assert!(error.contains(expected), "{error:?} should contain {expected:?}");
    }
}

#[test]
fn a_text_that_is_not_utf8_is_an_error_at_its_place() {
    let message = sound();
    let mut bytes = message.encode_to_vec();
    let at = bytes.windows(4).position(|four| four == b"leaf").unwrap();
    bytes[at] = 0xff;
    let error = read(&bytes, "a.pb").unwrap_err().to_string();
    let expected = format!("a.pb is damaged at byte {}: expected a text in UTF-8", at - 2);
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn what_is_written_satisfies_the_strictest_stores() {
    let mut profile = Profile::of_heap();
    let unused = Function { name: "unused".into(), ..Function::default() };
    let unused = profile.function(unused);
    let location = |line| Location { address: 1, lines: vec![line], ..Location::default() };
    profile.location(location(Line { function: unused, line: 1 }));
    let used = profile.function(Function { name: "used".into(), ..Function::default() });
    let used = profile.location(location(Line { function: used, line: 2 }));
    let labels = vec![
        ("".into(), LabelValue::Text("keyless".into())),
        ("empty".into(), LabelValue::Text("".into())),
    ];
    profile.push(Sample { stack: vec![used], values: vec![1; 6], labels });

    let message = written(&profile);
    assert_eq!(message.string_table[0], "");
    assert_eq!(message.function.len(), 1, "only what samples use");
    assert_eq!((message.function[0].id, message.location[0].id), (1, 1));
    assert!(message.sample[0].label.is_empty(), "no label without key or text");
    assert!(!message.string_table.iter().any(|text| text == "unused"));
    assert_eq!(message.period, 1);
    let default = message.string_table[message.default_sample_type as usize].as_str();
    assert_eq!(default, "inuse_space");
}

#[test]
fn an_empty_profile_can_be_written_and_read() {
    let empty = Profile::new(Vec::new(), None);
    assert_eq!(meaning(&read(&write(&empty), "").unwrap()), meaning(&empty));
}

#[test]
fn empty_content_is_an_error_of_its_own() {
    let error = read(b"", "none.pb.gz").unwrap_err().to_string();
    assert_eq!(error, "none.pb.gz is empty: expected a pprof profile (protobuf, usually gzip)");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_written_again_to_the_same_bytes(
        profile in arbitrary::profile()
    ) {
        let bytes = write(&profile);
        let again = read(&bytes, "").unwrap();
        prop_assert_eq!(meaning(&again), meaning(&profile));
        for column in 0..profile.sample_types().len() {
            prop_assert_eq!(again.total(column), profile.total(column));
        }
        prop_assert_eq!(write(&again), bytes);
    }

    #[test]
    fn ids_run_from_one_without_gaps(profile in arbitrary::profile()) {
        let message = written(&profile);
        let ids = |ids: Vec<u64>| ids == (1..=ids.len() as u64).collect::<Vec<_>>();
        prop_assert!(ids(message.location.iter().map(|l| l.id).collect()));
        prop_assert!(ids(message.function.iter().map(|f| f.id).collect()));
        prop_assert!(ids(message.mapping.iter().map(|m| m.id).collect()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = read(&bytes, "");
    }

    #[test]
    fn no_damage_makes_the_reader_panic(
        profile in arbitrary::profile(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut: prop::sample::Index,
    ) {
        let mut bytes = unpack(&write(&profile), "").unwrap().into_owned();
        bytes.truncate(cut.index(bytes.len()) + 1);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(profile) = read(&bytes, "") {
            // What was accepted can be used.
            for column in 0..profile.sample_types().len() {
                profile.total(column);
            }
            read(&write(&profile), "").unwrap();
        }
    }
}

#[test]
fn value_types_of_any_name_survive() {
    let types = vec![ValueType { kind: String::new(), unit: String::new() }];
    let profile = Profile::new(types, None);
    assert_eq!(meaning(&read(&write(&profile), "").unwrap()), meaning(&profile));
}
