//! Why a program could not be recorded or looked into, and whose fault that is.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use attach::AttachError;
use capture::{CaptureError, Fault};
use finder::ElfError;
use thiserror::Error;

/// Why a program could not be recorded or looked into.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A file of the recording could not be read or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// There is no folder for the library to preload and the ledgers.
    #[error(
        "no folder is fit for a recording's library and ledgers ({obstacles}): name one in the \
         variable TMPDIR"
    )]
    NoPlace {
        /// What stands against each that was tried.
        obstacles: String,
    },
    /// A program was named that is nowhere on PATH.
    #[error("{} is not on PATH: give the path of its file", .0.display())]
    NotOnPath(OsString),
    /// Nothing in the program, and in what it starts, could be recorded: it was not started.
    #[error("{} was not started: it {why}", program.display())]
    NotRecordable {
        /// The program.
        program: OsString,
        /// Why, and what would help.
        why: &'static str,
    },
    /// The program could not be started.
    #[error("cannot start {}", program.display())]
    NotStarted {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a program or library is none for this machine, or is damaged.
    #[error("{}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ElfError,
    },
    /// A process was named that is not there.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// A process was named that the kernel lets this user not look into.
    #[error("cannot look into process {pid}, which takes its own user or root")]
    NotAllowed {
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something that a recording needs.
    #[error("cannot {what}")]
    System {
        /// What, as "listen for signals".
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program ran, and nothing of it was recorded.
    #[error("nothing was recorded: {why} (the program {ended})")]
    NothingRecorded {
        /// The reason, and what would help.
        why: String,
        /// How the program ended.
        ended: String,
    },
    /// The process cannot be attached to.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The process has nothing that could be recorded.
    #[error("process {pid} was not attached to: {why}")]
    NothingToAttachTo {
        /// The process.
        pid: u32,
        /// Why.
        why: String,
    },
    /// Of several processes, none can be attached to.
    #[error("{whom}: nobody was attached to: {why}")]
    NobodyToAttachTo {
        /// Which, in words.
        whom: String,
        /// Why.
        why: String,
    },
    /// There is no such control group.
    #[error(
        "{} is no control group: give its folder below /sys/fs/cgroup, its path as in \
         /proc/PID/cgroup, or a container's id of 12 digits or more",
        .0.display()
    )]
    NoCgroup(PathBuf),
    /// No group's name has the id.
    #[error(
        "no control group below /sys/fs/cgroup has container {0} in its name: it has ended, or its \
         groups are not to be seen from here; name a process of it (--pid), or its group"
    )]
    NoContainer(String),
    /// An id's beginning is that of several.
    #[error("the ids of {several} containers begin with {id} ({ids}): give more of it")]
    SeveralContainers {
        /// The beginning.
        id: String,
        /// How many.
        several: usize,
        /// Some of them.
        ids: String,
    },
    /// The search has an end.
    #[error(
        "container {id} was not found among the first {most} control groups: give the path of its \
         group, as /proc/PID/cgroup has it"
    )]
    TooManyGroups {
        /// The id.
        id: String,
        /// How many were looked at.
        most: usize,
    },
    /// Somebody else records the process.
    #[error(
        "process {pid} is recorded by another tlsheap, in {}: wait for its end, or end it",
        ledger.display()
    )]
    Taken {
        /// The process.
        pid: u32,
        /// What it counts in.
        ledger: PathBuf,
    },
    /// Somebody interrupted what the recording was a part of.
    #[error("interrupted")]
    Interrupted,
}

impl RecordingError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            RecordingError::NothingRecorded { .. }
            | RecordingError::NotRecordable { .. }
            | RecordingError::NothingToAttachTo { .. }
            | RecordingError::NobodyToAttachTo { .. } => Fault::Program,
            RecordingError::Interrupted => Fault::Interrupted,
            _ => Fault::User,
        }
    }

    /// For `map_err` behind a call that reads the file at `path`.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> RecordingError {
        let because = CaptureError::reading(path);
        |source| RecordingError::Capture(because(source))
    }

    /// For `map_err` behind a call that asks the system for something.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> RecordingError {
        move |source| RecordingError::System { what, source }
    }
}

/// An error and its causes on one line: what failed, and after each colon why.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(because) = cause {
        sentence += &format!(": {because}");
        cause = because.source();
    }
    sentence
}
