//! Memory over time: gathered while a run goes on, and made a table of at its end.

use std::time::Instant;

use analysis::category::RUST_DOMAIN;
use analysis::over_time::{Groups, Series};
use analysis::rust_in_use::{Correction, Heap, Rounded};
use analysis::timeline::Timeline;
use capture::timeline::{Column, Table, add_ledger, in_thousandths};
use echo_server::HeapStatistics;
use ledger::Snapshot;
use profile::Symbols;

/// What the run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No connections yet.
    Baseline,
    /// Until every connection has been echoed once.
    Connecting,
    /// All connections are there.
    Hold,
    /// Connections are being closed.
    Closing,
    /// All are closed.
    After,
}

impl Phase {
    /// The word in the table.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Baseline => "baseline",
            Phase::Connecting => "connecting",
            Phase::Hold => "hold",
            Phase::Closing => "closing",
            Phase::After => "after",
        }
    }
}

/// What is seen at a tick.
pub struct Sight<'a> {
    pub phase: Phase,
    pub connections: usize,
    /// Resident memory without the recorder's.
    pub rss: Option<u64>,
    pub snapshot: &'a Snapshot,
    pub statistics: HeapStatistics,
}

/// What was seen at each tick.
#[derive(Debug)]
pub struct OverTime {
    started: Instant,
    ticks: Vec<Tick>,
}

#[derive(Debug)]
struct Tick {
    seconds: f64,
    phase: Phase,
    connections: usize,
    rss: Option<u64>,
    statistics: HeapStatistics,
    /// What OpenSSL had in use, as the allocator serves it.
    rounded: Rounded,
    /// Bytes in use by site, in the ledger's order, which never changes.
    sites: Vec<u64>,
}

impl OverTime {
    /// Nothing seen yet; seconds count from here.
    pub fn start() -> OverTime {
        OverTime { started: Instant::now(), ticks: Vec::new() }
    }

    /// Adds what is seen now.
    pub fn add(&mut self, sight: &Sight<'_>) {
        self.ticks.push(Tick {
            seconds: self.started.elapsed().as_secs_f64(),
            phase: sight.phase,
            connections: sight.connections,
            rss: sight.rss,
            statistics: sight.statistics,
            rounded: Rounded::of(sight.snapshot),
            sites: sight.snapshot.sites.iter().map(|site| site.counts.inuse_bytes).collect(),
        });
    }

    /// The table: what is known of each tick, OpenSSL's bytes in use by top-level category, and
    /// Rust's where `correction` makes that possible. `last` is a later snapshot of the same
    /// ledger.
    pub fn table(
        &self,
        last: &Snapshot,
        symbols: &mut Symbols,
        correction: Option<Correction>,
    ) -> Table {
        let ticks = &self.ticks;
        let mut groups = Groups::of(ticks.len());
        add_ledger(&mut groups, last, symbols, |site| {
            let bytes = |tick: &Tick| tick.sites.get(site).copied().unwrap_or_default() as i64;
            ticks.iter().map(bytes).collect()
        });
        let mut series = groups.series();
        series.extend(correction.map(|correction| self.rust(correction)));
        let phases = ticks
            .chunk_by(|a, b| a.phase == b.phase)
            .map(|ticks| (in_thousandths(ticks[0].seconds), ticks[0].phase.name().to_owned()))
            .collect();
        let timeline = Timeline {
            seconds: ticks.iter().map(|tick| in_thousandths(tick.seconds)).collect(),
            connections: Some(ticks.iter().map(|tick| tick.connections as u64).collect()),
            rss: ticks.iter().map(|tick| tick.rss).collect(),
            series,
            openssl_margins: groups.margins(),
            phases,
        };
        let leading = vec![
            Column::seconds(&timeline),
            Column::phase(ticks.iter().map(|tick| tick.phase.name())),
            Column::connections(&timeline),
            Column::rss(&timeline),
        ];
        Table { leading, timeline }
    }

    fn rust(&self, correction: Correction) -> Series {
        let ticks = self.ticks.iter();
        let margins = ticks.clone().filter_map(|tick| correction.margin(&tick.rounded)).collect();
        Series {
            group: RUST_DOMAIN.to_owned(),
            bytes: ticks
                .map(|tick| correction.rust(&heap(&tick.statistics), &tick.rounded))
                .collect(),
            margins: Some(margins).filter(|margins: &Vec<u64>| !margins.is_empty()),
        }
    }
}

/// jemalloc's figures, as the server's Rust is reckoned from them.
pub fn heap(statistics: &HeapStatistics) -> Heap {
    let HeapStatistics { allocated, internal, cached, sampled_bytes, .. } = *statistics;
    Heap { allocated, internal, cached, sampled_pages: sampled_bytes }
}

#[cfg(test)]
mod tests {
    use ledger::{Counts, Sampling, Site};

    use super::*;

    fn snapshot(inuse_bytes: u64, sampling: Option<Sampling>) -> Snapshot {
        let counts = Counts { inuse_blocks: 1, inuse_bytes, ..Counts::default() };
        let file = Some("ssl/ssl_lib.c".into());
        let site = Site { file, counts, block_bytes: 10, ..Site::default() };
        Snapshot { sites: vec![site], sampling, ..Snapshot::default() }
    }

    fn csv(snapshot: &Snapshot, correction: Option<Correction>) -> String {
        let mut over_time = OverTime::start();
        for (phase, connections) in [(Phase::Baseline, 0), (Phase::Hold, 3)] {
            let statistics = HeapStatistics { allocated: 1_000, ..HeapStatistics::default() };
            over_time.add(&Sight { phase, connections, rss: Some(9_000), snapshot, statistics });
        }
        let table = over_time.table(snapshot, &mut Symbols::new(), correction);
        let csv = String::from_utf8(table.csv()).expect("text");
        // What follows depends on the clock.
        let without_seconds = |line: &str| line.split_once(',').expect("columns").1.to_owned();
        csv.lines().map(|line| without_seconds(line) + "\n").collect()
    }

    const NO_CORRECTION: Correction = Correction { sampled_share: 0.0, rounding: 1.0 };

    #[test]
    fn a_tick_has_its_phase_and_every_group_and_rust() {
        assert_eq!(
            csv(&snapshot(10, None), Some(NO_CORRECTION)),
            "phase,connections,rss,tls,rust\nbaseline,0,9000,10,984\nhold,3,9000,10,984\n"
        );
    }

    #[test]
    fn without_an_examination_there_is_no_column_for_rust() {
        let csv = csv(&snapshot(10, None), None);
        assert!(csv.starts_with("phase,connections,rss,tls\n"), "{csv}");
    }

    #[test]
    fn of_a_sample_each_column_has_its_margin() {
        // Of blocks of 10 bytes, a counted one stands for 105 bytes and has a variance of 95 times
        // as many; one more is reckoned with. Of 10 bytes, the allocator makes 16.
        let csv = csv(&snapshot(105, Sampling::every(100)), Some(NO_CORRECTION));
        assert_eq!(
            csv.lines().next(),
            Some("phase,connections,rss,tls,rust,tls_margin95,rust_margin95,openssl_margin95")
        );
        let fields: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
        assert_eq!(fields[3..5], ["105", "832"]);
        assert_eq!(fields[5..], ["277", "443", "277"]);
    }
}
