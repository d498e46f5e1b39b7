//! What each look has seen of the memory that is not OpenSSL's, for what a connection costs of it.

use contract::Domain;

use crate::looks::Gathered;
use crate::watch::Sight;

/// The looks at each domain by itself: blocks are asked for one by one, and mappings often for
/// many connections at once, which leaves open what one of them costs.
#[derive(Clone, Debug)]
pub struct HeapLooks {
    /// At what was asked of the malloc family.
    pub heap: Gathered,
    /// At what was mapped from the kernel.
    pub mappings: Gathered,
    /// At Python's objects, where they are counted one by one.
    pub python: Gathered,
}

impl HeapLooks {
    /// None yet.
    pub fn start() -> HeapLooks {
        HeapLooks {
            heap: Gathered::of(Domain::Heap),
            mappings: Gathered::of(Domain::Mapping),
            python: Gathered::of(Domain::Python),
        }
    }

    /// Takes note of what is seen of the processes that run.
    pub fn add(&mut self, sight: &Sight) {
        for looks in [&mut self.heap, &mut self.mappings, &mut self.python] {
            looks.add_part(sight, &sight.heap);
        }
    }

    /// The last looks are of the capture.
    pub fn mark(&mut self) {
        for looks in [&mut self.heap, &mut self.mappings, &mut self.python] {
            looks.mark();
        }
    }
}
