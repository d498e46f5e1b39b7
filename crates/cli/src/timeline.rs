//! Memory over time: gathered while a run goes on, written as `timeline.csv` at its end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use analysis::category;
use ledger::Snapshot;
use profile::{Profile, Symbols, ValueType, from_ledger_with};

use crate::failure::Failure;

/// How often the server's memory is looked at.
pub const EVERY: Duration = Duration::from_millis(250);

/// What was seen at each tick.
#[derive(Debug)]
pub struct Timeline {
    started: Instant,
    ticks: Vec<Tick>,
}

#[derive(Debug)]
struct Tick {
    seconds: f64,
    connections: usize,
    rss: u64,
    /// Bytes in use by site, in the ledger's order, which never changes.
    sites: Vec<u64>,
}

impl Timeline {
    /// Nothing seen yet; seconds count from here.
    pub fn start() -> Timeline {
        Timeline { started: Instant::now(), ticks: Vec::new() }
    }

    /// Adds what is seen now.
    pub fn tick(&mut self, snapshot: &Snapshot, connections: usize, rss: u64) {
        self.ticks.push(Tick {
            seconds: self.started.elapsed().as_secs_f64(),
            connections,
            rss,
            sites: snapshot.sites.iter().map(|site| site.counts.inuse_bytes).collect(),
        });
    }

    /// The table as CSV: seconds, connections, rss, OpenSSL's bytes in use by top-level category.
    /// `last` is a later snapshot of the same ledger.
    pub fn csv(&self, last: &Snapshot, symbols: &mut Symbols) -> Result<Vec<u8>, Failure> {
        let groups = self.by_group(last, symbols);
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut heading = vec!["seconds", "connections", "rss"];
        heading.extend(groups.keys());
        writer.write_record(&heading)?;
        for (at, tick) in self.ticks.iter().enumerate() {
            let mut record = vec![
                format!("{:.3}", tick.seconds),
                tick.connections.to_string(),
                tick.rss.to_string(),
            ];
            record.extend(groups.values().map(|bytes| bytes[at].to_string()));
            writer.write_record(&record)?;
        }
        Ok(writer.into_inner().map_err(|error| anyhow::Error::msg(error.to_string()))?)
    }

    /// Bytes in use at each tick, by top-level category.
    fn by_group(&self, last: &Snapshot, symbols: &mut Symbols) -> BTreeMap<&'static str, Vec<i64>> {
        // A profile with one column per tick: so sites get their names and categories in the
        // same way as everywhere else.
        let column = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
        let empty = Profile::new(vec![column; self.ticks.len()], None);
        let profile = from_ledger_with(last, symbols, empty, |site| {
            let bytes = |tick: &Tick| tick.sites.get(site).copied().unwrap_or_default() as i64;
            self.ticks.iter().map(bytes).collect()
        });
        let mut groups: BTreeMap<&'static str, Vec<i64>> = BTreeMap::new();
        for sample in profile.samples() {
            let group = category::of_sample(&profile, sample).group();
            let sums = groups.entry(group).or_insert_with(|| vec![0; self.ticks.len()]);
            for (sum, value) in sums.iter_mut().zip(&sample.values) {
                *sum += value;
            }
        }
        groups
    }
}
