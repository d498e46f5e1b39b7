//! What is counted beside OpenSSL's memory, where that was asked for, and from when on: at once, or
//! once there is an OpenSSL in the process. A process that waits for one is as it would be without
//! this library: its calls of malloc jump to the real one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{NO_HEAP, Scope};

use crate::{linked_allocators, malloc_family, python, scan};

/// Set where more is to be counted than OpenSSL's memory: why that cannot be, if it cannot.
static OBSTACLE: OnceLock<Option<&'static str>> = OnceLock::new();
/// It has not begun.
static IS_DUE: AtomicBool = AtomicBool::new(false);
/// It has begun, and what is not counted has not been said.
static IS_TO_BE_SAID: AtomicBool = AtomicBool::new(false);

/// At the start of the process, before the first scan. `is_main`: it is what was asked to be
/// recorded, and not what that has started, which may be thousands.
pub(crate) fn begin(scope: Scope, is_main: bool) {
    if !scope.is_whole() {
        return;
    }
    let obstacle = *OBSTACLE.get_or_init(malloc_family::obstacle);
    if obstacle.is_none() {
        malloc_family::get_ready_to_count();
        if !recorder::counts_a_part() {
            python::get_ready_to_count();
        }
    }
    IS_DUE.store(true, Ordering::Release);
    if scope != Scope::FromOpenssl || is_main {
        count();
    }
}

/// After the first scan: whoever has not begun by now comes late.
pub(crate) fn note_start() {
    if IS_DUE.load(Ordering::Acquire) {
        recorder::note_late();
    }
}

/// An OpenSSL is about to be recorded: what others ask for is counted from here on at the latest.
/// It takes no lock.
pub(crate) fn count() {
    if IS_DUE.swap(false, Ordering::AcqRel) {
        if OBSTACLE.get() == Some(&None) {
            malloc_family::begin_counting();
            recorder::count_python();
        }
        IS_TO_BE_SAID.store(true, Ordering::Release);
    }
}

/// What is not counted of a program in C++ with such an allocator.
pub(crate) const OPERATORS: &str = "what C++'s new asks for is not recorded: the allocator in place of the C \
                         library's has a new and delete of its own, which do not call malloc";

/// After each scan: where counting has begun, counts also what allocators give that are called
/// otherwise, and says what is not counted.
pub(crate) fn after_scan() {
    if !IS_TO_BE_SAID.swap(false, Ordering::AcqRel) {
        return;
    }
    match OBSTACLE.get() {
        Some(Some(why)) => scan::with_report(|report| report.problem(format!("{NO_HEAP}{why}"))),
        Some(None) => {
            linked_allocators::begin();
            if malloc_family::has_operators_of_its_own() {
                scan::with_report(|report| report.problem(OPERATORS.to_owned()));
            }
        }
        None => {}
    }
}
