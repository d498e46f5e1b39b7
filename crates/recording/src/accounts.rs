//! Accounts of what the resident memory of the recorded processes is, at the capture and before it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use analysis::account_growth::AccountGrowth;
use analysis::footprint::RecorderParts;
use analysis::resident_account::{Held, ResidentAccount, resident_account};
use contract::Domain;
use ledger::{Counts, Snapshot};
use profile::smaps;

use crate::ledger_folder;
use crate::process_memory::ProcessMemory;
use crate::watch::{Ledgers, Sight};
use crate::{kernel, opening};

/// What is kept of the accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// By live SSL objects, at moments at which nothing moved.
    earlier: BTreeMap<u64, ResidentAccount>,
    captured: Option<(u64, ResidentAccount)>,
    /// After the connections of the capture were closed.
    closed: Option<ResidentAccount>,
    /// The last of those that are made from time to time, for programs that end by themselves.
    last: Option<Last>,
    /// The processes could not all be looked into.
    is_barred: bool,
    ledgers: LedgerNumbers,
}

/// An account of no special moment.
#[derive(Clone, Debug)]
struct Last {
    account: ResidentAccount,
    /// The processes' own memory then.
    own: u64,
    /// Bytes in live blocks and mappings then.
    live: u64,
    /// When it is time for another.
    next: Option<Instant>,
}

/// Making accounts takes at most one part in so many of the time.
const SHARE: u32 = 50;

/// Memory that has changed by less than one part in so many is what it was.
const CHANGED: u64 = 16;

impl Accounts {
    /// None is made: some blocks are known to nobody.
    pub fn barred() -> Accounts {
        Accounts { is_barred: true, ..Accounts::default() }
    }

    /// Makes one, unless there is one of nearly as many connections: each takes as long as the
    /// tables of live blocks are large.
    pub fn look(&mut self, sight: &Sight, recorder: &RecorderParts<'_>) {
        let live = connections(sight);
        let is_new = self.earlier.last_key_value().is_none_or(|(last, _)| live * 4 >= last * 5);
        if is_new && let Some(account) = self.of(sight, recorder) {
            self.earlier.insert(live, account);
        }
    }

    /// Makes one of the capture.
    pub fn capture(&mut self, sight: &Sight, recorder: &RecorderParts<'_>) {
        self.captured = self.of(sight, recorder).map(|account| (connections(sight), account));
    }

    /// Makes one of the moment at which the connections of the capture are closed.
    pub fn close(&mut self, sight: &Sight, recorder: &RecorderParts<'_>) {
        self.closed = self.of(sight, recorder);
    }

    /// Makes one where none was made for a while and the processes' own memory, which is `own`, has
    /// changed, or what lives in it: a program that ends by itself cannot be looked into any more.
    pub fn note(&mut self, sight: &Sight, own: u64, recorder: &RecorderParts<'_>) {
        let of = |snapshot: &Arc<Snapshot>| snapshot.totals().inuse_bytes;
        let live = sight.ledgers.values().chain(sight.heap.values()).map(of).sum();
        let is_due = self.last.as_ref().is_none_or(|last| {
            let changed = own.abs_diff(last.own).max(last.live.abs_diff(live));
            changed.saturating_mul(CHANGED) >= last.own
                && last.next.is_some_and(|next| Instant::now() >= next)
        });
        if !is_due || sight.heap.is_empty() {
            return;
        }
        let began = Instant::now();
        if let Some(account) = self.of(sight, recorder) {
            let pause = (SHARE * began.elapsed()).max(AT_LEAST_BETWEEN);
            self.last = Some(Last { account, own, live, next: Instant::now().checked_add(pause) });
        }
    }

    /// At the capture, or where the program had ended by then the last that was made.
    pub fn at_capture(&self) -> Option<&ResidentAccount> {
        let captured = self.captured.as_ref().map(|(_, account)| account);
        captured.or(self.last.as_ref().map(|last| &last.account))
    }

    /// After the connections of the capture were closed, where they were.
    pub fn after_close(&self) -> Option<&ResidentAccount> {
        self.closed.as_ref()
    }

    /// What is resident of that by site, as ledgers that hold so much: `now` has the sites, those
    /// that are not OpenSSL's.
    pub fn resident(&self, now: &Ledgers) -> Option<Ledgers> {
        self.at_capture().map(|account| self.as_ledgers(now, account))
    }

