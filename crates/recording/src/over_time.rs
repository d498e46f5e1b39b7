//! Memory over time: gathered while the program runs, and made a table of at its end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::memory::Resident;
use crate::profiles;
use crate::watch::{Ledgers, Sight};
use analysis::footprint::Footprint;
use analysis::over_time::{Groups, Series};
use analysis::timeline::Timeline;
use capture::timeline::{Column, EVERY, Table, add_ledger_from, in_thousandths};
use contract::Domain;
use ledger::{Site, Snapshot};
use profile::Symbols;

/// So many lines at most, besides those of captures: when there are more, every second one is left
/// out from then on.
const MOST: usize = 1_200;

/// The lines, each with what has changed since the one before: a recording of a day has as many
/// as one of five minutes, and most sites of most processes do not change.
#[derive(Clone)]
pub struct OverTime {
    every: Duration,
    next: Duration,
    lines: Vec<Line>,
    /// How many of them may be left out.
    plain: usize,
    /// What was seen at the last line.
    last: Ledgers,
    /// As that, of what is not OpenSSL's.
    last_heap: Ledgers,
}

#[derive(Clone)]
struct Line {
    seconds: f64,
    processes: usize,
    connections: u64,
    resident: Option<Resident>,
    /// What [`IN_ONE`] have; `None` where that is not recorded.
    in_one: Option<InOne>,
    /// The capture that was made at this line; such a line is never left out.
    capture: String,
    /// Of OpenSSL and of what is mapped. A ledger has each site once, whoever's it is.
    changes: Vec<(PathBuf, Vec<Change>)>,
}

/// A site's bytes in use, now less before.
#[derive(Clone, Copy)]
struct Change {
    site: u32,
    bytes: i64,
}

/// Lines lie so far apart at least, in seconds: the table has milliseconds, and they are to rise.
const APART: f64 = 0.0015;

impl OverTime {
    /// No lines yet.
    pub fn start() -> OverTime {
        let next = Duration::ZERO;
        let (last, last_heap) = (Ledgers::new(), Ledgers::new());
        OverTime { every: EVERY, next, lines: Vec::new(), plain: 0, last, last_heap }
    }

