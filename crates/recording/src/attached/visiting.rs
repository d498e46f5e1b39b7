//! Attaches to those who come while the others are recorded, in a thread of its own: to find a
//! point at which one can be stopped may take seconds.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep_until;

use super::arrivals::Arrivals;
use super::member::{Begin, Member};

/// Looks from time to time.
pub(super) struct Visiting {
    between: Option<(Arrivals, Begin)>,
    visit: Option<JoinHandle<Visited>>,
    /// Nobody is to be attached to any more.
    over: Arc<AtomicBool>,
}

struct Visited {
    arrivals: Arrivals,
    begin: Begin,
    members: Vec<Member>,
}

impl Visiting {
    pub(super) fn of(arrivals: Arrivals, begin: Begin) -> Visiting {
        let over = Arc::new(AtomicBool::new(false));
        Visiting { between: Some((arrivals, begin)), visit: None, over }
    }

    /// Waits until it is time for a look, and for what comes of it: those who were attached to. What
    /// is not waited for to its end goes on. `others` are processes that are meant as well.
    pub(super) async fn next(&mut self, others: impl FnOnce() -> Vec<u32>) -> Vec<Member> {
        if let Some((arrivals, _)) = &self.between {
            match arrivals.next() {
                Some(next) => sleep_until(next.into()).await,
                None => pending().await,
            }
        }
        if let Some((mut arrivals, mut begin)) = self.between.take() {
            let (others, over) = (others(), Arc::clone(&self.over));
            self.visit = Some(spawn_blocking(move || {
                let may = || !over.load(Ordering::Relaxed);
                let members = arrivals.visit(&mut begin, &others, may);
                Visited { arrivals, begin, members }
            }));
        }
        self.visited().await
    }

    /// Attaches to nobody any more. Returns those whom a visit was about to be attached to.
    pub(super) async fn end(&mut self) -> Vec<Member> {
        self.over.store(true, Ordering::Relaxed);
        self.visited().await
    }

    async fn visited(&mut self) -> Vec<Member> {
        let Some(visit) = &mut self.visit else { return Vec::new() };
        let visited =
            visit.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        self.visit = None;
        self.between = Some((visited.arrivals, visited.begin));
        visited.members
    }

    /// What is known of those who have come, and those who could not be attached to, once no visit
    /// goes on.
    pub(super) fn arrivals(&mut self) -> Option<&mut Arrivals> {
        self.between.as_mut().map(|(arrivals, _)| arrivals)
    }
}
