//! The page of what is held now: the same as of a capture, with what is said of the moment above,
//! and it reads itself again.

use analysis::column::Column;
use capture::{Capture, CaptureError};

use super::{Shown, Told, choices, sizes, subject};
use crate::html::{self, Page};

pub use crate::html::Live;

/// The page of a capture that was made just now.
pub fn page_of(capture: Capture, live: &Live) -> Result<String, CaptureError> {
    let told = Told::new(capture, None, &|_| None)?;
    let moment = format!("as of {}, and what connections hold of it stands above", live.at);
    let shown = Shown { column: Column::InUse, moment, choices_bytes: choices::MOST_BYTES };
    let mut subject = subject::subject(&told, None, &shown)?;
    // It is no file of which nothing else is known.
    subject.measured.clear();
    subject.timeline.clone_from(&live.over_time);
    if let Some(found) = &live.sizes {
        subject.sizes = sizes::live_blocks(found, format!("at {}", live.at));
    }
    Ok(html::live_page(&Page { subjects: vec![subject], measured: Vec::new() }, live))
}
