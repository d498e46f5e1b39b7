//! Looks through the loaded objects for OpenSSLs and puts the recorder into each.

mod state;

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use contract::Outcome;
use recorder::OpensslNumber;

use crate::attached;
use crate::exclusive::Exclusive;
use crate::fixes;
use crate::linked_allocators;
use crate::object::{self, Object};
use crate::pins::Pins;
use crate::report::Report;
use crate::scan::state::State;
use crate::whole_process;

/// What is known; there is one for the process.
static STATE: Exclusive<State> = Exclusive::none();
/// The loader's counters at the last scan.
static ADDS: AtomicU64 = AtomicU64::new(0);
/// Objects that were loaded when the process began: those that everybody's names are looked for in
/// first.
static AT_START: AtomicUsize = AtomicUsize::new(0);
/// There is a state.
static READY: AtomicBool = AtomicBool::new(false);

/// The first scan.
pub(crate) fn begin(report: Report) {
    STATE.with(|place| *place = Some(State::new(report)));
    begin_for_fixes();
}

/// Looks at all that is loaded once more.
pub(crate) fn look_again() {
    ADDS.store(0, Ordering::Release);
    look_for_new();
}

/// The first scan of a process that is not recorded.
pub(crate) fn begin_for_fixes() {
    AT_START.store(object::loaded().0.len(), Ordering::Relaxed);
    READY.store(true, Ordering::Release);
    look_for_new();
}

/// The scan of a process that has run for long, and may have been recorded and let go before.
pub(crate) fn begin_attached(report: Report) {
    STATE.with(|place| match place {
        Some(state) => state.begin_again(report),
        None => *place = Some(State::new(report)),
    });
    // Any but the program itself may be unloaded by another thread at any time.
    AT_START.store(1, Ordering::Relaxed);
    READY.store(true, Ordering::Release);
    look_again();
}

/// Looks at nothing from now on. A look that another thread is at is over when this returns.
pub(crate) fn end_looking() {
    READY.store(false, Ordering::SeqCst);
    STATE.with(|_| {});
}

/// Takes the recorder out of every OpenSSL, once nothing is looked at any more.
pub(crate) fn end_attached() {
    let (objects, _) = object::loaded();
    STATE.with(|state| {
        if let Some(state) = state {
            state.take_out(&objects);
        }
    });
}

/// How many objects were loaded when the process began.
pub(crate) fn at_start() -> usize {
    AT_START.load(Ordering::Relaxed)
}

/// What is new is looked at. In a sandbox it is not: that would read files.
pub(crate) fn looks() -> bool {
    READY.load(Ordering::Acquire) && (!recorder::is_sandboxed() || attached::is_visitor())
}

/// Scans again if the loader has loaded anything since the last time.
pub(crate) fn look_for_new() {
    if !looks() || object::changes().adds == ADDS.load(Ordering::Acquire) {
        return;
    }
    // Outside the lock: a thread that holds the loader's lock may be waiting for ours.
    // What comes between the two readings is for the next look.
    let (before, changes) = object::loaded();
    let later = before.get(at_start()..).unwrap_or_default();
    let _pins = Pins::on(later);
    let (mut objects, _) = object::loaded();
    objects.retain(|object| before.iter().any(|it| it.is_same_as(object)));
    STATE.with(|state| {
        // The process may have been let go while this thread waited for its turn.
        if !looks() {
            return;
        }
        let mut unused = Vec::new();
        if let Some(state) = state {
            state.look_at(&objects, changes);
            unused = std::mem::take(&mut state.unused);
        }
        // One thread at a time as well: it writes code that the look reads.
        fixes::reach(&objects, &unused);
        attached::reach(&objects);
        recorder::note_new_modules(|| {
            objects.iter().map(Object::lines_of_map).collect::<String>().into_bytes()
        });
    });
    whole_process::after_scan();
    linked_allocators::reach(&objects);
    ADDS.fetch_max(changes.adds, Ordering::AcqRel);
}

/// Calls `with` with the report of this process.
pub(crate) fn with_report(with: impl FnOnce(&mut Report)) {
    STATE.with(|state| {
        if let Some(state) = state {
            with(&mut state.report);
        }
    });
}

/// Looks whether the recorded OpenSSLs still call the recorder.
pub(crate) fn check_in_place() {
    let (objects, _) = object::loaded();
    STATE.with(|state| {
        if let Some(state) = state {
            state.check_in_place(&objects);
        }
    });
}

/// Says that the program's own functions lie below those of the recorder.
pub(crate) fn chained(number: OpensslNumber) {
    with_report(|report| report.changed(number.get(), Outcome::Chained));
}

/// The recorded OpenSSL whose setter or getter lies at `address`, and which of the two it is.
pub(crate) fn recorded_function(address: usize) -> Option<(OpensslNumber, &'static CStr)> {
    let mut found = None;
    STATE.with(|state| found = state.as_ref().and_then(|state| state.function_at(address)));
    found
}

/// In a forked child: a thread that was scanning is not there, and what it was changing cannot
/// be used.
pub(crate) unsafe extern "C" fn after_fork() {
    if STATE.is_taken() {
        READY.store(false, Ordering::Relaxed);
    }
}
