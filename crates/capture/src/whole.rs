//! What a recording of whole processes knows of their memory, for the rules and the budgets that
//! judge it.

use std::collections::HashMap;

use analysis::budget::{Each, Extent, Others};
use analysis::diagnosis::whole::{AfterClose, Holder, Whole};

use crate::records::account::ResidentHolderRecord;
use crate::records::counts::CountsRecord;
use crate::records::heap::HolderRecord;
use crate::records::recording::{Recording, StepsRecord};
use contract::Domain;

/// `None` where only OpenSSL's memory was recorded.
pub(crate) fn whole(recording: &Recording) -> Option<Whole> {
    let heap = recording.heap.as_ref()?;
    let mut whole =
        Whole { requested: heap.largest.iter().map(asking).collect(), ..Whole::default() };
    if let Some(account) = &recording.account {
        whole.resident_bytes = account.total_bytes;
        whole.free_pages_bytes = account.free_pages_bytes;
        whole.resident = account.holders.iter().map(holding).collect();
        let growth = account.told_growth();
        whole.grown = growth.iter().flat_map(|growth| &growth.holders).map(holding).collect();
    }
    let after_close = recording.closed.as_ref().and_then(|closed| closed.account.as_ref());
    whole.after_close = after_close.map(|account| AfterClose {
        resident_bytes: account.total_bytes,
        free_pages_bytes: account.free_pages_bytes,
    });
    Some(whole)
}

/// The same for a budget: nothing where only OpenSSL's memory was recorded.
pub fn memory_of_others(recording: &Recording) -> Others {
    let mut others = Others { resident: resident(recording), domains: HashMap::new() };
    if let Some(heap) = &recording.heap {
        let of_malloc = Extent {
            holders: heap.largest.iter().map(asking).collect(),
            each: told(recording, heap.steps.as_ref(), &heap.holders),
            ..in_use(&heap.counts)
        };
        let mapped = Extent {
            each: told(recording, heap.mapped_steps.as_ref(), &[]),
            ..in_use(&heap.mappings)
        };
        others.domains.extend([(Domain::Heap, of_malloc), (Domain::Mapping, mapped)]);
        if let Some(python) = &heap.python {
            let each = told(recording, heap.python_steps.as_ref(), &[]);
            others.domains.insert(Domain::Python, Extent { each, ..in_use(python) });
        }
    }
    others
}

fn resident(recording: &Recording) -> Option<Extent> {
    let account = recording.account.as_ref()?;
    let each = account.told_growth().map(|growth| Each {
        bytes: growth.total,
        blocks: None,
        holders: growth.holders.iter().map(holding).collect(),
    });
    let holders = account.holders.iter().map(holding).collect();
    Some(Extent { bytes: account.total_bytes as f64, blocks: None, each, holders })
}

fn in_use(counts: &CountsRecord) -> Extent {
    let blocks = Some(counts.inuse_blocks as f64);
    Extent { bytes: counts.inuse_bytes as f64, blocks, ..Extent::default() }
}

/// What a connection costs by steps, where the answer says it without an interval.
fn told(
    recording: &Recording,
    steps: Option<&StepsRecord>,
    holders: &[HolderRecord],
) -> Option<Each> {
    let steps = steps.filter(|steps| steps.certain && recording.told_steps().is_some())?;
    let holders = holders.iter().map(asking).collect();
    Some(Each { bytes: steps.bytes, blocks: Some(steps.blocks), holders })
}

fn asking(record: &HolderRecord) -> Holder {
    let HolderRecord { function, through, bytes, blocks } = record.clone();
    Holder { function, through, bytes, blocks: Some(blocks) }
}

fn holding(record: &ResidentHolderRecord) -> Holder {
    let ResidentHolderRecord { function, through, bytes } = record.clone();
    Holder { function, through, bytes, blocks: None }
}
