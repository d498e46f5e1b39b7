//! What one connection costs, from how memory moves with the number of connections between looks.
//!
//! A look is one reading of a process's ledger from outside, with the number of SSL objects at that
//! moment. What each line of OpenSSL's holds moves with that number in whole blocks: `Δblocks =
//! b · Δlive + c · Δmade`, exactly, whatever the process held before, for ever, or paid once. So
//! the whole numbers b and c can be voted for by pairs of looks, and nobody has to rest before the
//! first connection, or to look at a good moment ([`estimate`]).
//!
//! * **Still moments** (nothing had changed since the look before) after the first connections are
//!   enough where there are some: between them every pair agrees.
//! * Otherwise all looks are used. In most of them some connection is in mid-handshake, but that
//!   moves a line away from its whole number in any direction, and the votes of what is at rest
//!   come together.
//!
//! Where no number wins, a line through all levels says how much it may be, with an interval.

mod column;
mod level;
mod looks;
mod moments;
mod open_files;
mod pairs;
mod vote;

use std::collections::BTreeMap;

pub use looks::{Look, Looks, Numbers};
pub use moments::{Tier, WARM};

use crate::steps::column::{Column, column};
use crate::steps::moments::Moments;
use crate::steps::open_files::OpenFiles;
use crate::steps::pairs::{FOLLOWED, Pairs};

/// What a process's memory may follow, in the order in which each is given its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Follows {
    /// Connections that are open: live SSL objects, or those that have a socket where others are
    /// closed and not yet freed.
    Open,
    /// SSL objects that are closed and not freed: a collector or a pool has them.
    Idle,
    /// Threads.
    Threads,
    /// Connections ever made: what each leaves behind.
    Made,
}

/// Bytes and blocks for each of something.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Each {
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
}

/// What lies between `low` and `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// The least it may be.
    pub low: f64,
    /// The most it may be.
    pub high: f64,
}

/// What one connection costs.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// What each open connection holds.
    pub open: Each,
    /// Its bytes lie in this.
    pub interval: Interval,
    /// What each SSL object holds that is closed and not freed; `None` where there were none.
    pub idle: Option<Each>,
    /// What each thread holds; `None` where threads were not told apart from connections.
    pub thread: Option<Each>,
    /// What each connection leaves behind when it has gone; `None` where none was closed.
    pub left: Option<Each>,
    /// From which looks.
    pub tier: Tier,
    /// Looks that were used.
    pub looks: usize,
    /// How often the number of connections was another than at the look before.
    pub changes: usize,
    /// The part of the bytes for which a whole number won, from 0 to 1.
    pub sure: f64,
    /// Some objects have outlived their connections, and are not told apart: the figure is of an
    /// object.
    pub mixed: bool,
    /// Bytes paid once: held at the last look, by neither connections nor anything else that is
    /// told apart, and not held before the first connection. `None` where the processes did not
    /// stand still before it.
    pub once_bytes: Option<f64>,
    /// Open connections of each process, in the order of the processes: at its last look, or
    /// at the one that was marked ([`Looks::mark`]).
    pub open_connections: Vec<i64>,
    /// SSL objects that were closed and not freed at these looks.
    pub idle_objects: i64,
    /// What each open connection holds at each line, by the line's number; without lines that hold
    /// nothing for it.
    pub lines: BTreeMap<u32, Each>,
}

/// Fewer changes of the number of connections than this are taken for a chance.
pub const FEW_CHANGES: usize = 4;

/// So many it takes where connections are in mid-handshake at most looks and not all lines agree on
/// whole numbers: by fewer, what is paid once is in the figure, and two still moments, one before the
/// connections, say more.
const IN_MOTION: usize = 8;

/// The part of the bytes for which a whole number has to win.
const SURE: f64 = 0.95;

/// What an open connection and a closed object hold is the same within this part.
const SAME: f64 = 0.01;

/// So many looks in motion it takes to tell closed objects apart: twice as many as there are things that
/// memory may follow. By fewer, one look at which files were counted a moment later than objects
/// has them all come out even, and wrong.
const APART_BY: usize = 2 * FOLLOWED;

/// How wide the interval may be, in parts of the figure, for the figure to be said without it.
const NARROW: f64 = 0.001;

impl StepCost {
    /// Whether the figure is better than what two moments say: a few looks at connections that all
    /// come at once say less than a moment before them.
    pub fn is_told(&self) -> bool {
        is_told(self.tier, self.changes, self.open.bytes, self.interval)
    }

    /// Whether the figure may be said without its interval.
    pub fn is_certain(&self) -> bool {
        !self.mixed
            && self.is_told()
            && self.sure >= SURE
            && self.interval.is_narrow(self.open.bytes)
    }
}

impl Interval {
    /// Whether its ends are the same as the figure in it, but for rounding.
    fn is_narrow(self, bytes: f64) -> bool {
        self.high - self.low <= NARROW * bytes.abs()
    }
}

/// [`StepCost::is_told`] by what a record has kept of it: `bytes` of each, within `interval`.
pub fn is_told(tier: Tier, changes: usize, bytes: f64, interval: Interval) -> bool {
    let of_few = changes >= FEW_CHANGES && interval.is_narrow(bytes);
    tier == Tier::Still || changes >= IN_MOTION || of_few
}

