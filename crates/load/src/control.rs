//! How a running load is told to close.

use tokio::sync::watch;

/// A running load's end of the line: [`run`](crate::run()) takes it.
#[derive(Debug)]
pub struct Control(watch::Receiver<bool>);

/// Tells a running load to close. Dropping it does not.
#[derive(Debug, Clone)]
pub struct Closer(watch::Sender<bool>);

impl Control {
    /// A line, and its two ends.
    pub fn new() -> (Closer, Control) {
        let (sender, receiver) = watch::channel(false);
        (Closer(sender), Control(receiver))
    }

    /// Done when the load is told to close; never, if nobody is left to tell it.
    pub(crate) async fn closed(&mut self) {
        if self.0.wait_for(|close| *close).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Closer {
    /// Every connection is closed cleanly, also those that are only being made.
    pub fn close(&self) {
        self.0.send_replace(true);
    }
}
