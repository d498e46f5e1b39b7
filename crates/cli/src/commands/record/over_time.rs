//! Memory over time: gathered while the program runs, written as `timeline.csv` and
//! `timeline.svg`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use analysis::category;
use ledger::Snapshot;
use profile::{Profile, Symbols, ValueType, from_ledger_with};
use report::timeline::{Series, Timeline, timeline};

use crate::commands::record::watch::{Ledgers, Sight};
use crate::failure::Failure;

/// How often there is a line.
pub const EVERY: Duration = Duration::from_millis(250);

/// So many lines at most: when there are more, every second one is left out from then on.
const MOST: usize = 1_200;

/// The lines, each with what has changed since the one before: a recording of a day has as many
/// as one of five minutes, and most sites of most processes do not change.
pub struct OverTime {
    every: Duration,
    next: Duration,
    lines: Vec<Line>,
    /// Bytes in use by site at the last line.
    last: BTreeMap<PathBuf, Vec<u64>>,
}

struct Line {
    seconds: f64,
    processes: usize,
    connections: u64,
    rss: u64,
    /// The capture that was made at this line; such a line is never left out.
    capture: String,
    changes: Vec<(PathBuf, Vec<Change>)>,
}

/// A site's bytes in use, now less before.
#[derive(Clone, Copy)]
struct Change {
    site: u32,
    bytes: i64,
}

impl OverTime {
    /// No lines yet.
    pub fn start() -> OverTime {
        let next = Duration::ZERO;
        OverTime { every: EVERY, next, lines: Vec::new(), last: BTreeMap::new() }
    }

    /// Whether it is time for a line.
    pub fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.next
    }

    /// Adds a line. `capture` names the capture that was made of this sight, if there was one.
    pub fn add(&mut self, elapsed: Duration, sight: &Sight, capture: &str) {
        while self.next <= elapsed {
            self.next += self.every;
        }
        let changes = sight
            .ledgers
            .iter()
            .map(|(path, snapshot)| (path.clone(), self.changes(path, snapshot)))
            .filter(|(_, changes)| !changes.is_empty())
            .collect();
        self.lines.push(Line {
            seconds: elapsed.as_secs_f64(),
            processes: sight.running.len(),
            connections: u64::try_from(sight.ssl.live).unwrap_or_default(),
            rss: sight.running.iter().filter_map(|pid| proportional_bytes(*pid)).sum(),
            capture: capture.to_owned(),
            changes,
        });
        if self.lines.len() > MOST {
            self.thin_out();
        }
    }

    fn changes(&mut self, path: &Path, snapshot: &Snapshot) -> Vec<Change> {
        let last = self.last.entry(path.to_owned()).or_default();
        last.resize(snapshot.sites.len().max(last.len()), 0);
        let mut changes = Vec::new();
        for (at, (last, site)) in last.iter_mut().zip(&snapshot.sites).enumerate() {
            let now = site.counts.inuse_bytes;
            if now != *last {
                changes.push(Change { site: at as u32, bytes: now.wrapping_sub(*last) as i64 });
                *last = now;
            }
        }
        changes
    }

    /// Leaves out every second line, and hands its changes to the one after it.
    fn thin_out(&mut self) {
        self.every *= 2;
        let mut kept: Vec<Line> = Vec::with_capacity(MOST);
        let mut waiting = Vec::new();
        let newest = self.lines.len() - 1;
        for (at, mut line) in std::mem::take(&mut self.lines).into_iter().enumerate() {
            if at % 2 == 1 && at < newest && line.capture.is_empty() {
                waiting = line.changes;
            } else {
                waiting.append(&mut line.changes);
                line.changes = std::mem::take(&mut waiting);
                kept.push(line);
            }
        }
        self.lines = kept;
    }

    /// The lines in columns, with a column for each top-level category. `last` are later readings
    /// of the same ledgers.
    pub fn table(&self, last: &Ledgers, symbols: &mut Symbols) -> Table<'_> {
        let mut groups: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
        for (path, snapshot) in last {
            self.add_groups(path, snapshot, symbols, &mut groups);
        }
        Table { lines: &self.lines, columns: groups.into_iter().collect() }
    }

    fn add_groups(
        &self,
        path: &Path,
        snapshot: &Snapshot,
        symbols: &mut Symbols,
        groups: &mut BTreeMap<&'static str, Vec<u64>>,
    ) {
        let mut changes: HashMap<usize, Vec<(usize, i64)>> = HashMap::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (_, of_ledger) in line.changes.iter().filter(|(of, _)| of == path) {
                for change in of_ledger {
                    changes.entry(change.site as usize).or_default().push((at, change.bytes));
                }
            }
        }
        // A profile with one column for each line: so sites get their names and categories in
        // the same way as everywhere else.
        let column = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
        let empty = Profile::new(vec![column; self.lines.len()], None);
        let profile = from_ledger_with(snapshot, symbols, empty, |site| {
            let mut values = vec![0; self.lines.len()];
            for (at, bytes) in changes.get(&site).into_iter().flatten() {
                values[*at] += bytes;
            }
            let mut sum = 0;
            for value in &mut values {
                sum += *value;
                *value = sum;
            }
            values
        });
        for sample in profile.samples() {
            let group = category::of_sample(&profile, sample).group();
            let sums = groups.entry(group).or_insert_with(|| vec![0; self.lines.len()]);
            for (sum, value) in sums.iter_mut().zip(&sample.values) {
                *sum = sum.saturating_add_signed(*value);
            }
        }
    }
}

