//! Profiles of which no figure is one of memory that is known by name: processor time, or folded
//! stacks of whatever their writer has counted. They are looked at in their own unit.

use std::collections::BTreeMap;

use profile::{Profile, Sample};

use crate::column::Column;
use crate::group::{By, Call, Key, key_of, telling_of};

/// A column of another profiler's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnUnit {
    /// What it counts, such as `cpu`.
    pub kind: String,
    /// In what, such as `nanoseconds`.
    pub unit: String,
    /// The sum of all samples.
    pub total: i64,
    /// The largest values first; equal ones in the order of their keys.
    pub rows: Vec<OwnRow>,
}

/// Samples of one key, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRow {
    /// What the row stands for.
    pub key: Key,
    /// The sum of its samples.
    pub value: i64,
    /// The few functions that tell the story of its heaviest stack, outermost first.
    pub telling: Vec<String>,
}

impl OwnUnit {
    /// The profile's own first column; `None` where it has figures of memory, or none at all.
    pub fn of(profile: &Profile, by: By) -> Option<OwnUnit> {
        if Column::of(profile).next().is_some() {
            return None;
        }
        // As pprof has it where a file does not say.
        let last = profile.sample_types().len().checked_sub(1)?;
        let column = profile.default_sample_type().unwrap_or(last);
        let value_type = profile.sample_types()[column].clone();
        let mut sums: BTreeMap<Key, (i64, &Sample)> = BTreeMap::new();
        for sample in profile.samples() {
            let value = sample.values[column];
            let (sum, heaviest) = sums.entry(key_of(profile, sample, by)).or_insert((0, sample));
            *sum = sum.saturating_add(value);
            if value > heaviest.values[column] {
                *heaviest = sample;
            }
        }
        let told = |sample: &Sample| {
            telling_of(&profile.frames(sample).map(Call::from).collect::<Vec<_>>())
        };
        let mut rows: Vec<OwnRow> = sums
            .into_iter()
            .map(|(key, (value, heaviest))| OwnRow { key, value, telling: told(heaviest) })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.value));
        let total = profile.total(column);
        Some(OwnUnit { kind: value_type.kind, unit: value_type.unit, total, rows })
    }

    /// A value with its unit, for people: `1.25 s` of nanoseconds, `4,003` of a count.
    pub fn human(&self, value: i64) -> String {
        let nanoseconds = match self.unit.as_str() {
            "nanoseconds" | "ns" => 1.0,
            "microseconds" | "us" => 1e3,
            "milliseconds" | "ms" => 1e6,
            "seconds" | "s" => 1e9,
            "bytes" => return crate::notation::human(value as f64),
            "count" | "" => return crate::notation::exact(value),
            unit => return format!("{} {unit}", crate::notation::exact(value)),
        };
        let nanoseconds = value as f64 * nanoseconds;
        match nanoseconds.abs() {
            time if time >= 1e9 => format!("{:.2} s", nanoseconds / 1e9),
            time if time >= 1e6 => format!("{:.1} ms", nanoseconds / 1e6),
            _ => format!("{:.1} µs", nanoseconds / 1e3),
        }
    }

    /// What all of it is, in words: `1.25 s of cpu`, `4,003 samples`.
    pub fn whole(&self) -> String {
        let is_count = matches!(self.unit.as_str(), "count" | "");
        let of = if is_count { "" } else { "of " };
        format!("{} {of}{}", self.human(self.total), self.kind)
    }
}

#[cfg(test)]
mod tests {
    use profile::ValueType;

    use super::*;
    use crate::sample_profile::{push_values, stack};

    fn profile(kind: &str, unit: &str) -> Profile {
        let samples = ValueType { kind: "samples".to_owned(), unit: "count".to_owned() };
        let shown = ValueType { kind: kind.to_owned(), unit: unit.to_owned() };
        let mut profile = Profile::new(vec![samples, shown], Some(1));
        let (light, heavy) = ([("main", "x.c"), ("_start", "")], [("loop", "x.c"), ("main", "")]);
        for (frames, value) in [(&light, 30), (&heavy, 1_250_000_000), (&light, 12)] {
            push_values(&mut profile, "", &stack(frames), vec![1, value]);
        }
        profile
    }

    #[test]
    fn another_profilers_figures_are_told_in_its_own_unit() {
        let time = OwnUnit::of(&profile("cpu", "nanoseconds"), By::Function).expect("it has none");
        assert_eq!(time.whole(), "1.25 s of cpu");
        let rows: Vec<_> = time.rows.iter().map(|it| (&*it.key.function, it.value)).collect();
        assert_eq!(rows, [("loop", 1_250_000_000), ("main", 42)]);
        assert_eq!(time.human(42), "0.0 µs");
        let count = OwnUnit::of(&profile("samples", "count"), By::Site).expect("it has none");
        assert_eq!(count.whole(), "1,250,000,042 samples");
        let other = OwnUnit::of(&profile("mutexes", "waits"), By::Site).expect("it has none");
        assert_eq!(other.whole(), "1,250,000,042 waits of mutexes");
        assert_eq!(OwnUnit::of(&profile("inuse_space", "bytes"), By::Site), None);
    }
}
