//! What sites are told apart by.

use contract::Source;

/// What tells one site from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteKey<'a> {
    /// The code that allocates there.
    pub source: Source,
    /// Where the name of its file lies in the program, or 0.
    pub file_pointer: usize,
    /// The line in that file.
    pub line: u32,
    /// The size of each block, in bytes, in a sampled ledger; 0 in others.
    pub block_bytes: u64,
    /// Return addresses, innermost first; at most
    /// [`FRAMES_PER_SITE`](ledger::FRAMES_PER_SITE).
    pub frames: &'a [usize],
}

/// The number of a site. Number 0 is no site: it stands for allocations whose site was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteId(u32);

impl SiteId {
    /// Allocations whose site did not fit.
    pub const DROPPED: SiteId = SiteId(0);

    /// The number, at most [`Capacities::MOST_SITES`](ledger::Capacities::MOST_SITES).
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The site with a number that [`SiteId::number`] gave.
    #[inline]
    pub fn from_number(number: u32) -> SiteId {
        SiteId(number)
    }
}

/// Where a stack ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackEnd {
    /// At its root, as far as could be seen.
    Root,
    /// Before that: there were more frames than are kept.
    Cut,
    /// Before that: it could not be followed further.
    Lost,
}
