//! The recorder of this process.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::recorder::Recorder;

static RECORDER: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// The recorder, once it is installed.
#[inline]
pub(crate) fn current() -> Option<&'static Recorder> {
    let recorder = RECORDER.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `publish` stored.
    unsafe { recorder.as_ref() }
}

/// Makes `recorder` the recorder of this process for good.
pub(crate) fn publish(recorder: Box<Recorder>) -> &'static Recorder {
    let recorder: &'static Recorder = Box::leak(recorder);
    RECORDER.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    recorder
}

/// Takes the recorder out of work, and returns it.
pub(crate) fn take() -> Option<&'static Recorder> {
    let recorder = RECORDER.swap(std::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: as in `current`.
    unsafe { recorder.as_ref() }
}
