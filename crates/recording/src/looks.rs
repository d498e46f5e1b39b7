//! What each look has seen of each line of OpenSSL's, for what a connection costs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analysis::steps::{Look, Looks, Numbers, StepCost, WARM, estimate};
use contract::{Domain, Source};
use ledger::{Site, Snapshot};

use crate::watch::{Ledgers, Opened, Sight, SslObjects};

/// A line of a library's that allocates, or where the library passes none the address that calls
/// the hook. Of other code, which passes none, what calls its functions for allocating: more frames
/// than those have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Line {
    Of(Source, Arc<str>, u32),
    At(Source, u64),
    Under(Source, [u64; FRAMES]),
}

/// Frames of other code's stacks that tell its lines apart: an allocator within an allocator has
/// two or three.
const FRAMES: usize = 6;

impl Line {
    fn of(site: &Site) -> Line {
        match &site.file {
            Some(file) if !file.is_empty() => Line::Of(site.source, Arc::clone(file), site.line),
            // NULL, or a library that was built without the names of its files.
            _ if site.source.domain == Domain::Openssl => {
                Line::At(site.source, site.stack.first().copied().unwrap_or_default())
            }
            _ => {
                let mut frames = [0; FRAMES];
                frames.iter_mut().zip(&site.stack).for_each(|(frame, address)| *frame = *address);
                Line::Under(site.source, frames)
            }
        }
    }
}

/// The line of a site of which nothing is known yet.
const UNKNOWN: u32 = u32::MAX;
/// The line of a site that is another domain's.
const OTHERS: u32 = u32::MAX - 1;

/// The looks at every process.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Whose sites are looked at; `None` for all.
    domain: Option<Domain>,
    lines: HashMap<Line, u32>,
    processes: BTreeMap<PathBuf, OfProcess>,
    /// All processes that run as if they were one.
    together: Looks,
}

#[derive(Clone, Debug, Default)]
struct OfProcess {
    looks: Looks,
    /// The last look, and at what.
    last: Option<(Arc<Snapshot>, Look)>,
    /// The number of each site's line, in the order of the ledger's sites.
    of_sites: Vec<u32>,
    /// With the fewest connections, behind the first ones if it came to that, and with the most.
    fewest: Option<Fewest>,
    most: Option<(i64, Arc<Snapshot>)>,
    /// SSL objects that were live at the last look, and ever made.
    live: i64,
    made: i64,
    /// Those that were live at the capture, where more looks have come behind it.
    at_capture: Option<i64>,
}

#[derive(Clone, Debug)]
struct Fewest {
    is_warm: bool,
    live: i64,
    snapshot: Arc<Snapshot>,
}

/// What one connection costs, and what of the processes' memory is connections' by that.
pub struct Cost<'a> {
    /// Per connection.
    pub each: StepCost,
    gathered: &'a Gathered,
    /// Open connections at the capture, by the process's ledger.
    open: BTreeMap<&'a Path, i64>,
}

impl Gathered {
    /// Nothing yet, and of one domain alone.
    pub fn of(domain: Domain) -> Gathered {
        Gathered { domain: Some(domain), ..Gathered::default() }
    }

    /// Takes note of what is seen of the processes that run.
    pub fn add(&mut self, sight: &Sight) {
        self.add_part(sight, &sight.ledgers);
    }

    /// Takes note of a part of what is seen: of these ledgers.
    pub fn add_part(&mut self, sight: &Sight, ledgers: &Ledgers) {
        let mut together = Look::default();
        let mut held: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
        for (path, snapshot) in ledgers {
            let Some(ssl) = sight.ssl_of_running.get(path) else {
                self.end(path);
                continue;
            };
            let process = self.processes.get_mut(path);
            let last = process.and_then(|it| Some((it.last.take()?, &mut it.of_sites)));
            let (of_sites, held_now) = match last {
                // Nothing was counted since.
                Some(((seen, look), of_sites)) if Arc::ptr_eq(&seen, snapshot) => {
                    (std::mem::take(of_sites), look.held)
                }
                _ => {
                    let of_sites = self.lines_of(path, snapshot);
                    let held = held_by(snapshot, &of_sites);
                    (of_sites, held)
                }
            };
            let opened = sight.opened.get(path).copied().unwrap_or_default();
            let look = Look { numbers: numbers(*ssl, opened), held: held_now };
            for (line, blocks, bytes) in &look.held {
                let sum = held.entry(*line).or_default();
                *sum = (sum.0.saturating_add(*blocks), sum.1.saturating_add(*bytes));
            }
            together.numbers.live += ssl.live;
            let process = self.processes.entry(path.clone()).or_default();
            process.looks.add(&look);
            process.of_sites = of_sites;
            process.keep_extremes(snapshot, *ssl);
            (process.live, process.made) = (ssl.live, ssl.made);
            process.last = Some((Arc::clone(snapshot), look));
        }
        // Those of processes that have ended were made as well.
        together.numbers.made = self.processes.values().map(|process| process.made).sum();
        together.held = held.into_iter().map(|(line, sum)| (line, sum.0, sum.1)).collect();
        self.together.add(&together);
    }

