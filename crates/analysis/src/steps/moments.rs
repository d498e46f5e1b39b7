//! Which looks are used.

use crate::steps::looks::Looks;

/// After so many connections what is paid once is paid.
pub(super) const WARM: i64 = 16;

/// What is not a whole number for each connection does not divide by so many.
pub(super) const FAR: i64 = 8;

/// The part of the still moments with one and the same number of connections that may be half a
/// connection apart before something is taken to be hidden.
const HIDDEN: f64 = 0.02;

/// From which looks a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Still moments after the first connections alone.
    Still,
    /// All looks, many of them with connections in mid-handshake.
    Any,
}

/// The looks that are used of each process.
pub(super) struct Moments {
    pub tier: Tier,
    /// Objects that are closed and not freed are told apart by open files.
    pub hidden: bool,
    of: Vec<Vec<usize>>,
}

impl Moments {
    /// Still moments after the first connections, where there is a change between any.
    pub fn still(processes: &[&Looks], hidden: bool) -> Option<Moments> {
        let is_warm = |looks: &Looks, look: usize| looks.numbers(look).made >= WARM;
        let moments = Moments::that(processes, Tier::Still, hidden, |looks, look| {
            looks.is_still(look) && is_warm(looks, look)
        });
        (moments.changes(processes) > 0).then_some(moments)
    }

    /// Still moments, the cold ones among them, where there is a change between any.
    pub fn any_still(processes: &[&Looks], hidden: bool) -> Option<Moments> {
        let moments = Moments::that(processes, Tier::Any, hidden, Looks::is_still);
        (moments.changes(processes) > 0).then_some(moments)
    }

    /// All looks.
    pub fn all(processes: &[&Looks], hidden: bool) -> Moments {
        Moments::that(processes, Tier::Any, hidden, |_, _| true)
    }

    fn that(
        processes: &[&Looks],
        tier: Tier,
        hidden: bool,
        wanted: impl Fn(&Looks, usize) -> bool,
    ) -> Moments {
        let of = processes
            .iter()
            .map(|looks| (0..looks.len()).filter(|look| wanted(looks, *look)).collect())
            .collect();
        Moments { tier, hidden, of }
    }

    /// The looks of each process, in its order.
    pub fn of_each(&self) -> &[Vec<usize>] {
        &self.of
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.of.iter().map(Vec::len).sum()
    }

    /// How often the number of connections is another than at the moment before.
    pub fn changes(&self, processes: &[&Looks]) -> usize {
        let differ = |looks: &Looks, pair: &[usize]| {
            looks.numbers(pair[0]).live != looks.numbers(pair[1]).live
        };
        let of_one = |(looks, of): (&&Looks, &Vec<usize>)| {
            of.windows(2).filter(|pair| differ(looks, pair)).count()
        };
        processes.iter().zip(&self.of).map(of_one).sum()
    }
}

/// Whether there are objects that are closed and not freed, in every process with their open files
/// counted: still moments with as many live objects then hold more than half a connection more or
/// less.
pub(super) fn has_hidden(processes: &[&Looks]) -> bool {
    let (mut apart, mut all) = (0_usize, 0_usize);
    for looks in processes {
        let still: Vec<usize> = (0..looks.len())
            .filter(|look| looks.is_still(*look) && looks.numbers(*look).made >= WARM)
            .collect();
        if still.iter().any(|look| looks.numbers(*look).files.is_none()) {
            return false;
        }
        let totals = looks.totals();
        let (Some(least), Some(most)) = (
            still.iter().min_by_key(|look| looks.numbers(**look).live),
            still.iter().max_by_key(|look| looks.numbers(**look).live),
        ) else {
            continue;
        };
        let live = looks.numbers(*most).live - looks.numbers(*least).live;
        if live == 0 {
            continue;
        }
        let each = (totals[*most] - totals[*least]) as f64 / live as f64;
        for (at, one) in still.iter().enumerate() {
            let now = looks.numbers(*one);
            let same = still[at + 1..].iter().find(|other| {
                let then = looks.numbers(**other);
                then.live == now.live && now.live > 0
            });
            if let Some(other) = same {
                all += 1;
                let bytes = (totals[*one] - totals[*other]).abs() as f64;
                apart += usize::from(bytes > each.abs() / 2.0);
            }
        }
    }
    all > 0 && apart as f64 > HIDDEN * all as f64
}
