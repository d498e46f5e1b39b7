//! Which of a profile's figures are looked at: what is in use, was at the peak, or ever allocated.

use profile::{Metric, Profile};

use crate::diagnosis::case::Ending;
use crate::diagnosis::held_at::HeldAt;

/// Which figures rows are ordered by, compared, drawn and checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Column {
    /// What is live at the capture.
    #[default]
    InUse,
    /// What was live at the highest total of each process.
    Peak,
    /// What was ever allocated.
    Allocated,
}

impl Column {
    /// Every column.
    pub const ALL: [Column; 3] = [Column::InUse, Column::Peak, Column::Allocated];

    /// The word for it, on the command line and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Column::InUse => "in-use",
            Column::Peak => "peak",
            Column::Allocated => "allocated",
        }
    }

    /// The column with this word.
    pub fn from_word(word: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| column.word() == word)
    }

    /// What follows a figure of it: `5 bytes in use`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Column::InUse => "in use",
            Column::Peak => "at the peak",
            Column::Allocated => "ever allocated",
        }
    }

    /// Its bytes.
    pub const fn bytes(self) -> Metric {
        match self {
            Column::InUse => Metric::InuseSpace,
            Column::Peak => Metric::PeakSpace,
            Column::Allocated => Metric::AllocSpace,
        }
    }

    /// Its blocks.
    pub const fn blocks(self) -> Metric {
        match self {
            Column::InUse => Metric::InuseObjects,
            Column::Peak => Metric::PeakObjects,
            Column::Allocated => Metric::AllocObjects,
        }
    }

    /// Those of which the profile has the bytes.
    pub fn of(profile: &Profile) -> impl Iterator<Item = Column> + '_ {
        Column::ALL.into_iter().filter(|column| profile.column(column.bytes()).is_some())
    }

    /// The one to look at where nobody has chosen: the moment that a diagnosis judges
    /// ([`HeldAt::of`]), and what there is where a profile does not say what is in use.
    pub fn usual(profile: &Profile, ending: Ending) -> Column {
        match HeldAt::of(profile, ending) {
            HeldAt::Peak => Column::Peak,
            HeldAt::Capture => Column::of(profile).next().unwrap_or_default(),
        }
    }

    /// The one in which several profiles are compared, by the usual column of each. Like is
    /// compared with like: where they differ it is the peak, for what a program has given back is
    /// known there alone, or else what all of them have.
    pub fn in_common(sides: &[(Column, &Profile)]) -> Column {
        let Some((first, _)) = sides.first() else { return Column::default() };
        if sides.iter().all(|(usual, _)| usual == first) {
            return *first;
        }
        let all_have = |column: &Column| {
            sides.iter().all(|(_, profile)| profile.column(column.bytes()).is_some())
        };
        let choice = [Column::Peak, Column::InUse, Column::Allocated];
        choice.into_iter().find(all_have).unwrap_or(*first)
    }
}

#[cfg(test)]
mod tests {
    use profile::ValueType;

    use super::*;
    use crate::sample_profile::{push_values, stack};

    #[test]
    fn every_word_is_read_as_its_column() {
        assert!(Column::ALL.into_iter().all(|it| Column::from_word(it.word()) == Some(it)));
        assert_eq!(Column::from_word("inuse_space"), None);
    }

    #[test]
    fn the_usual_column_is_the_moment_that_a_diagnosis_judges() {
        let of = |now: i64, most: i64, ending| {
            let mut profile = Profile::of_heap();
            let values = vec![1, now, 9, 9 * most, 1, most];
            push_values(&mut profile, "openssl", &stack(&[("SSL_new", "ssl/ssl_lib.c")]), values);
            Column::usual(&profile, ending)
        };
        assert_eq!(of(200, 1_000, Ending::ByItself), Column::Peak);
        assert_eq!(of(300, 1_000, Ending::ByItself), Column::InUse);
        assert_eq!(of(200, 1_000, Ending::Unknown), Column::InUse);
    }

    #[test]
    fn a_profile_of_allocations_alone_is_looked_at_as_such() {
        let kinds = [Metric::AllocObjects, Metric::AllocSpace];
        let types = kinds.map(|it| ValueType { kind: it.kind().into(), unit: it.unit().into() });
        let allocated = Profile::new(types.to_vec(), None);
        assert_eq!(Column::of(&allocated).collect::<Vec<_>>(), [Column::Allocated]);
        assert_eq!(Column::usual(&allocated, Ending::Unknown), Column::Allocated);
        let foreign = ValueType { kind: "samples".into(), unit: "count".into() };
        let foreign = Profile::new(vec![foreign], None);
        assert_eq!(Column::usual(&foreign, Ending::Unknown), Column::InUse);
    }

    #[test]
    fn captures_of_several_moments_have_their_peaks_in_common() {
        let [in_use, peak, allocated] = Column::ALL;
        let ours = Profile::of_heap();
        let kinds = [Metric::InuseSpace, Metric::AllocSpace];
        let types = kinds.map(|it| ValueType { kind: it.kind().into(), unit: it.unit().into() });
        let dump = Profile::new(types.to_vec(), None);
        let common = |sides: &[Column]| {
            Column::in_common(&sides.iter().map(|side| (*side, &ours)).collect::<Vec<_>>())
        };
        assert_eq!(common(&[in_use, in_use]), in_use);
        assert_eq!(common(&[in_use, peak]), peak);
        assert_eq!(common(&[peak, in_use, in_use]), peak);
        assert_eq!(common(&[allocated, allocated]), allocated);
        assert_eq!(common(&[]), in_use);
        assert_eq!(Column::in_common(&[(peak, &ours), (in_use, &dump)]), in_use);
    }
}