    /// The process has ended: what it held has gone with it.
    fn end(&mut self, path: &Path) {
        if let Some(process) = self.processes.get_mut(path) {
            process.looks.end();
            process.live = 0;
            process.last = None;
            // There may be thousands of those.
            if !process.looks.has_connections() {
                self.processes.remove(path);
            }
        }
    }

    /// The last looks are of the capture: the connections that are open now are its own.
    pub fn mark(&mut self) {
        self.together.mark();
        for process in self.processes.values_mut() {
            process.looks.mark();
            process.at_capture.get_or_insert(process.live);
        }
    }

    /// The numbers of the sites' lines. A site is never changed: only new ones are looked up, and
    /// those that were just being made.
    fn lines_of(&mut self, path: &Path, snapshot: &Snapshot) -> Vec<u32> {
        let known = self.processes.get_mut(path).map(|process| &mut process.of_sites);
        let mut of_sites = known.map(std::mem::take).unwrap_or_default();
        of_sites.resize(snapshot.sites.len(), UNKNOWN);
        let unknown = of_sites.iter_mut().zip(&snapshot.sites);
        for (line, site) in unknown.filter(|(line, site)| **line == UNKNOWN && !site.is_empty()) {
            if self.domain.is_some_and(|domain| domain != site.source.domain) {
                *line = OTHERS;
                continue;
            }
            let next = self.lines.len() as u32;
            *line = *self.lines.entry(Line::of(site)).or_insert(next);
        }
        of_sites
    }

    /// What one connection costs, where that can be said.
    pub fn cost(&self) -> Option<Cost<'_>> {
        let with_connections: Vec<(&Path, &OfProcess)> = self
            .processes
            .iter()
            .filter(|(_, process)| process.looks.has_connections())
            .map(|(path, process)| (path.as_path(), process))
            .collect();
        // What a process pays once is its connection's where each has one of its own.
        let of_one = with_connections.iter().filter(|(_, process)| process.made <= 1).count();
        let (each, open) = if 2 * of_one > with_connections.len() && with_connections.len() > 1 {
            let open =
                |(_, process): &(&Path, &OfProcess)| process.at_capture.unwrap_or(process.live);
            (estimate(&[&self.together])?, with_connections.iter().map(open).collect())
        } else {
            let looks: Vec<&Looks> = with_connections.iter().map(|(_, it)| &it.looks).collect();
            let each = estimate(&looks)?;
            let open = each.open_connections.clone();
            (each, open)
        };
        let paths = with_connections.into_iter().map(|(path, _)| path);
        Some(Cost { each, gathered: self, open: paths.zip(open).collect() })
    }
}

impl OfProcess {
    fn keep_extremes(&mut self, snapshot: &Arc<Snapshot>, ssl: SslObjects) {
        let live = ssl.live;
        // What the first connections pay once must not look like growth.
        let is_warm = ssl.made >= WARM;
        let is_better = self
            .fewest
            .as_ref()
            .is_none_or(|fewest| (is_warm, -live) >= (fewest.is_warm, -fewest.live));
        if is_better {
            self.fewest = Some(Fewest { is_warm, live, snapshot: Arc::clone(snapshot) });
        }
        if self.most.as_ref().is_none_or(|(most, _)| live >= *most) {
            self.most = Some((live, Arc::clone(snapshot)));
        }
    }