    /// Whether it is time for a line.
    pub fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.next
    }

    /// Adds a line. `resident` is the processes' memory, where it was read; `capture` names the
    /// capture that was made of this sight, if there was one.
    pub fn add(
        &mut self,
        elapsed: Duration,
        sight: &Sight,
        resident: Option<Resident>,
        capture: &str,
    ) {
        while self.next <= elapsed {
            self.next = self.next.saturating_add(self.every);
        }
        self.plain += usize::from(capture.is_empty());
        let changes = sight
            .ledgers
            .iter()
            .map(|(path, snapshot)| {
                (path.clone(), self.changes(path, snapshot, sight.heap.get(path)))
            })
            .filter(|(_, changes)| !changes.is_empty())
            .collect();
        // Two looks may follow each other at once, as the last two of a process that is let go.
        let after = self.lines.last().map_or(0.0, |last| last.seconds + APART);
        self.lines.push(Line {
            seconds: elapsed.as_secs_f64().max(after),
            processes: sight.running.len(),
            connections: u64::try_from(sight.ssl.live).unwrap_or_default(),
            resident,
            in_one: InOne::of(sight),
            capture: capture.to_owned(),
            changes,
        });
        if self.plain > MOST {
            self.thin_out();
        }
    }

    /// What was seen in a ledger is seen at one time, `heap` being what in it is not OpenSSL's.
    fn changes(
        &mut self,
        path: &Path,
        now: &Arc<Snapshot>,
        heap: Option<&Arc<Snapshot>>,
    ) -> Vec<Change> {
        let last = self.last.get(path);
        // As it is of every process that has ended: there may be thousands.
        if last.is_some_and(|last| Arc::ptr_eq(last, now)) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        add_changes(&mut changes, last, now, |_| true);
        self.last.insert(path.to_owned(), Arc::clone(now));
        if let Some(heap) = heap {
            add_changes(&mut changes, self.last_heap.get(path), heap, is_mapped);
            self.last_heap.insert(path.to_owned(), Arc::clone(heap));
        }
        changes
    }

    /// Leaves out every second line that is no capture's, and hands its changes to the one after
    /// it.
    fn thin_out(&mut self) {
        self.every = self.every.saturating_mul(2);
        let mut kept: Vec<Line> = Vec::with_capacity(self.lines.len());
        let mut waiting = Vec::new();
        let newest = self.lines.len() - 1;
        let (mut plain, mut seen) = (0, 0);
        for (at, mut line) in std::mem::take(&mut self.lines).into_iter().enumerate() {
            let may_go = line.capture.is_empty();
            seen += usize::from(may_go);
            if may_go && seen % 2 == 0 && at < newest {
                waiting = line.changes;
            } else {
                waiting.append(&mut line.changes);
                line.changes = std::mem::take(&mut waiting);
                plain += usize::from(may_go);
                kept.push(line);
            }
        }
        self.plain = plain;
        self.lines = kept;
    }

    /// The table: what is known of each line, and a column for each top-level category. `last` are
    /// later readings of the same ledgers.
    pub fn table(&self, last: &Ledgers, symbols: &mut Symbols) -> Table {
        let lines = &self.lines;
        let mut groups = Groups::of(lines.len());
        let changes = self.changes_by_ledger();
        for (path, snapshot) in last.iter().filter(|_| !lines.is_empty()) {
            let none = Changes::default();
            let changes = match changes.get(path.as_path()) {
                Some(changes) => changes,
                // Never seen with anything, as most of very many processes are: it is nothing to
                // what others were seen with. Of a sample it is not known what was there.
                None if !changes.is_empty() && snapshot.sampling.is_none() => continue,
                None => &none,
            };
            let bytes = |site| changes.bytes(snapshot, site);
            add_ledger_from(&mut groups, snapshot, symbols, &changes.lines, bytes);
        }
        // A sample does not say how many objects there are.
        let counted = last.values().all(|snapshot| snapshot.sampling.is_none());
        let connections = || lines.iter().map(|line| line.connections).collect();
        let mut timeline = Timeline {
            seconds: lines.iter().map(|line| in_thousandths(line.seconds)).collect(),
            connections: counted.then(connections),
            rss: lines.iter().map(|line| Some(line.resident?.bytes)).collect(),
            series: groups.series(),
            openssl_margins: groups.margins(),
            phases: Vec::new(),
        };
        let [heap, python] = [0, 1].map(|at| self.series_in_one(at, counted));
        timeline.series.extend(heap);
        timeline.series.extend(self.mapped(&changes, counted, symbols));
        timeline.series.extend(python);
        self.be_certain_of_nothing(&mut timeline);
        let leading = vec![
            Column::seconds(&timeline),
            Column::of("processes", lines.iter().map(|line| line.processes.to_string())),
            Column::connections(&timeline),
            Column::rss(&timeline),
            self.part("anonymous", |parts| parts.anonymous),
            self.part("shared", |parts| parts.shared),
            self.part("files", |parts| parts.files),
            Column::of("capture", lines.iter().map(|line| line.capture.clone())),
        ];
        Table { leading, timeline }
    }

    /// What one of [`IN_ONE`] has, unless that is nothing.
    fn series_in_one(&self, at: usize, counted: bool) -> Option<Series> {
        let of_line = |line: &Line| line.in_one.map_or(0, |in_one| in_one.bytes[at]);
        let bytes: Vec<u64> = self.lines.iter().map(of_line).collect();
        // In a sample there is no other than the malloc family's.
        let margin = |line: &Line| line.in_one.and_then(|in_one| in_one.heap_margin);
        let margins = self.lines.iter().map(|line| margin(line).unwrap_or_default());
        let margins = (!counted).then(|| margins.collect());
        let group = IN_ONE[at].word().to_owned();
        bytes.iter().any(|bytes| *bytes != 0).then_some(Series { group, bytes, margins })
    }

    /// What is mapped, by what it is for.
    fn mapped(
        &self,
        changes: &HashMap<&Path, Changes>,
        counted: bool,
        symbols: &mut Symbols,
    ) -> Vec<Series> {
        let mut groups = Groups::of(self.lines.len());
        for (path, heap) in &self.last_heap {
            let Some(changes) = changes.get(path.as_path()) else { continue };
            let of_site =
                |site: &Site| if is_mapped(site) { site.clone() } else { Site::default() };
            let mapped = Snapshot {
                sites: heap.sites.iter().map(of_site).collect(),
                modules: heap.modules.clone(),
                ..Snapshot::default()
            };
            let bytes = |site| changes.bytes(&mapped, site);
            add_ledger_from(&mut groups, &mapped, symbols, &changes.lines, bytes);
        }
        let mut series = groups.series();
        series.retain(|series| series.bytes.iter().any(|bytes| *bytes != 0));
        for series in &mut series {
            // Every mapping is counted, whatever is sampled beside it.
            series.margins = (!counted).then(|| vec![0; self.lines.len()]);
        }
        series
    }

    /// A part of resident memory, in the lines for which all areas were read.
    fn part(&self, name: &str, of: impl Fn(&Footprint) -> u64) -> Column {
        let parts = self.lines.iter().map(|line| line.resident.and_then(|it| it.parts));
        Column::of(name, parts.map(|it| it.map(|it| of(&it).to_string()).unwrap_or_default()))
    }

    /// Where no process runs, nothing is held, whatever was sampled.
    fn be_certain_of_nothing(&self, timeline: &mut Timeline) {
        let of_groups = timeline.series.iter_mut().filter_map(|series| series.margins.as_mut());
        for margins in of_groups.chain(&mut timeline.openssl_margins) {
            for (margin, line) in margins.iter_mut().zip(&self.lines) {
                if line.processes == 0 {
                    *margin = 0;
                }
            }
        }
    }

    /// The changes of each ledger.
    fn changes_by_ledger(&self) -> HashMap<&Path, Changes> {
        let mut all: HashMap<&Path, Changes> = HashMap::new();
        for (at, line) in self.lines.iter().enumerate() {
            for (path, of_ledger) in &line.changes {
                all.entry(path).or_default().add(at, of_ledger);
            }
        }
        all
    }
}

