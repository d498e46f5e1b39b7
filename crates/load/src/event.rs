//! What happens while a load runs, for the program around it to tell its user.

use crate::report::Report;

/// Something that happened while the load ran.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was welcomed, was echoed for the first time, or failed.
    Progress {
        /// How many have been welcomed.
        connected: usize,
        /// How many have been echoed at least once.
        echoed: usize,
        /// How many have failed.
        failed: usize,
    },
    /// Every connection has been echoed at least once, or has failed, and some are open.
    AtRest {
        /// How many are open.
        connections: usize,
    },
    /// Connections are held: told once a second.
    Held {
        /// How many are open.
        connections: usize,
        /// Echoes and answers that came back right until now.
        echoes: u64,
    },
    /// The connections are being closed.
    Closing,
    /// All are closed.
    Finished(&'a Report),
}

/// Is told what happens. Called from the load's tasks: it must not block for long.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: Event<'_>) {
        self(event);
    }
}
