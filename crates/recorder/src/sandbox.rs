//! What the recorder does before its process shuts itself in: from then on it makes no system call
//! that a heap does not make.

use crate::recorder::Recorder;
use crate::{current, early, threads};

pub use ledger_writer::is_sandboxed;

/// Prepares for a system-call filter (seccomp) that the process is about to put up. From now on
///
/// * processes that it forks are not recorded: they would need files,
/// * threads that come into OpenSSL for the first time are recorded with the first frame of their
///   stacks: where their stack lies would have to be asked for,
/// * there is room for a TLS server's sites once more; further ones are counted as dropped.
///
/// [`give_up_sandbox`] takes it back, when the kernel has refused the filter.
pub fn prepare_for_sandbox() {
    if is_sandboxed() {
        return;
    }
    early::begin_early();
    let recorder = at_work();
    if let Some(recorder) = recorder {
        threads::sit_down(recorder);
    }
    ledger_writer::prepare_for_sandbox(recorder.map(|recorder| &recorder.ledger));
}

/// Prepares in a process that was attached to, and in which a filter is up that is not in force at
/// this moment, as [`prepare_for_sandbox`] does before one comes up. The calling thread gets no
/// place to count at: it is not on its own stack.
pub fn prepare_behind_filter() {
    if !is_sandboxed() {
        ledger_writer::prepare_for_sandbox(at_work().map(|recorder| &recorder.ledger));
    }
}

/// The filter that [`prepare_behind_filter`] was called for is not in force at this moment, and no
/// recorder is at work.
pub fn lift_filter() {
    ledger_writer::give_up_sandbox(None);
}

/// The kernel has refused the filter that [`prepare_for_sandbox`] was called for: everything is
/// recorded as before.
pub fn give_up_sandbox() {
    ledger_writer::give_up_sandbox(at_work().map(|recorder| &recorder.ledger));
}

/// The recorder that counts in this process.
fn at_work() -> Option<&'static Recorder> {
    current::current().filter(|recorder| !recorder.is_detached())
}