/// Who has one column for all. What is mapped has one for each of its categories.
const IN_ONE: [Domain; 2] = [Domain::Heap, Domain::Python];

/// What they have, of all processes.
#[derive(Clone, Copy)]
struct InOne {
    /// Bytes in use of each of [`IN_ONE`].
    bytes: [u64; IN_ONE.len()],
    /// Half the width of the 95 % interval of the malloc family's, where a part is counted.
    heap_margin: Option<u64>,
}

impl InOne {
    /// `None` where they are not recorded.
    fn of(sight: &Sight) -> Option<InOne> {
        if sight.heap.is_empty() {
            return None;
        }
        let bytes = IN_ONE.map(|domain| profiles::totals_of(&sight.heap, domain));
        let heap_margin = bytes[0].inuse_bytes_margin().map(|margin| margin.round() as u64);
        Some(InOne { bytes: bytes.map(|counts| counts.inuse_bytes), heap_margin })
    }
}

fn is_mapped(site: &Site) -> bool {
    site.source.domain == Domain::Mapping
}

/// Adds the changes of those sites that `counts` says.
fn add_changes(
    changes: &mut Vec<Change>,
    last: Option<&Arc<Snapshot>>,
    now: &Snapshot,
    counts: impl Fn(&Site) -> bool,
) {
    for (at, site) in now.sites.iter().enumerate().filter(|(_, site)| counts(site)) {
        let before = last.and_then(|last| last.sites.get(at));
        let before = before.map_or(0, |site| site.counts.inuse_bytes);
        if site.counts.inuse_bytes != before {
            let bytes = site.counts.inuse_bytes.wrapping_sub(before) as i64;
            changes.push(Change { site: at as u32, bytes });
        }
    }
}

