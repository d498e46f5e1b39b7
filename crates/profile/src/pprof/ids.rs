//! The ids by which the messages of a file refer to each other.

use std::collections::HashMap;

use super::source::Source;
use crate::ReadError;

/// Handles by the ids of the file.
pub(super) struct Ids<H> {
    what: &'static str,
    /// Most writers number from 1 without gaps: the handle of id n is at n - 1.
    dense: Vec<H>,
    /// Ids that are not the next in order.
    sparse: HashMap<u64, H>,
}

impl<H: Copy> Ids<H> {
    pub(super) fn new(what: &'static str, expected: usize) -> Ids<H> {
        Ids { what, dense: Vec::with_capacity(expected), sparse: HashMap::new() }
    }

    pub(super) fn insert(
        &mut self,
        id: u64,
        handle: H,
        at: u64,
        source: Source<'_>,
    ) -> Result<(), ReadError> {
        if id == 0 {
            let expected = format!("a {} with an id above 0", self.what);
            return Err(source.malformed(at, expected, "id 0"));
        }
        if self.get(id).is_some() {
            let expected = format!("a {} with an id of its own", self.what);
            return Err(source.malformed(at, expected, format!("a second one with id {id}")));
        }
        if id == self.dense.len() as u64 + 1 {
            self.dense.push(handle);
        } else {
            self.sparse.insert(id, handle);
        }
        Ok(())
    }

    pub(super) fn find(&self, id: u64, at: u64, source: Source<'_>) -> Result<H, ReadError> {
        self.get(id).ok_or_else(|| {
            let expected = format!("the id of a {} of the profile", self.what);
            source.malformed(at, expected, format!("id {id}"))
        })
    }

    fn get(&self, id: u64) -> Option<H> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.dense.get(index).or_else(|| self.sparse.get(&id)).copied()
    }
}