    /// Bytes and blocks by which each site grew from the fewest connections to those of `now`.
    fn growth(&self, open: i64, now: &Snapshot) -> Vec<(u64, u64)> {
        let nothing = Vec::new();
        let Some(Fewest { live: fewest, snapshot: before, .. }) = &self.fewest else {
            return nothing;
        };
        let after = match &self.most {
            Some((_, most)) if open <= *fewest => most,
            _ => now,
        };
        let of = |snapshot: &Snapshot, at: usize| {
            let counts = snapshot.sites.get(at).map(|site| site.counts).unwrap_or_default();
            (counts.inuse_bytes, counts.inuse_blocks)
        };
        let grown = |at: usize| {
            let (before, after) = (of(before, at), of(after, at));
            (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1))
        };
        (0..now.sites.len()).map(grown).collect()
    }
}

impl Cost<'_> {
    /// Open connections of all processes.
    pub fn connections(&self) -> u64 {
        u64::try_from(self.open.values().sum::<i64>()).unwrap_or_default()
    }

    /// Bytes and blocks of the connections that are open in a process, at each site of its ledger:
    /// what each holds at a line is divided among the line's sites by how they grew.
    pub fn of_connections(&self, path: &Path, now: &Snapshot) -> Vec<(u64, u64)> {
        let mut part = vec![(0, 0); now.sites.len()];
        let (Some(process), Some(open)) = (self.gathered.processes.get(path), self.open.get(path))
        else {
            return part;
        };
        let growth = process.growth(*open, now);
        let mut of_lines: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, line) in process.of_sites.iter().enumerate().take(now.sites.len()) {
            of_lines.entry(*line).or_default().push(at);
        }
        for (line, each) in &self.each.lines {
            let Some(sites) = of_lines.get(line) else { continue };
            let all = |figure: f64| (figure * *open as f64).round().max(0.0) as u64;
            let grown = |at: &usize| growth.get(*at).copied().unwrap_or_default();
            let held = |at: &usize| now.sites[*at].counts;
            let bytes = divide(all(each.bytes), sites, |at| grown(at).0, |at| held(at).inuse_bytes);
            let blocks =
                divide(all(each.blocks), sites, |at| grown(at).1, |at| held(at).inuse_blocks);
            for ((at, bytes), blocks) in sites.iter().zip(bytes).zip(blocks) {
                part[*at] = (bytes, blocks);
            }
        }
        part
    }
}

/// Divides `all` among sites by `weight`, or if none has any, by `most`, to none more than `most`;
/// what is left goes to those that have room.
fn divide(
    all: u64,
    sites: &[usize],
    weight: impl Fn(&usize) -> u64,
    most: impl Fn(&usize) -> u64,
) -> Vec<u64> {
    let grown = sites.iter().any(|at| weight(at) > 0);
    let weight = |at: &usize| if grown { weight(at) } else { most(at) };
    let weights: u128 = sites.iter().map(|at| u128::from(weight(at))).sum();
    let mut left = all;
    let mut parts: Vec<u64> = sites
        .iter()
        .map(|at| {
            let share = u128::from(all) * u128::from(weight(at)) / weights.max(1);
            let part = u64::try_from(share).unwrap_or(u64::MAX).min(most(at)).min(left);
            left -= part;
            part
        })
        .collect();
    for (part, at) in parts.iter_mut().zip(sites) {
        let more = left.min(most(at) - *part);
        *part += more;
        left -= more;
    }
    parts
}

fn held_by(snapshot: &Snapshot, of_sites: &[u32]) -> Vec<(u32, i64, i64)> {
    let mut held: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (site, line) in snapshot.sites.iter().zip(of_sites) {
        let counts = &site.counts;
        if counts.inuse_blocks > 0 && *line != OTHERS {
            let sum = held.entry(*line).or_default();
            sum.0 = sum.0.saturating_add_unsigned(counts.inuse_blocks);
            sum.1 = sum.1.saturating_add_unsigned(counts.inuse_bytes);
        }
    }
    held.into_iter().map(|(line, sum)| (line, sum.0, sum.1)).collect()
}

fn numbers(ssl: SslObjects, opened: Opened) -> Numbers {
    let Opened { files, threads } = opened;
    Numbers { live: ssl.live, made: ssl.made, files, threads }
}

#[cfg(test)]
mod tests {
    use ledger::Counts;

    use super::*;

    #[test]
    fn a_sum_is_divided_to_the_byte_and_nobody_gets_more_than_there_is() {
        let divided = |all, weights: &[u64], most: &[u64]| {
            let sites: Vec<usize> = (0..weights.len()).collect();
            divide(all, &sites, |at| weights[*at], |at| most[*at])
        };
        assert_eq!(divided(10, &[1, 1, 1], &[9, 9, 9]), [4, 3, 3]);
        assert_eq!(divided(10, &[0, 5, 0], &[9, 7, 9]), [3, 7, 0]);
        assert_eq!(divided(10, &[0, 0], &[6, 6]), [5, 5]);
        assert_eq!(divided(10, &[3, 3], &[2, 2]), [2, 2]);
    }

