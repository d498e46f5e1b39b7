//! Pairs of moments of one process, and how what memory follows differs between the two.

use crate::steps::Follows;
use crate::steps::looks::Looks;
use crate::steps::moments::Moments;

/// Moments of a pair are so far apart at most, by powers of two.
const FARTHEST: usize = 64;

/// So many pairs at most.
const MOST: usize = 2_000;

/// What memory may follow at once.
pub(super) const FOLLOWED: usize = 4;

/// Two moments of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub process: usize,
    pub from: usize,
    pub to: usize,
    /// By how much each of [`Pairs::follows`] differs.
    pub steps: [i64; FOLLOWED],
}

/// The pairs, and what can be told apart by them.
pub(super) struct Pairs {
    all: Vec<Pair>,
    follows: Vec<Follows>,
}

impl Pairs {
    /// Of these moments; `None` where no two of them differ in what memory follows.
    pub fn of(processes: &[&Looks], moments: &Moments<'_>) -> Option<Pairs> {
        let candidates: &[Follows] = if moments.tells_idle_apart() {
            &[Follows::Open, Follows::Idle, Follows::Threads, Follows::Made]
        } else {
            &[Follows::Open, Follows::Made]
        };
        let mut all = Vec::new();
        for (process, of) in moments.of_each().iter().enumerate() {
            let looks = processes[process];
            let open_files = moments.open_files(process);
            let mut apart = 1;
            while apart <= FARTHEST {
                for (from, to) in of.iter().zip(of.iter().skip(apart)) {
                    let (before, after) = (looks.numbers(*from), looks.numbers(*to));
                    let mut steps = [0; FOLLOWED];
                    for (step, follows) in steps.iter_mut().zip(candidates) {
                        *step = follows.number(&after, open_files)
                            - follows.number(&before, open_files);
                    }
                    if steps != [0; FOLLOWED] {
                        all.push(Pair { process, from: *from, to: *to, steps });
                    }
                }
                apart *= 2;
            }
        }
        let every = all.len().div_ceil(MOST).max(1);
        let mut all: Vec<Pair> = all.into_iter().step_by(every).collect();
        let follows = independent(&all, candidates);
        for pair in &mut all {
            let mut steps = [0; FOLLOWED];
            for (step, follows) in steps.iter_mut().zip(&follows) {
                let at = candidates.iter().position(|one| one == follows).unwrap_or_default();
                *step = pair.steps[at];
            }
            pair.steps = steps;
        }
        all.retain(|pair| pair.steps != [0; FOLLOWED]);
        (follows.first() == Some(&Follows::Open)).then_some(Pairs { all, follows })
    }

    /// The pairs.
    pub fn all(&self) -> &[Pair] {
        &self.all
    }

    /// What can be told apart; first of all what is open.
    pub fn follows(&self) -> &[Follows] {
        &self.follows
    }
}

/// The part of the steps of what memory may follow that must be its own, squared: a tenth of what
/// came and went.
const OWN: f64 = 0.01;

/// Those of which each differs in its own way: the others add nothing that can be told apart.
fn independent(pairs: &[Pair], candidates: &[Follows]) -> Vec<Follows> {
    // By Gram and Schmidt, over the pairs.
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut follows = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let steps: Vec<f64> = pairs.iter().map(|pair| pair.steps[at] as f64).collect();
        let own = |left: &[f64]| left.iter().map(|step| step * step).sum::<f64>();
        let mut left = steps.clone();
        for direction in &basis {
            let along: f64 = left.iter().zip(direction).map(|(step, unit)| step * unit).sum();
            for (step, unit) in left.iter_mut().zip(direction) {
                *step -= along * unit;
            }
        }
        let length = own(&left);
        if length > 0.0 && length >= OWN * own(&steps) {
            let length = length.sqrt();
            basis.push(left.into_iter().map(|step| step / length).collect());
            follows.push(*candidate);
        }
    }
    follows
}
