//! Memory over time: gathered while a run goes on, written as `timeline.csv` and drawn at its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use analysis::category::{self, RUST_DOMAIN};
use analysis::size_class::usable;
use echo_server::HeapStatistics;
use ledger::Snapshot;
use profile::{Profile, Symbols, ValueType, from_ledger_with};
use report::timeline::{Series, timeline};

use crate::failure::Failure;

/// How often the server's memory is looked at.
pub const EVERY: Duration = Duration::from_millis(250);

/// What the run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No connections yet.
    Baseline,
    /// Until every connection has been echoed once.
    Connecting,
    /// All connections are there.
    Hold,
    /// They are being closed.
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
    pub rss: u64,
    pub snapshot: &'a Snapshot,
    pub statistics: HeapStatistics,
}

/// What was seen at each tick.
#[derive(Debug)]
pub struct Timeline {
    started: Instant,
    ticks: Vec<Tick>,
}

#[derive(Debug)]
struct Tick {
    seconds: f64,
    phase: Phase,
    connections: usize,
    rss: u64,
    statistics: HeapStatistics,
    /// OpenSSL's bytes in use, each site's rounded up as if its blocks were all of one size.
    rounded: u64,
    /// Bytes in use by site, in the ledger's order, which never changes.
    sites: Vec<u64>,
}

/// What one examination from all sides says of the figures at each tick, which are cheaper to get.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    /// Usable bytes in small blocks of the profiler's sample, as a share of the pages they have.
    pub sampled_share: f64,
    /// OpenSSL's usable bytes by block, as a share of those rounded up by site.
    pub rounding: f64,
}

impl Correction {
    /// From the exact figures of one moment.
    pub fn new(
        heap: &HeapStatistics,
        sampled: u64,
        usable: u64,
        snapshot: &Snapshot,
    ) -> Correction {
        let share = |part: u64, whole: u64| (whole > 0).then_some(part as f64 / whole as f64);
        Correction {
            sampled_share: share(sampled, heap.sampled_bytes).unwrap_or(0.0),
            rounding: share(usable, rounded(snapshot)).unwrap_or(1.0),
        }
    }
}

/// OpenSSL's bytes in use with each site's average block rounded up to a size class.
fn rounded(snapshot: &Snapshot) -> u64 {
    let of_site = |bytes: u64, blocks: u64| {
        bytes.checked_div(blocks).map_or(0, |average| usable(average).saturating_mul(blocks))
    };
    let counts = snapshot.sites.iter().map(|site| site.counts);
    counts
        .chain([snapshot.statistics.dropped])
        .map(|counts| of_site(counts.inuse_bytes, counts.inuse_blocks))
        .fold(0, u64::saturating_add)
}

impl Timeline {
    /// Nothing seen yet; seconds count from here.
    pub fn start() -> Timeline {
        Timeline { started: Instant::now(), ticks: Vec::new() }
    }

    /// Adds what is seen now.
    pub fn add(&mut self, sight: &Sight<'_>) {
        self.ticks.push(Tick {
            seconds: self.started.elapsed().as_secs_f64(),
            phase: sight.phase,
            connections: sight.connections,
            rss: sight.rss,
            statistics: sight.statistics,
            rounded: rounded(sight.snapshot),
            sites: sight.snapshot.sites.iter().map(|site| site.counts.inuse_bytes).collect(),
        });
    }

    /// The table: seconds, phase, connections, resident memory, OpenSSL's bytes in use by
    /// top-level category, and Rust's where `correction` makes that possible. `last` is a later
    /// snapshot of the same ledger.
    pub fn table(
        &self,
        last: &Snapshot,
        symbols: &mut Symbols,
        correction: Option<Correction>,
    ) -> Table<'_> {
        let mut columns = self.by_group(last, symbols);
        if let Some(correction) = correction {
            let rust = self.ticks.iter().map(|tick| tick.rust(correction)).collect();
            columns.push((RUST_DOMAIN, rust));
        }
        Table { ticks: &self.ticks, columns }
    }

    /// Bytes in use at each tick, by top-level category.
    fn by_group(&self, last: &Snapshot, symbols: &mut Symbols) -> Vec<(&'static str, Vec<u64>)> {
        // A profile with one column per tick: so sites get their names and categories in the
        // same way as everywhere else.
        let column = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
        let empty = Profile::new(vec![column; self.ticks.len()], None);
        let profile = from_ledger_with(last, symbols, empty, |site| {
            let bytes = |tick: &Tick| tick.sites.get(site).copied().unwrap_or_default() as i64;
            self.ticks.iter().map(bytes).collect()
        });
        let mut groups: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
        for sample in profile.samples() {
            let group = category::of_sample(&profile, sample).group();
            let sums = groups.entry(group).or_insert_with(|| vec![0; self.ticks.len()]);
            for (sum, value) in sums.iter_mut().zip(&sample.values) {
                *sum = sum.saturating_add_signed(*value);
            }
        }
        groups.into_iter().collect()
    }
}

