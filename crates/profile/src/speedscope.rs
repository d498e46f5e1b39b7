//! speedscope's JSON, which <https://www.speedscope.app> and its offline page open.
//!
//! Every column of the profile becomes a profile of the file, all over one table of frames; the
//! default column is the one shown first. Addresses, mappings and labels are lost in writing.

use std::collections::HashMap;

use serde::Serialize;

use crate::harmless::harmless_json;
use crate::{Frame, Profile, folded};

/// Where the format is defined: files name it.
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active: usize,
    shared: Shared<'a>,
    profiles: Vec<Column<'a>>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<SharedFrame<'a>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct SharedFrame<'a> {
    name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
    #[serde(skip_serializing_if = "is_unknown")]
    line: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_unknown(line: &u32) -> bool {
    *line == 0
}

#[derive(Serialize)]
struct Column<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: i64,
    #[serde(rename = "endValue")]
    end: i64,
    samples: Vec<&'a [usize]>,
    weights: Vec<i64>,
}

/// The profile as a file that is called `name` when it is opened. Samples of 0 or less, which the
/// format cannot draw, are left out of their column.
pub fn write(profile: &Profile, name: &str) -> String {
    let mut frames = Frames::default();
    let stacks: Vec<Vec<usize>> = profile
        .samples()
        .iter()
        .map(|sample| {
            let mut stack: Vec<usize> =
                profile.frames(sample).map(|frame| frames.number(&frame)).collect();
            stack.reverse();
            stack
        })
        .collect();
    let columns = profile.sample_types().iter().enumerate().map(|(at, value)| {
        let weighed: Vec<(&[usize], i64)> = stacks
            .iter()
            .zip(profile.samples())
            .map(|(stack, sample)| (stack.as_slice(), sample.values[at]))
            .filter(|(_, weight)| *weight > 0)
            .collect();
        let weights: Vec<i64> = weighed.iter().map(|(_, weight)| *weight).collect();
        Column {
            kind: "sampled",
            name: &value.kind,
            unit: if value.unit == "bytes" { "bytes" } else { "none" },
            start: 0,
            end: weights.iter().fold(0, |sum: i64, weight| sum.saturating_add(*weight)),
            samples: weighed.into_iter().map(|(stack, _)| stack).collect(),
            weights,
        }
    });
    let file = File {
        schema: SCHEMA,
        exporter: format!("tlsheap {}", env!("CARGO_PKG_VERSION")),
        name,
        active: profile.default_sample_type().unwrap_or_default(),
        profiles: columns.collect(),
        shared: Shared { frames: frames.table },
    };
    harmless_json(serde_json::to_string(&file).expect("numbers and texts can be written as JSON"))
}

/// Distinct frames, in the order in which they were met.
#[derive(Default)]
struct Frames<'a> {
    table: Vec<SharedFrame<'a>>,
    numbers: HashMap<SharedFrame<'a>, usize>,
}

impl<'a> Frames<'a> {
    fn number(&mut self, frame: &Frame<'a>) -> usize {
        let shared =
            SharedFrame { name: folded::function_name(frame), file: frame.file, line: frame.line };
        let next = self.table.len();
        *self.numbers.entry(shared).or_insert_with_key(|shared| {
            self.table.push(shared.clone());
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::{Function, Line, Location, Sample, arbitrary};

    #[test]
    fn stacks_begin_at_the_root_and_the_default_column_is_shown() {
        let mut profile = Profile::of_heap();
        let stack = [("zlib_zalloc", "crypto/comp/c_zlib.c", 43), ("main", "", 0)]
            .map(|(name, file, line)| {
                let (name, file) = (name.to_owned(), file.to_owned());
                let function = profile.function(Function { system_name: name.clone(), name, file });
                let lines = vec![Line { function, line }];
                profile.location(Location { lines, ..Location::default() })
            })
            .to_vec();
        profile.push(Sample { stack, values: vec![13, 583_312, 0, 0, 0, 0], labels: Vec::new() });
        let file: Value = serde_json::from_str(&write(&profile, "node-0.4")).unwrap();
        let frames = &file["shared"]["frames"];
        let line = serde_json::json!(
            {"name": "zlib_zalloc", "file": "crypto/comp/c_zlib.c", "line": 43}
        );
        assert_eq!(frames[0], line);
        assert_eq!(frames[1], serde_json::json!({"name": "main"}));
        let shown = &file["profiles"][file["activeProfileIndex"].as_u64().unwrap() as usize];
        assert_eq!(shown["name"], "inuse_space");
        assert_eq!(shown["unit"], "bytes");
        assert_eq!(shown["samples"], serde_json::json!([[1, 0]]));
        assert_eq!(shown["weights"], serde_json::json!([583_312]));
        assert_eq!(shown["endValue"], 583_312);
    }

    proptest! {
        #[test]
        fn weights_add_up_to_what_is_above_zero(profile in arbitrary::profile()) {
            let file: Value = serde_json::from_str(&write(&profile, "any")).unwrap();
            let frames = file["shared"]["frames"].as_array().unwrap().len() as u64;
            for (at, column) in file["profiles"].as_array().unwrap().iter().enumerate() {
                let above = profile.samples().iter().map(|s| s.values[at].max(0));
                let above = above.fold(0, i64::saturating_add);
                prop_assert_eq!(column["endValue"].as_i64(), Some(above));
                for stack in column["samples"].as_array().unwrap() {
                    let known = |n: &Value| n.as_u64().is_some_and(|n| n < frames);
                    prop_assert!(stack.as_array().unwrap().iter().all(known));
                }
            }
        }
    }
}
