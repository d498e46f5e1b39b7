//! Connections that are open, by open files, where SSL objects outlive their connections: a
//! collector frees them when it likes, a pool keeps them.

use std::collections::BTreeMap;

use crate::steps::looks::{Looks, Numbers};

/// How open files follow open connections in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFiles {
    /// Files of each connection: a proxy has two.
    each: i64,
    /// Other files.
    others: i64,
}

/// Objects that outlive their connections are looked for when at some still moment there are so
/// many, or a tenth of the most that were live.
const SOME: i64 = 4;

/// A connection has so many files at most.
const MOST_EACH: i64 = 4;

impl OpenFiles {
    /// How many connections are open.
    pub fn connections(self, numbers: &Numbers) -> i64 {
        let files = numbers.files.unwrap_or(self.others);
        (files - self.others).div_euclid(self.each)
    }

    /// Of each process, where in any there may be objects that outlive their connections, and every
    /// process's files are known.
    pub fn of(processes: &[&Looks]) -> Option<Vec<OpenFiles>> {
        let each = files_of_each(processes);
        let all: Option<Vec<OpenFiles>> =
            processes.iter().map(|looks| OpenFiles::of_one(looks, each)).collect();
        let all = all?;
        let outlive = |(looks, files): (&&Looks, &OpenFiles)| {
            let numbers: Vec<Numbers> =
                quiet(looks).into_iter().map(|look| looks.numbers(look)).collect();
            let idle = |numbers: &Numbers| numbers.live - files.connections(numbers);
            let mut all: Vec<i64> = numbers.iter().map(idle).collect();
            all.sort_unstable();
            let most_live = numbers.iter().map(|numbers| numbers.live).max().unwrap_or_default();
            // In motion, objects that are about to be freed are no others.
            let still = numbers.len() < looks.len();
            let at = if still { all.len().saturating_sub(1) } else { all.len() / 2 };
            all.get(at).is_some_and(|idle| *idle >= SOME && 10 * idle >= most_live)
        };
        processes.iter().zip(&all).any(outlive).then_some(all)
    }

    fn of_one(looks: &Looks, each: i64) -> Option<OpenFiles> {
        // At the moment at which no object outlives its connection there are most others.
        let mut others = None;
        for look in quiet(looks) {
            let numbers = looks.numbers(look);
            others = others.max(Some(numbers.files? - each * numbers.live));
        }
        Some(OpenFiles { each, others: others? })
    }
}

/// The still moments; where there are none, all.
fn quiet(looks: &Looks) -> Vec<usize> {
    let still: Vec<usize> = (0..looks.len()).filter(|look| looks.is_still(*look)).collect();
    if still.is_empty() { (0..looks.len()).collect() } else { still }
}

/// By how many files most steps went up for each connection that came, while none went.
fn files_of_each(processes: &[&Looks]) -> i64 {
    let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
    for looks in processes {
        for look in 1..looks.len() {
            let (before, after) = (looks.numbers(look - 1), looks.numbers(look));
            let live = after.live - before.live;
            let (Some(fewer), Some(more)) = (before.files, after.files) else { continue };
            let files = more - fewer;
            if live > 0 && live == after.made - before.made && files % live == 0 {
                *votes.entry(files / live).or_default() += 1;
            }
        }
    }
    votes.retain(|each, _| (1..=MOST_EACH).contains(each));
    let most = votes.into_iter().max_by_key(|(each, votes)| (*votes, -each));
    most.map_or(1, |(each, _)| each)
}
