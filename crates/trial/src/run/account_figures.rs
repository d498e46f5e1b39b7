//! What the account of resident memory is made of, from what was seen at one moment.

use analysis::resident::{Known, by_owner};
use analysis::rss_account::{Figures, OpenSslOff};
use profile::smaps;

use super::moment::Moment;
use super::rust_domain::RustDomain;

/// The figures of a moment; `None` when the server was not asked, or had ended.
/// What is wrong with them comes back as a sentence.
pub fn read(moment: &Moment, rust: Option<&RustDomain>) -> Result<Option<Figures>, String> {
    let (Some(heap), Some(rss)) = (&moment.heap, moment.rss_bytes) else { return Ok(None) };
    let Some(text) = &heap.smaps else { return Ok(None) };
    let areas = smaps::parse(text, "/proc/PID/smaps").map_err(|error| {
        format!("the server's resident memory cannot be accounted for: {error}")
    })?;
    let known = Known { ledger: &heap.ledger, tables: &moment.snapshot.tables };
    let statistics = &heap.statistics;
    let sizes =
        moment.snapshot.sites.iter().map(|site| (site.block_bytes, site.counts.inuse_bytes));
    Ok(Some(Figures {
        rss,
        openssl_requested: moment.snapshot.totals().inuse_bytes,
        openssl_usable: heap.openssl_usable_bytes,
        openssl_off: moment.snapshot.sampling.map(|sampling| OpenSslOff::of(sampling, sizes)),
        allocated: statistics.allocated,
        active: statistics.active,
        resident: statistics.resident,
        internal: statistics.internal,
        cached: statistics.cached,
        dirty: statistics.dirty,
        sampled_blocks: rust.map_or(0, |rust| rust.small_sampled_bytes),
        sampled_pages: statistics.sampled_bytes,
        address_space: statistics.mapped + statistics.retained,
        owners: by_owner(&areas, &known),
    }))
}