    /// The same of the two accounts of [`Accounts::growth`], the earlier one first, and the
    /// connections that came in between.
    pub fn resident_growth(&self, now: &Ledgers) -> Option<([Ledgers; 2], NonZeroU64)> {
        let [(from, before), (to, after)] = self.ends()?;
        let connections = to.checked_sub(from).and_then(NonZeroU64::new)?;
        Some(([before, after].map(|account| self.as_ledgers(now, account)), connections))
    }

    fn as_ledgers(&self, now: &Ledgers, account: &ResidentAccount) -> Ledgers {
        now.iter()
            .map(|(path, snapshot)| {
                let mut held = Snapshot::clone(snapshot);
                // OpenSSL's are empty in what is everybody else's.
                let others = held.sites.iter_mut().enumerate().filter(|(_, site)| !site.is_empty());
                for (at, site) in others {
                    let number = self.ledgers.site(path, at);
                    let bytes = number.and_then(|number| account.sites.get(&number).copied());
                    let inuse_bytes = bytes.unwrap_or_default();
                    site.counts = Counts { inuse_bytes, ..Counts::default() };
                }
                (path.clone(), Arc::new(held))
            })
            .collect()
    }

    /// What became of memory from about half as many connections to those of the capture: the first
    /// ones take what was free before.
    pub fn growth(&self) -> Option<AccountGrowth> {
        let [before, after] = self.ends()?;
        AccountGrowth::between(before, after)
    }

    fn ends(&self) -> Option<[(u64, &ResidentAccount); 2]> {
        let (to, after) = self.captured.as_ref()?;
        // Not from none: the first one brings what is paid once.
        let fewer = self.earlier.range(..=to * 3 / 4).filter(|(from, _)| **from > 0);
        let (from, before) = fewer.min_by_key(|(from, _)| (*from * 2).abs_diff(*to))?;
        Some([(*from, before), (*to, after)])
    }

    fn of(&mut self, sight: &Sight, recorder: &RecorderParts<'_>) -> Option<ResidentAccount> {
        // Where only OpenSSL's blocks are known, nearly all would be unknown.
        if sight.heap.is_empty() || self.is_barred {
            return None;
        }
        // Blocks from before would pass for free memory.
        if sight.ssl_of_running.keys().any(|path| sight.ledgers[path].late) {
            return None;
        }
        let each = sight.ssl_of_running.keys().map(|path| {
            let has_ended = || kernel::process(sight.ledgers[path].pid).is_none();
            // One that has ended meanwhile has nothing any more, and bars nobody.
            let nothing = || has_ended().then(ResidentAccount::default);
            of_process(path, sight, recorder, &mut self.ledgers).or_else(nothing)
        });
        let account = each.sum::<Option<ResidentAccount>>();
        self.is_barred = account.is_none();
        account
    }
}

/// Between two that are made from time to time.
const AT_LEAST_BETWEEN: Duration = Duration::from_millis(500);

/// Numbers of ledgers, by which their sites get numbers that no other ledger's have.
#[derive(Clone, Debug, Default)]
struct LedgerNumbers(Vec<PathBuf>);

impl LedgerNumbers {
    /// Of a ledger that is seen perhaps for the first time.
    fn of(&mut self, path: &Path) -> u64 {
        let known = self.0.iter().position(|it| it == path);
        let number = known.unwrap_or_else(|| {
            self.0.push(path.to_owned());
            self.0.len() - 1
        });
        number as u64
    }

    /// The site at this place in a ledger that has been seen.
    fn site(&self, path: &Path, at: usize) -> Option<u64> {
        let number = self.0.iter().position(|it| it == path)?;
        Some(site_number(number as u64, at))
    }
}

/// A ledger has less than 2³² sites: their numbers in it have 32 bits.
fn site_number(ledger: u64, at: usize) -> u64 {
    ledger << 32 | at as u64
}

fn connections(sight: &Sight) -> u64 {
    u64::try_from(sight.ssl.live).unwrap_or_default()
}

/// Processes that one was forked from, one after the other, of which blocks are looked for.
const MOST_ANCESTORS: usize = 8;

