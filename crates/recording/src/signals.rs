//! The signals that a recording passes on to its program.

use std::future::poll_fn;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use crate::{RecordingError, kernel};

/// All of them.
const PASSED_ON: [Signal; 6] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

/// What is listened for.
pub struct Signals {
    heard: Vec<(Signal, unix::Signal)>,
    /// Those that are ignored.
    deaf_to: Vec<Signal>,
}

impl Signals {
    /// Listens for what this process does not ignore, before the program starts: a signal must find
    /// somebody to pass it on. What is ignored (by `nohup`, or a shell that starts something in the
    /// background) is to be ignored by the program too, and where a signal has a handler, a program
    /// that is started gets back what it does by itself.
    pub fn listen() -> Result<Signals, RecordingError> {
        let (deaf_to, heard) = PASSED_ON.into_iter().partition(|signal| is_ignored(*signal));
        let mut signals = Signals { heard: Vec::new(), deaf_to };
        signals.add(heard)?;
        Ok(signals)
    }

    /// The program has started: what it ignores can be listened for as well.
    pub fn listen_for_all(&mut self) -> Result<(), RecordingError> {
        let rest = std::mem::take(&mut self.deaf_to);
        self.add(rest)
    }

    fn add(&mut self, signals: Vec<Signal>) -> Result<(), RecordingError> {
        let listen = |kind| signal(kind).map_err(RecordingError::system("listen for signals"));
        for signal in signals {
            self.heard.push((signal, listen(SignalKind::from_raw(signal.as_raw()))?));
        }
        Ok(())
    }

    /// Waits for one, and says which. Where it is dropped before, none is lost.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, heard) in &mut self.heard {
                if heard.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn is_ignored(signal: Signal) -> bool {
    kernel::ignored_signals() & 1 << (signal.as_raw() - 1) != 0
}
