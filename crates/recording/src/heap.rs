//! What a recording knows of the memory that is not OpenSSL's, where the whole process is recorded.

use std::num::NonZeroU64;
use std::path::Path;

use capture::records::heap::HeapRecord;
use capture::records::recording::{OthersRecord, StepsRecord};
use contract::{Domain, PeakOf};
use ledger::Snapshot;
use profile::{Profile, Symbols};

use crate::heap_looks::HeapLooks;
use crate::looks::Gathered;
use crate::moments::Moments;
use crate::processes::Processes;
use crate::watch::Ledgers;
use crate::{holding, profiles, without_connections};

/// The memory that is not OpenSSL's, at the capture.
pub(crate) struct Heap {
    /// By process.
    pub ledgers: Ledgers,
    /// What the processes would hold without connections, as far as that is known.
    pub baseline: Option<Profile>,
    pub record: HeapRecord,
}

impl Heap {
    /// `None` where it was not recorded. `connections` are open at the capture, where that is known.
    pub(crate) fn of(
        moments: &Moments,
        looks: &HeapLooks,
        connections: Option<NonZeroU64>,
        at_end: &Processes,
        symbols: &mut Symbols,
    ) -> Option<Heap> {
        let captured = moments.captured.as_ref();
        let ledgers = captured.map_or_else(|| at_end.heap(), |moment| moment.heap.clone());
        if ledgers.is_empty() {
            return None;
        }
        let earlier = moments.baseline.as_ref().map(|moment| &moment.heap);
        let costs = [&looks.heap, &looks.mappings, &looks.python].map(Gathered::cost);
        let [open, mapped, python] = costs
            .each_ref()
            .map(|cost| cost.as_ref().filter(|cost| captured.is_some() && cost.each.is_told()));
        // Mappings alone serve many connections at once.
        let by_blocks = open.or(python);
        let without = by_blocks.map(|_| {
            let told = [open, mapped, python].into_iter().flatten();
            told.fold(ledgers.clone(), |ledgers, cost| {
                without_connections::ledgers(&ledgers, cost, earlier)
            })
        });
        // Where no steps say what is a connection's own, it is told who grew.
        let connections = connections.filter(|_| captured.is_some());
        let by_steps = by_blocks.and_then(|cost| NonZeroU64::new(cost.connections()));
        let holders = by_steps.zip(without.as_ref()).or(connections.zip(earlier)).map(
            |(connections, before)| holding::requested(&ledgers, before, connections, symbols),
        );
        let baseline = without.as_ref().or(earlier).map(|it| profiles::merged(it, symbols));
        let connections = connections.filter(|_| by_blocks.is_none());
        let grown = earlier.zip(connections).map(|(earlier, connections)| {
            let [now, before] = [&ledgers, earlier].map(|it| profiles::totals(it).inuse_bytes);
            (now as f64 - before as f64) / connections.get() as f64
        });
        let statistics = at_end.recorded().map(|(_, end, _)| end.statistics.earlier_blocks);
        let sampled = ledgers.values().any(|it| it.sampling.is_some());
        let largest = match captured {
            // Figures without their intervals.
            _ if sampled => Vec::new(),
            Some(_) => holding::requested(&ledgers, &Ledgers::new(), NonZeroU64::MIN, symbols),
            None => holding::requested_at_peak(&ledgers, symbols),
        };
        let record = HeapRecord {
            largest,
            peak_is_openssls: ledgers.values().any(|it| it.peak_of == PeakOf::Openssl),
            late_processes: ledgers.values().filter(|it| it.late).count() as u64,
            counts: profiles::totals_of(&ledgers, Domain::Heap),
            mappings: profiles::totals_of(&ledgers, Domain::Mapping),
            python: has_python(&ledgers).then(|| profiles::totals_of(&ledgers, Domain::Python)),
            python_steps: python.map(|cost| StepsRecord::from(&cost.each)),
            steps: open.map(|cost| StepsRecord::from(&cost.each)),
            mapped_steps: mapped.map(|cost| StepsRecord::from(&cost.each)),
            grown_bytes_each: grown,
            holders: holders.unwrap_or_default(),
            earlier_blocks: statistics.sum(),
        };
        Some(Heap { ledgers, baseline, record })
    }

    /// What one process holds.
    pub(crate) fn of_process(&self, path: &Path) -> Option<&Snapshot> {
        self.ledgers.get(path).map(|snapshot| &**snapshot)
    }
}

/// What others than OpenSSL hold at a moment; `None` where it was not recorded.
pub(crate) fn others(heap: &Ledgers) -> Option<OthersRecord> {
    (!heap.is_empty()).then(|| OthersRecord {
        heap: profiles::totals_of(heap, Domain::Heap),
        mappings: profiles::totals_of(heap, Domain::Mapping),
        python: has_python(heap).then(|| profiles::totals_of(heap, Domain::Python)),
    })
}

/// Whether objects of Python's are counted in any of them.
fn has_python(ledgers: &Ledgers) -> bool {
    let sites = ledgers.values().flat_map(|snapshot| &snapshot.sites);
    sites.into_iter().any(|site| site.source.domain == Domain::Python)
}
