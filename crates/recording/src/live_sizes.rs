//! How large the live blocks of a process are that runs, by its recorder's table of them.

use std::path::Path;

use analysis::block_sizes::BlockSizes;
use ledger::Snapshot;

use crate::process_memory::ProcessMemory;
use crate::{ledger_folder, opening};

/// The sizes of the blocks that the recorder of this ledger holds as live, as they are while the
/// table is read: blocks may come and go meanwhile. `pid` is the process, as it is known here, and
/// `snapshot` what was last seen of its ledger. `None` where its memory may not be read, it has
/// ended, or the ledger is of a sample.
pub fn live_sizes(ledger: &Path, pid: u32, snapshot: &Snapshot) -> Option<BlockSizes> {
    if snapshot.sampling.is_some() {
        return None;
    }
    let opened = opening::open(ledger, ledger_folder::MOST_LEDGER_BYTES).ok()?;
    let name = ledger.display().to_string();
    let of_cells = Snapshot::sites_of_cells(&opened.file, &name).ok()?;
    let blocks = snapshot.live.blocks(&ProcessMemory::of(pid).ok()?).ok()?;
    let mut sizes = BlockSizes::default();
    for block in blocks {
        let cell = usize::try_from(block.cell).ok()?.checked_sub(1);
        let site = cell.and_then(|cell| of_cells.get(cell).copied().flatten());
        // A site that came after the snapshot is of the next look.
        let Some(site) = site.and_then(|site| snapshot.sites.get(site)) else { continue };
        let addresses = block.address..block.address.saturating_add(block.bytes);
        sizes.add(site.source.domain, &addresses);
    }
    Some(sizes)
}
