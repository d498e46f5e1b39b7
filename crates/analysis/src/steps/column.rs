//! What one line holds for each of what memory may follow.

use std::collections::BTreeMap;

use crate::steps::level::with_margins;
use crate::steps::looks::Looks;
use crate::steps::moments::{Moments, Tier, WARM};
use crate::steps::pairs::{FOLLOWED, Pairs};
use crate::steps::vote::{Majority, Steps, Vote};
use crate::steps::{Each, Follows, Interval};

/// The part of the pairs of still moments that has to agree: without a number that nearly all have
/// there are two kinds of connections, or something hidden.
const OF_STILL: Majority = Majority(0.8);

/// The part of the pairs of all looks.
const OF_ANY: Majority = Majority(0.25);

/// From so many changes of the number of connections on, a line is laid through all levels.
const ENOUGH_FOR_A_LINE: usize = 16;

/// What is less than a whole block by this part is taken for one.
const SLACK: f64 = 0.05;

/// What one line holds.
pub(super) struct Column {
    pub each: BTreeMap<Follows, Each>,
    /// Of the bytes of each open connection.
    pub interval: Interval,
    /// A whole number won.
    pub sure: bool,
}

/// What the line holds by the moments and their pairs.
pub(super) fn column(
    processes: &[&Looks],
    moments: &Moments<'_>,
    pairs: &Pairs,
    line: u32,
) -> Column {
    let held: Vec<Vec<(i64, i64)>> = processes.iter().map(|looks| looks.column(line)).collect();
    let (mut blocks, mut bytes, mut before) = (Vec::new(), Vec::new(), Vec::new());
    for pair in pairs.all() {
        let (from, to) = (held[pair.process][pair.from], held[pair.process][pair.to]);
        blocks.push(to.0 - from.0);
        bytes.push(to.1 - from.1);
        let numbers = processes[pair.process].numbers(pair.from);
        before.push((numbers.live, numbers.made));
    }
    if blocks.iter().chain(&bytes).all(|step| *step == 0) {
        return Column { each: BTreeMap::new(), interval: Interval::default(), sure: true };
    }
    let followed = pairs.follows().len();
    let steps =
        Steps { pairs: pairs.all(), before: &before, blocks: &blocks, bytes: &bytes, followed };
    let majority = if moments.tier == Tier::Still { OF_STILL } else { OF_ANY };
    let vote = steps.vote(majority);
    if let Some(vote) = vote.filter(|vote| vote.is_sure) {
        let open = vote.bytes[0];
        return Column {
            each: by_number(pairs, &vote.blocks, &vote.bytes),
            interval: Interval { low: open, high: open },
            sure: true,
        };
    }
    let line = (moments.changes(processes) >= ENOUGH_FOR_A_LINE)
        .then(|| through_all(processes, moments, pairs, &held))
        .flatten();
    line.unwrap_or_else(|| between_extremes(processes, moments, &held, vote.as_ref()))
}

fn by_number(
    pairs: &Pairs,
    blocks: &[f64; FOLLOWED],
    bytes: &[f64; FOLLOWED],
) -> BTreeMap<Follows, Each> {
    let numbers =
        blocks.iter().zip(bytes).map(|(blocks, bytes)| Each { bytes: *bytes, blocks: *blocks });
    pairs.follows().iter().copied().zip(numbers).collect()
}

/// Rows for a line: what memory may follow, and blocks and bytes of each row.
#[derive(Default)]
struct Rows {
    numbers: Vec<Vec<f64>>,
    blocks: Vec<f64>,
    bytes: Vec<f64>,
}

impl Rows {
    fn push(&mut self, row: Vec<f64>, held: (i64, i64)) {
        self.numbers.push(row);
        self.blocks.push(held.0 as f64);
        self.bytes.push(held.1 as f64);
    }

    /// The levels of all warm moments; each process has its own beginning.
    fn of_levels(
        processes: &[&Looks],
        moments: &Moments<'_>,
        follows: &[Follows],
        held: &[Vec<(i64, i64)>],
    ) -> Rows {
        let mut rows = Rows::default();
        for (process, of) in moments.of_each().iter().enumerate() {
            for look in of {
                let numbers = processes[process].numbers(*look);
                if numbers.made >= WARM {
                    let own = |other: usize| f64::from(u8::from(other == process));
                    let number = |follows: &Follows| {
                        follows.number(&numbers, moments.open_files(process)) as f64
                    };
                    let row = follows.iter().map(number).chain((0..processes.len()).map(own));
                    rows.push(row.collect(), held[process][*look]);
                }
            }
        }
        rows
    }

