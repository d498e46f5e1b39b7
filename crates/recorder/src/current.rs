//! The recorder of this process.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::recorder::Recorder;
use crate::{process, start};

static RECORDER: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// The recorder, once it is installed. In a child whose memory is still its parent's: after it has
/// begun as a child does.
#[inline]
pub(crate) fn current() -> Option<&'static Recorder> {
    if process::is_own() { published() } else { start::in_unseen_child() }
}

/// The recorder that was published last, whoever's it is.
#[inline]
pub(crate) fn published() -> Option<&'static Recorder> {
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
    // SAFETY: as in `published`.
    unsafe { recorder.as_ref() }
}