/// The part of resident memory that is charged to a process: pages that several share are divided
/// among them. `None` once it is gone, or when it may not be looked into.
fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The lines in columns.
pub struct Table<'a> {
    lines: &'a [Line],
    /// Bytes in use by group, one value for each line.
    columns: Vec<(&'static str, Vec<u64>)>,
}

impl Table<'_> {
    /// As `timeline.csv`.
    pub fn csv(&self) -> Result<Vec<u8>, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut heading = vec!["seconds", "processes", "connections", "rss", "capture"];
        heading.extend(self.columns.iter().map(|(group, _)| group));
        writer.write_record(&heading)?;
        for (at, line) in self.lines.iter().enumerate() {
            let mut record = vec![
                format!("{:.3}", line.seconds),
                line.processes.to_string(),
                line.connections.to_string(),
                line.rss.to_string(),
                line.capture.clone(),
            ];
            record.extend(self.columns.iter().map(|(_, bytes)| bytes[at].to_string()));
            writer.write_record(&record)?;
        }
        Ok(writer.into_inner().map_err(|error| anyhow::Error::msg(error.to_string()))?)
    }

    /// As a picture; `None` when there is too little to draw.
    pub fn svg(&self, title: &str) -> Result<Option<String>, Failure> {
        if self.lines.len() < 2 {
            return Ok(None);
        }
        let picture = Timeline {
            seconds: self.lines.iter().map(|line| line.seconds).collect(),
            connections: self.lines.iter().map(|line| line.connections).collect(),
            rss: self.lines.iter().map(|line| line.rss).collect(),
            phases: Vec::new(),
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
    use std::sync::Arc;

    use ledger::{Counts, Site};

    use super::*;

    fn sight(ledgers: &[(&str, &[u64])]) -> Sight {
        let snapshot = |sites: &[u64]| {
            let site = |bytes: &u64| Site {
                file: Some("ssl/ssl_lib.c".into()),
                counts: Counts { inuse_bytes: *bytes, ..Counts::default() },
                ..Site::default()
            };
            Snapshot { sites: sites.iter().map(site).collect(), ..Snapshot::default() }
        };
        let ledgers = ledgers
            .iter()
            .map(|(path, sites)| (PathBuf::from(path), Arc::new(snapshot(sites))))
            .collect();
        Sight { ledgers, ..Sight::default() }
    }

    fn table_of(over_time: &OverTime, last: &Sight) -> String {
        let table = over_time.table(&last.ledgers, &mut Symbols::new());
        table.csv().map(|csv| String::from_utf8(csv).expect("text")).expect("a table")
    }

    #[test]
    fn each_line_has_the_sum_of_all_processes() {
        let mut over_time = OverTime::start();
        let seen = [
            sight(&[("a", &[5])]),
            sight(&[("a", &[5, 20]), ("b", &[100])]),
            sight(&[("a", &[0, 21]), ("b", &[0])]),
        ];
        for (at, sight) in seen.iter().enumerate() {
            let capture = if at == 1 { "baseline" } else { "" };
            over_time.add(EVERY * at as u32, sight, capture);
        }
        assert_eq!(
            table_of(&over_time, &seen[2]),
            "seconds,processes,connections,rss,capture,tls\n\
             0.000,0,0,0,,5\n0.250,0,0,0,baseline,125\n0.500,0,0,0,,21\n"
        );
    }

    #[test]
    fn a_long_recording_has_fewer_lines_with_the_same_figures() {
        let mut over_time = OverTime::start();
        let last = sight(&[("a", &[7_777])]);
        let mut lines = 0;
        for at in 0..5_000_u32 {
            if over_time.is_due(EVERY * at) {
                let bytes = if at == 4_999 { 7_777 } else { u64::from(at) };
                over_time.add(EVERY * at, &sight(&[("a", &[bytes])]), "");
                lines += 1;
            }
        }
        assert!(lines < 5_000 && over_time.lines.len() <= MOST);
        for line in table_of(&over_time, &last).lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let seconds: f64 = fields[0].parse().expect("seconds");
            let expected = format!("{:.0}", seconds / EVERY.as_secs_f64());
            assert_eq!(fields[5], expected, "{line}");
        }
    }
}