    /// The steps from each still moment to the next: which kinds of connections are there changes
    /// slowly, and levels would have the same chance in them many times.
    fn of_steps(
        processes: &[&Looks],
        moments: &Moments<'_>,
        follows: &[Follows],
        held: &[Vec<(i64, i64)>],
    ) -> Rows {
        let mut rows = Rows::default();
        for (process, of) in moments.of_each().iter().enumerate() {
            for pair in of.windows(2) {
                let [before, after] = [pair[0], pair[1]].map(|at| processes[process].numbers(at));
                let step = |follows: &Follows| {
                    let number = |numbers| follows.number(numbers, moments.open_files(process));
                    (number(&after) - number(&before)) as f64
                };
                let [before, after] = [pair[0], pair[1]].map(|at| held[process][at]);
                let row = follows.iter().map(step).collect();
                rows.push(row, (after.0 - before.0, after.1 - before.1));
            }
        }
        rows
    }
}

/// By a line through all that was seen.
fn through_all(
    processes: &[&Looks],
    moments: &Moments<'_>,
    pairs: &Pairs,
    held: &[Vec<(i64, i64)>],
) -> Option<Column> {
    let of = if moments.tier == Tier::Still { Rows::of_steps } else { Rows::of_levels };
    let Rows { numbers: rows, blocks, bytes } = of(processes, moments, pairs.follows(), held);
    // A process without a warm moment has no beginning to be found.
    let mut used: Vec<usize> =
        (0..rows.first()?.len()).filter(|at| rows.iter().any(|row| row[*at] != 0.0)).collect();
    let followed = pairs.follows();
    let (of_bytes, margins, of_blocks) = loop {
        let rows: Vec<Vec<f64>> =
            rows.iter().map(|row| used.iter().map(|at| row[*at]).collect()).collect();
        let (of_bytes, margins) = with_margins(&rows, &bytes)?;
        // Nothing that comes takes memory away: where the line says so, that is a chance.
        let less = (1..used.len()).find(|at| used[*at] < followed.len() && of_bytes[*at] < 0.0);
        match less {
            Some(at) => drop(used.remove(at)),
            None => break (of_bytes, margins, with_margins(&rows, &blocks)?.0),
        }
    };
    let number = |at: usize| match used.iter().position(|used| *used == at) {
        Some(found) => Each { bytes: of_bytes[found], blocks: of_blocks[found] },
        None => Each::default(),
    };
    let each: BTreeMap<Follows, Each> =
        followed.iter().enumerate().map(|(at, follows)| (*follows, number(at))).collect();
    let open = each.get(&Follows::Open)?.bytes;
    let interval = Interval { low: open - margins[0], high: open + margins[0] };
    Some(Column { each, interval, sure: false })
}

/// Between the moments with the fewest and the most connections: what is left beside whole blocks
/// for each connection was paid once, or it was not.
fn between_extremes(
    processes: &[&Looks],
    moments: &Moments<'_>,
    held: &[Vec<(i64, i64)>],
    vote: Option<&Vote>,
) -> Column {
    let mut extremes: Option<(i64, usize, usize, usize)> = None;
    for (process, of) in moments.of_each().iter().enumerate() {
        let live = |look: &&usize| processes[process].numbers(**look).live;
        let (Some(fewest), Some(most)) = (of.iter().min_by_key(live), of.iter().max_by_key(live))
        else {
            continue;
        };
        let apart = live(&most) - live(&fewest);
        if apart > extremes.map_or(0, |(apart, ..)| apart) {
            extremes = Some((apart, process, *fewest, *most));
        }
    }
    let nothing = Column { each: BTreeMap::new(), interval: Interval::default(), sure: false };
    let Some((apart, process, fewest, most)) = extremes else { return nothing };
    let (before, after) = (held[process][fewest], held[process][most]);
    let (blocks, bytes) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    let share = blocks / apart as f64;
    let whole = (share * (1.0 + SLACK)).floor().max(0.0);
    let of_block = if blocks == 0.0 { 0.0 } else { bytes / blocks };
    let (less, all) = (whole * of_block, bytes / apart as f64);
    let voted = vote.map_or(less, |vote| vote.bytes[0]);
    let open = Each { bytes: less, blocks: whole };
    Column {
        each: [(Follows::Open, open)].into(),
        interval: Interval { low: less.min(all).min(voted), high: less.max(all).max(voted) },
        sure: false,
    }
}
