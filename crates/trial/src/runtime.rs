//! What asynchronous parts of a trial run on.

use tokio::runtime::{Builder, Runtime};

use crate::TrialError;

/// A runtime that has no threads of its own: what is measured shall not wait for them.
pub(crate) fn of_this_thread() -> Result<Runtime, TrialError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TrialError::system("start a runtime"))
}