    /// What is seen of processes with so many live objects of as many that were made, each with a
    /// block for every one.
    fn sight(processes: &[(&str, i64)]) -> Sight {
        let mut sight = Sight::default();
        for (name, live) in processes {
            let blocks = *live as u64;
            let counts =
                Counts { inuse_blocks: blocks, inuse_bytes: 10 * blocks, ..Counts::default() };
            let site = Site { line: 7, stack: vec![1], counts, ..Site::default() };
            let snapshot = Snapshot { sites: vec![site], ..Snapshot::default() };
            sight.ledgers.insert(PathBuf::from(name), Arc::new(snapshot));
            let ssl = SslObjects { live: *live, made: *live };
            sight.ssl_of_running.insert(PathBuf::from(name), ssl);
        }
        sight
    }

    #[test]
    fn connections_of_the_capture_are_those_of_processes_that_ran_then() {
        let mut gathered = Gathered::default();
        for seen in [&[("a", 0), ("b", 0)], &[("a", 20), ("b", 30)], &[("a", 45), ("b", 60)]] {
            gathered.add(&sight(seen));
            gathered.add(&sight(seen));
        }
        // One has ended before the capture, the other ends behind it.
        let mut only_b = sight(&[("a", 45), ("b", 60)]);
        only_b.ssl_of_running.remove(Path::new("a"));
        gathered.add(&only_b);
        gathered.mark();
        only_b.ssl_of_running.clear();
        gathered.add(&only_b);
        assert_eq!(gathered.cost().expect("connections came").connections(), 60);
    }

    #[test]
    fn so_it_is_where_each_process_has_one_connection() {
        let names: Vec<String> = (0..30).map(|number| format!("{number:02}.ledger")).collect();
        let mut gathered = Gathered::default();
        // The ledgers of processes that have ended stay.
        let mut look = |started: usize, running: usize| {
            let ones: Vec<(&str, i64)> =
                names.iter().take(started).map(|name| (name.as_str(), 1)).collect();
            let mut seen = sight(&ones);
            for name in names.iter().take(started - running) {
                seen.ssl_of_running.remove(Path::new(name));
            }
            gathered.add(&seen);
            gathered.add(&seen);
        };
        for (started, running) in [(0, 0), (10, 10), (20, 20), (30, 30), (30, 18)] {
            look(started, running);
        }
        gathered.mark();
        gathered.add(&Sight { ssl_of_running: BTreeMap::new(), ..sight(&[("29.ledger", 1)]) });
        let cost = gathered.cost().expect("connections came and went");
        assert_eq!((cost.each.open.bytes, cost.connections()), (10.0, 18));
    }

    #[test]
    fn what_connections_hold_is_found_among_stacks_of_one_line() {
        let site = |stack: u64, blocks: u64| Site {
            file: Some("ssl/ssl_lib.c".into()),
            line: 7,
            stack: vec![stack],
            counts: Counts { inuse_blocks: blocks, inuse_bytes: 10 * blocks, ..Counts::default() },
            ..Site::default()
        };
        let path = PathBuf::from("1.ledger");
        let mut gathered = Gathered::default();
        let mut last = Arc::new(Snapshot::default());
        let mut made = 0;
        for live in [0_i64, 20, 3, 17, 0, 12] {
            made += live;
            // A hundred blocks of the configuration, three for each connection.
            let sites = vec![site(1, 100), site(2, 3 * live as u64)];
            last = Arc::new(Snapshot { sites, ..Snapshot::default() });
            let ssl = SslObjects { live, made };
            let sight = Sight {
                ledgers: [(path.clone(), Arc::clone(&last))].into(),
                ssl_of_running: [(path.clone(), ssl)].into(),
                ..Sight::default()
            };
            gathered.add(&sight);
            gathered.add(&sight);
        }
        let cost = gathered.cost().expect("connections came and went");
        assert_eq!((cost.each.open.bytes, cost.connections()), (30.0, 12));
        assert_eq!(cost.of_connections(&path, &last), [(0, 0), (360, 36)]);
    }
}
