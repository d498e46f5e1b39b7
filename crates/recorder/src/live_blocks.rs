//! What can be asked of the blocks that are live.

use contract::Domain;

use crate::current;

/// Calls `visit` with the requested size of every live block of OpenSSL's that is counted, and how
/// many blocks it stands for (1 unless a part of them is counted), for sums that the ledger does
/// not have. Blocks that come or go meanwhile may be seen or not. Takes some tens of milliseconds
/// for a million blocks, and does nothing without a recorder.
pub fn for_each_live_block(mut visit: impl FnMut(u64, f64)) {
    if let Some(recorder) = current::current() {
        let (sampling, cells) = (recorder.sampling, recorder.ledger.cells());
        recorder.blocks.for_each(|block| {
            let site = cells.cell(block.cell()).site();
            // One that found no room for its site is taken for OpenSSL's, as in the ledger.
            let domain = recorder.ledger.source_of(site).map(|source| source.domain);
            if domain.is_none_or(|domain| domain == Domain::Openssl) {
                let bytes = block.bytes();
                visit(bytes, sampling.map_or(1.0, |sampling| sampling.estimate(bytes, 1).blocks));
            }
        });
    }
}

/// The site that a live block of OpenSSL's is counted at, by its place in the ledger's
/// [sites](ledger::Snapshot::sites), for whoever wants to hold the recorded stack against another.
/// Only the block's owner may ask. `None` for blocks that are not known, and for those whose site
/// found no room.
pub fn site_of_block(block: *const std::ffi::c_void) -> Option<usize> {
    let recorder = current::current()?;
    let block = recorder.blocks.look_at(block as usize)?;
    let number = recorder.ledger.cells().cell(block.cell()).site().number();
    (number as usize).checked_sub(1)
}
