//! What a recording of whole processes knows of their memory, for the rules that judge it.

use analysis::diagnosis::whole::{Holder, Whole};

use crate::records::account::ResidentHolderRecord;
use crate::records::heap::HolderRecord;
use crate::records::recording::Recording;

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
    Some(whole)
}

fn asking(record: &HolderRecord) -> Holder {
    let HolderRecord { function, through, bytes, blocks } = record.clone();
    Holder { function, through, bytes, blocks: Some(blocks) }
}

fn holding(record: &ResidentHolderRecord) -> Holder {
    let ResidentHolderRecord { function, through, bytes } = record.clone();
    Holder { function, through, bytes, blocks: None }
}
