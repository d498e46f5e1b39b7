//! Which looks are used.

use crate::steps::looks::Looks;
use crate::steps::open_files::OpenFiles;

/// After so many connections what is paid once is paid.
pub const WARM: i64 = 16;

/// What is not a whole number for each connection does not divide by so many.
pub(super) const FAR: i64 = 8;

/// From which looks a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Still moments after the first connections alone.
    Still,
    /// All looks, many of them with connections in mid-handshake.
    Any,
}

/// The looks that are used of each process.
pub(super) struct Moments<'a> {
    pub tier: Tier,
    /// Of each process, where objects that outlive their connections are told apart.
    open_files: Option<&'a [OpenFiles]>,
    of: Vec<Vec<usize>>,
}

impl<'a> Moments<'a> {
    /// Still moments after the first connections, where there is a change between any.
    pub fn still(processes: &[&Looks], open_files: Option<&'a [OpenFiles]>) -> Option<Moments<'a>> {
        let is_warm = |looks: &Looks, look: usize| looks.numbers(look).made >= WARM;
        let moments = Moments::that(processes, Tier::Still, open_files, |looks, look| {
            looks.is_still(look) && is_warm(looks, look)
        });
        (moments.changes(processes) > 0).then_some(moments)
    }

    /// Still moments, the cold ones among them, where there is a change between any.
    pub fn any_still(
        processes: &[&Looks],
        open_files: Option<&'a [OpenFiles]>,
    ) -> Option<Moments<'a>> {
        let moments = Moments::that(processes, Tier::Any, open_files, Looks::is_still);
        (moments.changes(processes) > 0).then_some(moments)
    }

    /// All looks.
    pub fn all(processes: &[&Looks], open_files: Option<&'a [OpenFiles]>) -> Moments<'a> {
        Moments::that(processes, Tier::Any, open_files, |_, _| true)
    }

    fn that(
        processes: &[&Looks],
        tier: Tier,
        open_files: Option<&'a [OpenFiles]>,
        wanted: impl Fn(&Looks, usize) -> bool,
    ) -> Moments<'a> {
        let of = processes
            .iter()
            .map(|looks| (0..looks.len()).filter(|look| wanted(looks, *look)).collect())
            .collect();
        Moments { tier, open_files, of }
    }

    /// What tells open connections apart in a process, from other objects.
    pub fn open_files(&self, process: usize) -> Option<OpenFiles> {
        self.open_files.map(|of| of[process])
    }

    /// Whether objects that outlive their connections are told apart.
    pub fn tells_idle_apart(&self) -> bool {
        self.open_files.is_some()
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
