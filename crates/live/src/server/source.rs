//! The one who looks, shared by all that ask: one look at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::server::Ended;
use crate::server::history::History;
use crate::{Follower, LiveError, View};

/// Who asks within this time after a look gets what was seen then: ten thousand who ask at once
/// cost one look.
const FRESH: Duration = Duration::from_millis(200);

/// Looks for all connections.
#[derive(Debug)]
pub(crate) struct Source(Arc<Mutex<Held>>);

#[derive(Debug)]
struct Held {
    follower: Follower,
    last: Option<(Instant, Arc<View>)>,
    history: History,
}

/// What was seen, for what is made of it.
pub(crate) struct Looked<'a> {
    pub view: &'a Arc<View>,
    /// All that was seen up to it.
    pub history: &'a History,
    /// Who has looked.
    pub follower: &'a mut Follower,
}

impl Held {
    fn look(&mut self, fresh: Duration) -> Result<Arc<View>, LiveError> {
        if let Some((at, view)) = &self.last
            && at.elapsed() < fresh
        {
            return Ok(Arc::clone(view));
        }
        let view = self.follower.look()?;
        // What has ended is shown as it was, until the server has ended too.
        if view.is_over()
            && let Some((_, last)) = &self.last
            && self.follower.is_over()
        {
            return Ok(Arc::clone(last));
        }
        self.history.add(&view);
        self.last = Some((Instant::now(), Arc::clone(&view)));
        Ok(view)
    }
}

impl Source {
    pub fn of(follower: Follower) -> Source {
        Source(Arc::new(Mutex::new(Held { follower, last: None, history: History::new() })))
    }

    /// What is made of a view as of now. Looking and making take processor time, and are done for
    /// one at a time.
    pub async fn make<T: Send + 'static>(
        &self,
        made: impl FnOnce(Looked<'_>) -> T + Send + 'static,
    ) -> Result<T, LiveError> {
        let mut held = Arc::clone(&self.0).lock_owned().await;
        let work = spawn_blocking(move || {
            let view = held.look(FRESH)?;
            let Held { follower, history, .. } = &mut *held;
            Ok(made(Looked { view: &view, history, follower }))
        });
        // It is never cancelled; a panic in it goes on here, and ends this connection.
        work.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// The view as of now.
    pub async fn view(&self) -> Result<Arc<View>, LiveError> {
        self.make(|seen| Arc::clone(seen.view)).await
    }

    /// Looks from time to time, so that what a connection costs is known when somebody asks.
    pub async fn look_again_and_again(&self, every: Duration) -> Ended {
        loop {
            match self.make(|seen| seen.follower.is_over()).await {
                Ok(false) => tokio::time::sleep(every).await,
                Ok(true) => return Ended::Over,
                Err(error) => return Ended::Failed(error),
            }
        }
    }
}
