//! What to record, and how.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Once};
use std::time::Duration;

use capture::Capture;
use capture::machine::MadeBy;
use contract::Scope;
use ledger::Sampling;

use crate::attached::AttachTo;
use crate::control::Control;
use crate::goals::Goals;
use crate::{RecordingError, kernel};

/// What to record, and how.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// The program and its arguments; the program at least.
    pub command: Vec<OsString>,
    /// The processes to attach to in place of starting the program, and to let go again.
    pub attach_to: Option<AttachTo>,
    /// What is said of the connections that those had before.
    pub earlier: Earlier,
    /// Whether the capture says with which arguments the program was started.
    pub arguments: Arguments,
    /// What to wait for.
    pub goals: Goals,
    /// How often to keep a capture as well until then.
    pub every: Option<Duration>,
    /// Counts only a part of the blocks.
    pub sample: Option<Sampling>,
    /// Variables that the program gets besides its own and the recorder's.
    pub environment: Vec<(OsString, OsString)>,
    /// What is recorded of each process.
    pub scope: Scope,
    /// How Python's objects are counted, where more is recorded than OpenSSL's memory.
    pub python: PythonObjects,
    /// What becomes of the program's input and output.
    pub streams: Streams,
    /// What an interrupt does.
    pub at_interrupt: AtInterrupt,
    /// Is handed the capture while the program goes on, where that takes its time to end.
    pub keep: Keep,
    /// Is told what cannot wait until the program has ended.
    pub notice: Notice,
    /// Steers the recording from elsewhere.
    pub control: Control,
    /// What is said of the program that records.
    pub made_by: MadeBy,
}

/// What becomes of the SSL objects that a process has before it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Earlier {
    /// Nothing is known of them.
    LeftOut,
    /// Their number is found by a scan of the process's memory, which reads it.
    Counted,
}

/// What becomes of the program's arguments, which may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arguments {
    /// They are in the capture, behind the program.
    Kept,
    /// The capture names the program alone.
    LeftOut,
}

/// How Python's objects are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PythonObjects {
    /// By what the interpreter asks malloc for and maps for them: arenas, for most.
    InArenas,
    /// One by one, by who asks the interpreter for them; what they lie in is not counted then.
    OneByOne,
}

/// What becomes of the program's standard input, output and error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Streams {
    /// The program has this process's own.
    Own,
    /// The program reads nothing, and all that it writes goes to this file.
    Log(File),
}

/// What Ctrl-C does, and SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtInterrupt {
    /// The capture is made, and the signal is passed on to the program. One that has not ended 15
    /// seconds after a SIGTERM, or at the second one, is killed with all that it has started.
    Capture,
    /// The program is ended, and the recording is given up.
    GiveUp,
}

/// Keeps a capture before it is known how the program ends, where that is not at once: whoever has
/// sent a signal may not wait for it, and kill this process too. What the recording returns in the
/// end takes its place.
#[derive(Clone, Default)]
pub struct Keep(Option<Arc<Keeping>>);

type Keeping = dyn Fn(&Capture) + Send + Sync;

impl Keep {
    /// Keeps captures with `keeping`, which is called once at most.
    pub fn with(keeping: impl Fn(&Capture) + Send + Sync + 'static) -> Keep {
        Keep(Some(Arc::new(keeping)))
    }

    pub(crate) fn keeping(&self) -> Option<&Keeping> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(if self.0.is_some() { "Keep(..)" } else { "Keep(nothing)" })
    }
}

/// Is told, once at most, while the program runs, why what is waited for cannot come.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Noticed>>);

struct Noticed {
    tell: Box<dyn Fn(&str) + Send + Sync>,
    once: Once,
}

impl Notice {
    /// Tells it with `tell`, in a sentence.
    pub fn with(tell: impl Fn(&str) + Send + Sync + 'static) -> Notice {
        Notice(Some(Arc::new(Noticed { tell: Box::new(tell), once: Once::new() })))
    }

    pub(crate) fn tell(&self, sentence: &str) {
        if let Some(noticed) = &self.0 {
            noticed.once.call_once(|| (noticed.tell)(sentence));
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(if self.0.is_some() { "Notice(..)" } else { "Notice(nobody)" })
    }
}

impl Options {
    /// Attaches to these processes. The program is that of the process that was named, or of the
    /// first one.
    pub fn attaching(to: AttachTo) -> Result<Options, RecordingError> {
        let first = || to.now().first().map(|process| process.pid);
        let command = match to.named().or_else(first) {
            Some(pid) => kernel::command(pid).ok_or(RecordingError::NoProcess(pid))?,
            None => vec![OsString::from("nobody")],
        };
        Ok(Options { attach_to: Some(to), ..Options::of(command) })
    }

    /// Records this command until it has ended, every block, with this process's streams.
    pub fn of(command: Vec<OsString>) -> Options {
        Options {
            command,
            attach_to: None,
            earlier: Earlier::LeftOut,
            arguments: Arguments::Kept,
            goals: Goals::default(),
            every: None,
            sample: None,
            environment: Vec::new(),
            scope: Scope::Openssl,
            python: PythonObjects::InArenas,
            streams: Streams::Own,
            at_interrupt: AtInterrupt::Capture,
            keep: Keep::default(),
            notice: Notice::default(),
            control: Control::default(),
            made_by: MadeBy::this(None),
        }
    }
}
