//! What of a profile's folded stacks can be drawn.

use std::collections::BTreeMap;

use profile::{Profile, folded};

/// Stacks with their sums, those above 0.
pub(crate) fn positive(profile: &Profile, column: usize) -> BTreeMap<String, u64> {
    let stacks = folded::stacks(profile, column);
    let drawn = stacks.filter_map(|(stack, sum)| Some((stack, u64::try_from(sum).ok()?)));
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use profile::{Function, Line, Location, Sample};

    use super::*;

    #[test]
    fn what_is_not_positive_has_no_width() {
        let mut profile = Profile::of_heap();
        for (name, bytes) in [("a", 5), ("b", 0), ("a", 6), ("c", -7)] {
            let function = profile.function(Function { name: name.into(), ..Function::default() });
            let lines = vec![Line { function, line: 1 }];
            let location = profile.location(Location { lines, ..Location::default() });
            let values = vec![1, bytes, 0, 0, 0, 0];
            profile.push(Sample { stack: vec![location], values, labels: Vec::new() });
        }
        assert_eq!(positive(&profile, 1), BTreeMap::from([("a".to_owned(), 11)]));
    }
}
