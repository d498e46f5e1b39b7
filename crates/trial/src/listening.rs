//! Waits for a program to take connections.

use std::time::{Duration, Instant};

use recording::kernel::is_listened_on;

use crate::TrialError;
use crate::glance::GLANCE;

/// Waits until the program listens on the port. `has_ended` says, within a time, whether it has
/// come to its end.
pub fn wait_for(
    port: u16,
    mut has_ended: impl FnMut(Duration) -> Result<bool, TrialError>,
    patience: Duration,
) -> Result<(), TrialError> {
    let begun = Instant::now();
    while !is_listened_on(port) {
        if begun.elapsed() > patience || has_ended(GLANCE)? {
            return Err(TrialError::Failed(format!(
                "the program did not listen on port {port}: is that the right one?"
            )));
        }
    }
    Ok(())
}