/// What one connection costs in these processes, of which each has made some; `None` where nothing
/// can be said: the number of connections never changed after the first look, or their memory did
/// not change with it.
pub fn estimate(processes: &[&Looks]) -> Option<StepCost> {
    let open_files = OpenFiles::of(processes);
    let apart = open_files.as_deref().and_then(|files| by_moments(processes, Some(files)));
    // What an object holds may be the same whether its connection is open or not; then other
    // files came and went.
    match apart {
        Some(cost) if cost.tells_idle_apart() && cost.has_enough_to_tell_apart() => Some(cost),
        Some(cost) => {
            let mixed = cost.tells_idle_apart();
            by_moments(processes, None).map(|cost| StepCost { mixed, ..cost })
        }
        // There are such objects, and connections are not told apart from them.
        None => {
            by_moments(processes, None).map(|cost| StepCost { mixed: open_files.is_some(), ..cost })
        }
    }
}

fn by_moments(processes: &[&Looks], open_files: Option<&[OpenFiles]>) -> Option<StepCost> {
    let warm = Moments::still(processes, open_files);
    let all = Moments::all(processes, open_files);
    let chosen = warm.as_ref().unwrap_or(&all);
    let cost = of_moments(processes, chosen)?;
    let cross_check = match chosen.tier {
        Tier::Still => None,
        // Cold ones among them: what was paid once may be in their figure, so it is a bound.
        Tier::Any => Moments::any_still(processes, open_files)
            .and_then(|moments| of_moments(processes, &moments)),
    };
    Some(match cross_check {
        Some(other) => cost.spanning(&other),
        None => cost,
    })
}

impl StepCost {
    /// Whether closed objects hold something else than open connections.
    fn tells_idle_apart(&self) -> bool {
        let differ = |idle: Each| (idle.bytes - self.open.bytes).abs() > SAME * self.open.bytes;
        self.idle.is_some_and(differ)
    }

    /// At still moments files and objects are counted of one state, and few are enough.
    fn has_enough_to_tell_apart(&self) -> bool {
        self.tier == Tier::Still || self.looks >= APART_BY
    }

    /// With an interval that has the figure of other moments in it.
    fn spanning(mut self, other: &StepCost) -> StepCost {
        self.interval.low = self.interval.low.min(other.open.bytes);
        self.interval.high = self.interval.high.max(other.open.bytes);
        self
    }
}

fn of_moments(processes: &[&Looks], moments: &Moments<'_>) -> Option<StepCost> {
    let pairs = Pairs::of(processes, moments)?;
    let mut cost = StepCost {
        open: Each::default(),
        interval: Interval::default(),
        idle: None,
        thread: None,
        left: None,
        tier: moments.tier,
        looks: moments.count(),
        changes: moments.changes(processes),
        sure: 1.0,
        mixed: false,
        once_bytes: None,
        open_connections: Vec::new(),
        idle_objects: 0,
        lines: BTreeMap::new(),
    };
    let mut parts: BTreeMap<Follows, Each> =
        pairs.follows().iter().map(|follows| (*follows, Each::default())).collect();
    let (mut sure_bytes, mut all_bytes) = (0.0, 0.0);
    let mut by_process = vec![0.0; processes.len()];
    for line in looks::lines(processes) {
        let Column { each, interval, sure } = column(processes, moments, &pairs, line);
        for (follows, each) in &each {
            parts.entry(*follows).or_default().add(*each);
        }
        let open = each.get(&Follows::Open).copied().unwrap_or_default();
        cost.interval.low += interval.low;
        cost.interval.high += interval.high;
        all_bytes += open.bytes.abs();
        if sure {
            sure_bytes += open.bytes.abs();
        }
        if open != Each::default() {
            cost.lines.insert(line, open);
        }
        for (looks, once) in processes.iter().zip(&mut by_process) {
            *once += looks.grown_since_the_first_object(line) as f64;
        }
    }
    let mut once_bytes = 0.0;
    for (process, (looks, grown)) in processes.iter().zip(by_process).enumerate() {
        let open_files = moments.open_files(process);
        let numbers = looks.since_the_first_object(open_files);
        let each = |follows| parts.get(follows).copied().unwrap_or_default().bytes;
        let held: f64 =
            numbers.iter().map(|(follows, number)| each(follows) * *number as f64).sum();
        once_bytes += grown - held;
        let counted = looks.at_the_mark(open_files);
        let number = |follows| counted.get(&follows).copied().unwrap_or_default();
        let live = number(Follows::Open) + number(Follows::Idle);
        let open = number(Follows::Open).clamp(0, live.max(0));
        cost.open_connections.push(open);
        cost.idle_objects += live - open;
    }
    let known = processes.iter().all(|looks| looks.stood_still_before());
    cost.once_bytes = known.then_some(once_bytes);
    cost.open = parts.get(&Follows::Open).copied().unwrap_or_default();
    cost.idle = parts.get(&Follows::Idle).copied();
    cost.thread = parts.get(&Follows::Threads).copied();
    cost.left = parts.get(&Follows::Made).copied();
    cost.sure = if all_bytes > 0.0 { sure_bytes / all_bytes } else { 1.0 };
    (cost.open.bytes > 0.0).then_some(cost)
}

impl Each {
    fn add(&mut self, other: Each) {
        self.bytes += other.bytes;
        self.blocks += other.blocks;
    }
}

#[cfg(test)]
mod tests;