impl Tick {
    /// What Rust has in use: all that is allocated, less what is jemalloc's own, free already, or
    /// OpenSSL's. The server answers a moment after the ledger was read: while connections come and
    /// go, the difference is off by what they allocated or freed in between.
    fn rust(&self, correction: Correction) -> u64 {
        let HeapStatistics { allocated, internal, cached, sampled_bytes, .. } = self.statistics;
        let sampled = sampled_bytes as f64 * correction.sampled_share;
        let openssl = self.rounded as f64 * correction.rounding;
        // Negative figures become 0.
        (allocated as f64 + sampled - internal as f64 - cached as f64 - openssl).round() as u64
    }
}

/// The time line in columns.
pub struct Table<'a> {
    ticks: &'a [Tick],
    /// Bytes in use by group, one value for each tick.
    columns: Vec<(&'static str, Vec<u64>)>,
}

impl Table<'_> {
    /// As `timeline.csv`.
    pub fn csv(&self) -> Result<Vec<u8>, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut heading = vec!["seconds", "phase", "connections", "rss"];
        heading.extend(self.columns.iter().map(|(group, _)| group));
        writer.write_record(&heading)?;
        for (at, tick) in self.ticks.iter().enumerate() {
            let mut record = vec![
                format!("{:.3}", tick.seconds),
                tick.phase.name().to_owned(),
                tick.connections.to_string(),
                tick.rss.to_string(),
            ];
            record.extend(self.columns.iter().map(|(_, bytes)| bytes[at].to_string()));
            writer.write_record(&record)?;
        }
        Ok(writer.into_inner().map_err(|error| anyhow::Error::msg(error.to_string()))?)
    }

    /// As a picture; `None` when there is too little to draw.
    pub fn svg(&self, title: &str) -> Result<Option<String>, Failure> {
        if self.ticks.len() < 2 {
            return Ok(None);
        }
        let picture = report::timeline::Timeline {
            seconds: self.ticks.iter().map(|tick| tick.seconds).collect(),
            connections: self.ticks.iter().map(|tick| tick.connections as u64).collect(),
            rss: self.ticks.iter().map(|tick| tick.rss).collect(),
            phases: self
                .ticks
                .chunk_by(|a, b| a.phase == b.phase)
                .map(|ticks| (ticks[0].seconds, ticks[0].phase.name().to_owned()))
                .collect(),
            series: self
                .columns
                .iter()
                .map(|(group, bytes)| Series { group: (*group).to_owned(), bytes: bytes.clone() })
                .collect(),
        };
        Ok(Some(timeline(&picture, title)?))
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Counts, Site};

    use super::*;

    fn snapshot(sites: &[(u64, u64)]) -> Snapshot {
        let site = |(inuse_blocks, inuse_bytes): &(u64, u64)| Site {
            file: Some("ssl/ssl_lib.c".into()),
            counts: Counts {
                inuse_blocks: *inuse_blocks,
                inuse_bytes: *inuse_bytes,
                ..Counts::default()
            },
            ..Site::default()
        };
        Snapshot { sites: sites.iter().map(site).collect(), ..Snapshot::default() }
    }

    fn timeline_of(snapshot: &Snapshot, statistics: HeapStatistics) -> Timeline {
        let mut timeline = Timeline::start();
        for (phase, connections) in [(Phase::Baseline, 0), (Phase::Hold, 3)] {
            timeline.add(&Sight { phase, connections, rss: 9_000, snapshot, statistics });
        }
        timeline
    }

    #[test]
    fn rust_is_what_is_allocated_and_neither_openssls_nor_free_nor_jemallocs() {
        // Two blocks of 100 bytes take 112 each, one of 17 takes 32.
        let snapshot = snapshot(&[(2, 200), (1, 17)]);
        let statistics = HeapStatistics {
            allocated: 1_000,
            internal: 30,
            cached: 20,
            sampled_bytes: 4_096,
            ..HeapStatistics::default()
        };
        let correction = Correction::new(&statistics, 1_024, 256, &snapshot);
        assert!((correction.sampled_share - 0.25).abs() < 1e-9);
        let timeline = timeline_of(&snapshot, statistics);
        let csv = timeline
            .table(&snapshot, &mut Symbols::new(), Some(correction))
            .csv()
            .map(|csv| String::from_utf8(csv).expect("text"))
            .expect("a table");
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "seconds,phase,connections,rss,tls,rust");
        let tail = |line: &str| line.split_once(',').expect("columns").1.to_owned();
        // 1,000 + 1,024 - 30 - 20 - 256
        assert_eq!(tail(lines[1]), "baseline,0,9000,217,1718");
        assert_eq!(tail(lines[2]), "hold,3,9000,217,1718");
    }

    #[test]
    fn without_an_examination_there_is_no_column_for_rust() {
        let snapshot = snapshot(&[(1, 10)]);
        let timeline = timeline_of(&snapshot, HeapStatistics::default());
        let table = timeline.table(&snapshot, &mut Symbols::new(), None);
        let csv = table.csv().map(|csv| String::from_utf8(csv).expect("text")).expect("a table");
        assert!(csv.starts_with("seconds,phase,connections,rss,tls\n"), "{csv}");
        let nothing_allocated = Correction { sampled_share: 0.0, rounding: 1.0 };
        assert_eq!(timeline.ticks[0].rust(nothing_allocated), 0);
    }
}
