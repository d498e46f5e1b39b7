//! Captures of one process over time.

use crate::diagnosis::growth::{Growth, growth};
use crate::diagnosis::holding::Holding;
use crate::inventory::Inventory;
use crate::objects::Object;

/// Captures of one process, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<Capture>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Capture {
    /// What it held.
    pub holdings: Vec<Holding>,
    /// The objects that were live.
    pub objects: Inventory,
}

impl Series {
    /// How the number of these objects has grown; `None` where it does not only grow, or where
    /// there are too few captures to say it.
    pub fn growth_of(&self, object: Object) -> Option<Growth> {
        let counts: Vec<i64> =
            self.0.iter().map(|capture| capture.objects.live(object).count).collect();
        growth(&counts)
    }

    /// There are captures enough to say what grows.
    pub fn is_long(&self) -> bool {
        self.0.len() > 8
    }
}
