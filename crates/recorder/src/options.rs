//! What a host says of how its process is to be recorded.

use std::path::{Path, PathBuf};

use contract::PeakOf;
use ledger::Capacities;
use ledger_writer::addresses_are_limited;

use crate::blocks::FirstLevel;
use crate::error::InstallError;
use crate::sampling::SampleOptions;
use crate::stack::StackSource;

/// Where to count, how, and how much memory that may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where the ledger is made, and when.
    pub ledger: LedgerPlace,
    /// How stacks are read.
    pub stacks: StackSource,
    /// What becomes of processes that are forked from this one.
    pub children: Children,
    /// Sites that can be told apart in each ledger; further ones are counted together as dropped.
    pub sites: u32,
    /// Blocks that can be live at once; further ones are counted as untracked.
    pub blocks: u64,
    /// How large the table of those is at first.
    pub first_level: FirstLevel,
    /// Count a part of the blocks only; `None` counts every one.
    pub sample: Option<SampleOptions>,
    /// Of what the highest total is.
    pub peak_of: PeakOf,
    /// Called once for each ledger, with its path, before anything is counted in it; or with the
    /// reason why there is none. It must not call OpenSSL. A ledger that [`install`] itself cannot
    /// make is its error, and not told here.
    ///
    /// [`install`]: crate::install()
    pub begun: fn(Result<&Path, InstallError>),
}

/// Where a ledger is made, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerPlace {
    /// In a file of this path, which must not exist, at once.
    File(PathBuf),
    /// In this folder when OpenSSL allocates for the first time, so that a process which never does
    /// leaves nothing behind. The file has a name of its own that ends in `.ledger`.
    Folder(PathBuf),
}

/// What becomes of processes that are forked from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// The children run on, and nothing is counted in them.
    Unrecorded,
    /// Each gets a ledger of its own at its first allocation, under a name of its own: in the
    /// folder, or beside the file. What it has from its parent is kept apart in it.
    Recorded,
}

/// Of a program that nobody knows: a test suite may allocate at some hundred thousand. Room that is
/// not used takes addresses and nothing else.
const MANY_SITES: u32 = 1 << 20;

impl Options {
    /// For a program that knows where its ledger is to be: made at once, and its children are not
    /// recorded. The sizes are the usual ones: 65,536 sites (about a tenth of it is used by a TLS
    /// server), 100 million live blocks. Memory is taken as it is needed, not ahead.
    pub fn at(ledger: impl Into<PathBuf>, stacks: StackSource) -> Options {
        Options::new(LedgerPlace::File(ledger.into()), stacks, Children::Unrecorded)
    }

    /// For a program that may have no OpenSSL, or that forks: each process gets a ledger in
    /// `folder` once it allocates. There is room for 1,048,576 sites, or, where the process may not
    /// have as many addresses as it likes (RLIMIT_AS), for those of [`Options::at`].
    pub fn in_folder(folder: impl Into<PathBuf>, stacks: StackSource) -> Options {
        let sites = if addresses_are_limited() { Capacities::default().sites } else { MANY_SITES };
        let place = LedgerPlace::Folder(folder.into());
        Options { sites, ..Options::new(place, stacks, Children::Recorded) }
    }

    fn new(ledger: LedgerPlace, stacks: StackSource, children: Children) -> Options {
        let sites = Capacities::default().sites;
        let begun = |_: Result<&Path, InstallError>| {};
        Options {
            ledger,
            stacks,
            children,
            sites,
            blocks: 100_000_000,
            first_level: FirstLevel::Small,
            sample: None,
            peak_of: PeakOf::All,
            begun,
        }
    }

    /// The options with an absolute path, if there is one: a program may change its folder before
    /// it forks.
    pub(crate) fn absolute(mut self) -> Options {
        let (LedgerPlace::File(path) | LedgerPlace::Folder(path)) = &mut self.ledger;
        if let Ok(absolute) = std::path::absolute(&path) {
            *path = absolute;
        }
        self
    }
}