/// The account of one process; `None` when it may not be looked into, or has ended.
fn of_process(
    ledger: &Path,
    sight: &Sight,
    recorder: &RecorderParts<'_>,
    numbers: &mut LedgerNumbers,
) -> Option<ResidentAccount> {
    let pid = sight.ledgers.get(ledger)?.pid;
    let memory = ProcessMemory::of(pid).ok()?;
    let mut held = HeldBy::of(ledger, sight, &memory, numbers)?;
    let ancestors = std::iter::successors(parent(ledger, sight), |path| parent(path, sight));
    for ancestor in ancestors.take(MOST_ANCESTORS) {
        // It has its parent's tables as they were then; what they have got since is not there, and
        // something else may be.
        held.add(HeldBy::of(ancestor, sight, &memory, numbers).unwrap_or_default());
    }
    held.put_in_order();
    let text = kernel::memory_areas(pid).filter(|text| !text.is_empty())?;
    let areas = smaps::parse(&text, "smaps").ok()?;
    resident_account(&areas, recorder, &held.blocks, &held.mappings, &memory)
}

/// The ledger of the process that this one's was forked from.
fn parent<'a>(ledger: &Path, sight: &'a Sight) -> Option<&'a Path> {
    let coverage = ledger_folder::coverage(&ledger.with_extension("coverage")).ok()?;
    let of_parent =
        |(_, snapshot): &(_, &Arc<Snapshot>)| Some(snapshot.pid) == coverage.forked_from;
    let found = sight.ledgers.iter().filter(of_parent).map(|(path, _)| path.as_path());
    found.rev().find(|path| *path != ledger)
}

/// What one process's tables have.
#[derive(Default)]
struct HeldBy {
    blocks: Vec<Held>,
    mappings: Vec<Held>,
}

impl HeldBy {
    /// What the tables of this ledger have, as they lie in this memory.
    fn of(
        ledger: &Path,
        sight: &Sight,
        memory: &ProcessMemory,
        numbers: &mut LedgerNumbers,
    ) -> Option<HeldBy> {
        let (openssl, heap) = (sight.ledgers.get(ledger)?, sight.heap.get(ledger));
        let opened = opening::open(ledger, ledger_folder::MOST_LEDGER_BYTES).ok()?;
        let of_cells =
            Snapshot::sites_of_cells(&opened.file, &ledger.display().to_string()).ok()?;
        let number = numbers.of(ledger);
        let site = |cell: u32| of_cells.get((cell as usize).checked_sub(1)?).copied().flatten();
        let held = |addresses, cell| {
            let site = site(cell);
            let others = site.zip(heap).and_then(|(site, heap)| heap.sites.get(site));
            let others = others.filter(|site| !site.is_empty());
            Held {
                addresses,
                domain: others.map_or(Domain::Openssl, |site| site.source.domain),
                // A block whose site is not known yet is nobody's.
                site: site.map_or(u64::MAX, |site| site_number(number, site)),
            }
        };
        let blocks = openssl.live.blocks(memory).ok()?.into_iter().map(|block| {
            held(block.address..block.address.saturating_add(block.bytes), block.cell)
        });
        let mappings = openssl.live.mappings(memory).ok()?.into_iter();
        let mappings = mappings.map(|it| held(it.addresses, it.cell));
        Some(HeldBy { blocks: blocks.collect(), mappings: mappings.collect() })
    }

    fn add(&mut self, more: HeldBy) {
        self.blocks.extend(more.blocks);
        self.mappings.extend(more.mappings);
    }

    fn put_in_order(&mut self) {
        for held in [&mut self.blocks, &mut self.mappings] {
            held.sort_unstable_by_key(|it| it.addresses.start);
            // What a parent has freed and its child was given again is in both tables.
            held.dedup_by(|later, earlier| later.addresses.start < earlier.addresses.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(resident: u64) -> ResidentAccount {
        ResidentAccount { free: resident, ..ResidentAccount::default() }
    }

    #[test]
    fn growth_is_told_from_about_half_as_many_connections_and_never_from_none() {
        let mut accounts = Accounts::default();
        for (connections, bytes) in [(0, 5_000), (10, 60_000), (50, 100_000), (90, 140_000)] {
            accounts.earlier.insert(connections, account(bytes));
        }
        accounts.captured = Some((100, account(150_000)));
        let growth = accounts.growth().expect("there were fewer before");
        assert_eq!((growth.from, growth.to), (50, 100));
        // With one, or none, there were no fewer.
        for connections in [0, 1] {
            accounts.captured = Some((connections, account(10_000)));
            assert!(accounts.growth().is_none(), "{connections}");
        }
    }
}
