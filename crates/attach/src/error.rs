//! Why a process was not attached to. In every case it goes on as before.

use std::io;

use thiserror::Error;

/// Why a process was not attached to, or not let go.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttachError {
    /// Written for one processor.
    #[error("attaching is written for x86-64: start the program with `tlsheap record` instead")]
    Processor,
    /// There is none.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// The number is that of a thread.
    #[error("{0} is a thread of process {1}: name the process")]
    Thread(u32, u32),
    /// It has ended, and nobody has waited for it.
    #[error("process {0} has ended")]
    Ended(u32),
    /// It is this one.
    #[error("process {0} is tlsheap itself")]
    Own(u32),
    /// The kernel does not allow it.
    #[error("process {pid} may not be attached to: {why}")]
    NotAllowed {
        /// The process.
        pid: u32,
        /// Who may, or what would have to be changed.
        why: String,
    },
    /// Somebody else has.
    #[error(
        "process {pid} is traced by process {by} ({name}), and can have one tracer: end that first"
    )]
    Traced {
        /// The process.
        pid: u32,
        /// The tracer.
        by: u32,
        /// Its name.
        name: String,
    },
    /// It is stopped.
    #[error("process {0} is stopped: let it go on first (kill -CONT {0})")]
    Stopped(u32),
    /// Its processor keeps return addresses apart.
    #[error(
        "process {0} runs with a shadow stack, on which a call from outside cannot return: start \
         it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off, or with `tlsheap record`"
    )]
    ShadowStack(u32),
    /// Another kind of program.
    #[error("process {0} is no 64-bit program for x86-64")]
    OtherProcessor(u32),
    /// No C library.
    #[error(
        "process {0} has no C library to load another library with: a static program, which \
         cannot be attached to"
    )]
    Static(u32),
    /// Another C library.
    #[error("process {pid} has {which}, and tlsheap's library is built for GNU's C library")]
    OtherCLibrary {
        /// The process.
        pid: u32,
        /// Which.
        which: String,
    },
    /// Its loader finds no library there.
    #[error(
        "process {pid} has no /proc where it lives, through which its loader is given tlsheap's \
         library, and no folder in which that could be put for a moment ({why}): mount /proc \
         there, or start the program with `tlsheap record`"
    )]
    NoProc {
        /// The process.
        pid: u32,
        /// What speaks against each folder.
        why: String,
    },
    /// What is mapped is not what lies in the file.
    #[error(
        "the C library of process {0} is not the one in its file any more, as after an upgrade: \
         start the program anew"
    )]
    Replaced(u32),
    /// A recorder came with the program.
    #[error(
        "process {0} was started by `tlsheap record` and has its recorder in it: start the \
         program without it to attach to it"
    )]
    Preloaded(u32),
    /// The library of another tlsheap.
    #[error(
        "another version of tlsheap was attached to process {0} before, and a process can have one \
         copy of the library: use that version, or start the program anew"
    )]
    OtherVersion(u32),
    /// Nobody is attached to it.
    #[error("tlsheap is not attached to process {0}")]
    NotAttached(u32),
    /// A filter, and no right to suspend it.
    #[error(
        "process {0} lives behind a system-call filter (seccomp), and what is done in it may end \
         it: to attach all the same takes CAP_SYS_ADMIN, as root has it, and a tlsheap that lives \
         behind none itself; the filter is suspended meanwhile"
    )]
    Filter(u32),
    /// No moment at which it could be stopped.
    #[error(
        "process {pid} came to no point within {seconds} s at which it can be stopped safely: none \
         of its {threads} threads waits in a call that neither an allocator nor the loader makes{}",
        handler(*.in_handler)
    )]
    NoSafePoint {
        /// The process.
        pid: u32,
        /// How long it was waited.
        seconds: u64,
        /// Its threads.
        threads: usize,
        /// One did, below a signal handler.
        in_handler: bool,
    },
    /// A step failed, and everything was put back.
    #[error("process {pid}: {step} failed, and nothing was changed")]
    Step {
        /// The process.
        pid: u32,
        /// What failed.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The process's loader says no.
    #[error("process {pid} cannot load tlsheap's library, and nothing was changed: {said}")]
    NotLoaded {
        /// The process.
        pid: u32,
        /// What the loader says.
        said: String,
    },
    /// The library says no.
    #[error("process {pid} is not recorded: {said}")]
    Refused {
        /// The process.
        pid: u32,
        /// What the library says.
        said: String,
    },
    /// What was called has not come back as it should.
    #[error("process {pid}: {step} {what}; its thread was put back to where it was")]
    Failed {
        /// The process.
        pid: u32,
        /// What was called.
        step: &'static str,
        /// What happened.
        what: String,
    },
}

fn handler(in_handler: bool) -> &'static str {
    if in_handler { " but below a signal handler" } else { "" }
}