/// What changed in one ledger.
struct Changes {
    /// The lines from which on something is different, and the first.
    lines: Vec<usize>,
    /// Of each site, with the place of the line in `lines`.
    of_sites: HashMap<usize, Vec<(usize, i64)>>,
}

impl Default for Changes {
    fn default() -> Self {
        Changes { lines: vec![0], of_sites: HashMap::new() }
    }
}

impl Changes {
    /// Adds those of a line, of which there are some. Lines come in order.
    fn add(&mut self, line: usize, changes: &[Change]) {
        if self.lines.last() != Some(&line) {
            self.lines.push(line);
        }
        let at = self.lines.len() - 1;
        for change in changes {
            self.of_sites.entry(change.site as usize).or_default().push((at, change.bytes));
        }
    }

    /// A site's bytes in use from each of the lines on; nothing of one that is in another part of
    /// the ledger than `part`.
    fn bytes(&self, part: &Snapshot, site: usize) -> Vec<i64> {
        let mut values = vec![0; self.lines.len()];
        if part.sites[site].is_empty() {
            return values;
        }
        for (at, bytes) in self.of_sites.get(&site).into_iter().flatten() {
            values[*at] += bytes;
        }
        let mut sum = 0;
        for value in &mut values {
            sum += *value;
            *value = sum;
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use contract::Source;
    use ledger::{Counts, Sampling};

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

    /// What is seen in a sample of one in 100 bytes and blocks of 10, in a process that runs.
    fn sampled(sight: Sight) -> Sight {
        let mut sight = sight;
        for snapshot in sight.ledgers.values_mut().map(Arc::make_mut) {
            snapshot.sampling = Sampling::every(100);
            snapshot.sites.iter_mut().for_each(|site| site.block_bytes = 10);
        }
        sight.running = vec![std::process::id()];
        sight
    }

    fn table_of(over_time: &OverTime, last: &Sight) -> String {
        let table = over_time.table(&last.ledgers, &mut Symbols::new());
        String::from_utf8(table.csv()).expect("text")
    }

    #[test]
    fn lines_of_one_moment_rise_all_the_same() {
        let mut over_time = OverTime::start();
        let seen = sight(&[("a", &[1])]);
        for _ in 0..3 {
            over_time.add(Duration::from_micros(12_400), &seen, None, "");
        }
        let table = table_of(&over_time, &seen);
        let lines = table.lines().skip(1);
        let seconds: Vec<&str> = lines.filter_map(|line| line.split(',').next()).collect();
        assert_eq!(seconds, ["0.012", "0.014", "0.015"], "{table}");
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
            over_time.add(EVERY * at as u32, sight, None, capture);
        }
        assert_eq!(
            table_of(&over_time, &seen[2]),
            "seconds,processes,connections,rss,anonymous,shared,files,capture,tls\n\
             0.000,0,0,,,,,,5\n0.250,0,0,,,,,baseline,125\n0.500,0,0,,,,,,21\n"
        );
    }

    #[test]
    fn what_is_mapped_has_a_column_for_what_it_is_for_and_the_heap_one_for_all() {
        let of = |domain, inuse_bytes| Site {
            source: Source { domain, ..Source::default() },
            counts: Counts { inuse_bytes, ..Counts::default() },
            ..Site::default()
        };
        let seen = [[7, 100, 4_096], [5, 200, 8_192]].map(|[openssl, heap, mapped]| {
            let mut sight = sight(&[("a", &[openssl, 0, 0])]);
            let part = sight.ledgers.values_mut().next().map(Arc::make_mut).unwrap();
            part.sites[1..].fill(Site::default());
            let sites = vec![Site::default(), of(Domain::Heap, heap), of(Domain::Mapping, mapped)];
            let heap = Arc::new(Snapshot { sites, ..Snapshot::default() });
            sight.heap.insert(PathBuf::from("a"), heap);
            sight
        });
        let mut over_time = OverTime::start();
        for (at, sight) in seen.iter().enumerate() {
            over_time.add(EVERY * at as u32, sight, None, "");
        }
        assert_eq!(
            table_of(&over_time, &seen[1]),
            "seconds,processes,connections,rss,anonymous,shared,files,capture,tls,heap,mapping\n\
             0.000,0,0,,,,,,7,100,4096\n0.250,0,0,,,,,,5,200,8192\n"
        );
    }

    #[test]
    fn of_a_sample_each_column_has_its_margin_and_connections_are_not_known() {
        let mut over_time = OverTime::start();
        let running = sampled(sight(&[("a", &[1_051, 0])]));
        let ended = Sight { running: Vec::new(), ..sampled(sight(&[("a", &[0, 0])])) };
        over_time.add(EVERY, &running, Some(Resident { bytes: 7, parts: None }), "");
        over_time.add(2 * EVERY, &ended, None, "");
        let table = table_of(&over_time, &ended);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0],
            "seconds,processes,connections,rss,anonymous,shared,files,capture,tls,tls_margin95,\
             openssl_margin95"
        );
        let fields: Vec<&str> = lines[1].split(',').collect();
        // A counted block of 10 bytes stands for 105.08, with a variance of 95.08 times as many:
        // 1.96 √((1,051 + 105.08) 95.08); where blocks may be smaller, 1.96 √(1,051 · 95.08 +
        // 10,000).
        assert_eq!(fields[..3], ["0.250", "1", ""]);
        assert_eq!(fields[3..], ["7", "", "", "", "", "1051", "650", "650"]);
        assert_eq!(lines[2], "0.500,0,,,,,,,0,0,0", "nothing runs, nothing is held");
    }

    #[test]
    fn a_long_recording_has_fewer_lines_with_the_same_figures() {
        let mut over_time = OverTime::start();
        let last = sight(&[("a", &[7_777])]);
        let mut lines = 0;
        for at in 0..5_000_u32 {
            if over_time.is_due(EVERY * at) {
                let bytes = if at == 4_999 { 7_777 } else { u64::from(at) };
                over_time.add(EVERY * at, &sight(&[("a", &[bytes])]), None, "");
                lines += 1;
            }
        }
        assert!(lines < 5_000 && over_time.lines.len() <= MOST);
        for line in table_of(&over_time, &last).lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let seconds: f64 = fields[0].parse().expect("seconds");
            let expected = format!("{:.0}", seconds / EVERY.as_secs_f64());
            assert_eq!(fields[8], expected, "{line}");
        }
    }

    #[test]
    fn a_series_of_any_length_keeps_its_lines_and_those_between() {
        let mut over_time = OverTime::start();
        let last = sight(&[("a", &[7_777])]);
        // Each second line is a capture's.
        for at in 0..4 * MOST as u32 {
            let elapsed = EVERY * at;
            let capture = if at % 2 == 1 { "series/001.pb.gz" } else { "" };
            if over_time.is_due(elapsed) || !capture.is_empty() {
                over_time.add(elapsed, &sight(&[("a", &[u64::from(at)])]), None, capture);
            }
        }
        let captures = over_time.lines.iter().filter(|line| !line.capture.is_empty());
        assert_eq!(captures.count(), 2 * MOST);
        assert!((MOST / 2..=MOST).contains(&over_time.plain), "{}", over_time.plain);
        assert_eq!(over_time.lines.len(), 2 * MOST + over_time.plain);
        assert_eq!(over_time.every, 2 * EVERY, "as often as there is a need for it");
        for line in table_of(&over_time, &last).lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let seconds: f64 = fields[0].parse().expect("seconds");
            let expected = format!("{:.0}", seconds / EVERY.as_secs_f64());
            assert_eq!(fields[8], expected, "{line}");
        }
    }
}
