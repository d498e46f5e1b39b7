//! What the processes would hold at the capture without their open connections: the baseline of
//! what one of them costs, at whatever moment somebody looked.

use std::sync::Arc;

use ledger::{Counts, Snapshot};

use crate::looks::Cost;
use crate::watch::Ledgers;

/// The ledgers of the capture without what their open connections hold. Allocations are those of
/// `before`, the last still moment without connections, where there was one.
pub(crate) fn ledgers(now: &Ledgers, cost: &Cost<'_>, before: Option<&Ledgers>) -> Ledgers {
    now.iter()
        .map(|(path, snapshot)| {
            let part = cost.of_connections(path, snapshot);
            let earlier = before.and_then(|ledgers| ledgers.get(path));
            (path.clone(), Arc::new(without(snapshot, &part, earlier.map(|ledger| &**ledger))))
        })
        .collect()
}

fn without(now: &Snapshot, part: &[(u64, u64)], before: Option<&Snapshot>) -> Snapshot {
    let mut snapshot = now.clone();
    for (at, site) in snapshot.sites.iter_mut().enumerate() {
        let (bytes, blocks) = part.get(at).copied().unwrap_or_default();
        let earlier = before.and_then(|before| before.sites.get(at)).map(|site| site.counts);
        let earlier = earlier.unwrap_or_default();
        site.counts = Counts {
            inuse_bytes: site.counts.inuse_bytes.saturating_sub(bytes),
            inuse_blocks: site.counts.inuse_blocks.saturating_sub(blocks),
            alloc_bytes: earlier.alloc_bytes,
            alloc_blocks: earlier.alloc_blocks,
            ..site.counts
        };
    }
    snapshot
}
