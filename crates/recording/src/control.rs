//! Steers a recording from elsewhere, by whoever puts a load on the program.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Steers a recording, and says what it sees. Copies are handles of one and the same.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wishes: Mutex<VecDeque<Wish>>,
    wished: Notify,
    seen: Mutex<Seen>,
}

/// What a recording is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Make the capture, and go on.
    Capture(String),
    /// Keep this moment too: the connections of the capture are closed.
    Closed,
    /// Make the capture if there is none, and end the program.
    End,
}

/// What the last look has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Looks up to now.
    pub looks: u64,
    /// Live SSL objects; 0 where none can be recognised.
    pub live: i64,
    /// Bytes in use.
    pub inuse_bytes: u64,
    /// How long both have been so.
    pub still_for: Duration,
    /// The capture is made.
    pub is_captured: bool,
}

impl Control {
    /// Ends the recording now, or as soon as it has begun, as after a goal that was reached.
    pub fn end(&self) {
        self.wish(Wish::End);
    }

    /// Makes the capture now; the program and the recording go on. `how` is to be read after
    /// "captured after 3 s,".
    pub fn capture(&self, how: &str) {
        self.wish(Wish::Capture(how.to_owned()));
    }

    /// Keeps this moment as the one at which the connections of the capture are closed.
    pub fn keep_closed(&self) {
        self.wish(Wish::Closed);
    }

    /// What the last look has seen.
    pub fn seen(&self) -> Seen {
        *lock(&self.0.seen)
    }

    pub(crate) fn look(&self, seen: Seen) {
        *lock(&self.0.seen) = seen;
    }

    fn wish(&self, wish: Wish) {
        lock(&self.0.wishes).push_back(wish);
        self.0.wished.notify_one();
    }

    /// The next wish, when there is one. Safe to drop half-way: no wish is lost.
    pub(crate) async fn next(&self) -> Wish {
        loop {
            if let Some(wish) = lock(&self.0.wishes).pop_front() {
                return wish;
            }
            self.0.wished.notified().await;
        }
    }
}

/// Nobody panics with it; what is in it is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wishes_come_in_order_also_those_of_before_anybody_listened() {
        let control = Control::default();
        control.capture("with 4 connections");
        control.keep_closed();
        control.clone().end();
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(control.next().await);
        }
        assert_eq!(all, [Wish::Capture("with 4 connections".to_owned()), Wish::Closed, Wish::End]);
    }
}
