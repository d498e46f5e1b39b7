//! Accounts of what the resident memory of the recorded processes is, at the capture and before it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use analysis::account_growth::AccountGrowth;
use analysis::footprint::RecorderParts;
use analysis::resident_account::{Held, ResidentAccount, resident_account};
use contract::Domain;
use ledger::Snapshot;
use profile::smaps;

use crate::ledger_folder;
use crate::process_memory::ProcessMemory;
use crate::watch::Sight;
use crate::{kernel, opening};

/// What is kept of the accounts.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// By live SSL objects, at moments at which nothing moved.
    earlier: BTreeMap<u64, ResidentAccount>,
    captured: Option<(u64, ResidentAccount)>,
    /// The processes could not all be looked into.
    is_barred: bool,
}

impl Accounts {
    /// None is made: blocks from before the recording are known to nobody.
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

    /// At the capture.
    pub fn at_capture(&self) -> Option<&ResidentAccount> {
        self.captured.as_ref().map(|(_, account)| account)
    }

    /// What became of memory from about half as many connections to those of the capture: the first
    /// ones take what was free before.
    pub fn growth(&self) -> Option<AccountGrowth> {
        let (to, after) = self.captured.as_ref()?;
        let fewer = self.earlier.range(1..=to * 3 / 4);
        let (from, before) = fewer.min_by_key(|(from, _)| (*from * 2).abs_diff(*to))?;
        AccountGrowth::between((*from, before), (*to, after))
    }

    fn of(&mut self, sight: &Sight, recorder: &RecorderParts<'_>) -> Option<ResidentAccount> {
        // Where only OpenSSL's blocks are known, nearly all would be unknown.
        if sight.heap.is_empty() || self.is_barred {
            return None;
        }
        let each = sight.ssl_of_running.keys().map(|path| {
            let has_ended = || kernel::process(sight.ledgers[path].pid).is_none();
            // One that has ended meanwhile has nothing any more, and bars nobody.
            let nothing = || has_ended().then(ResidentAccount::default);
            of_process(path, sight, recorder).or_else(nothing)
        });
        let account = each.sum::<Option<ResidentAccount>>();
        self.is_barred = account.is_none();
        account
    }
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
) -> Option<ResidentAccount> {
    let pid = sight.ledgers.get(ledger)?.pid;
    let memory = ProcessMemory::of(pid).ok()?;
    let mut held = HeldBy::of(ledger, sight, &memory)?;
    let ancestors = std::iter::successors(parent(ledger, sight), |path| parent(path, sight));
    for ancestor in ancestors.take(MOST_ANCESTORS) {
        // It has its parent's tables as they were then; what they have got since is not there, and
        // something else may be.
        held.add(HeldBy::of(ancestor, sight, &memory).unwrap_or_default());
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
    fn of(ledger: &Path, sight: &Sight, memory: &ProcessMemory) -> Option<HeldBy> {
        let (openssl, heap) = (sight.ledgers.get(ledger)?, sight.heap.get(ledger));
        let opened = opening::open(ledger, ledger_folder::MOST_LEDGER_BYTES).ok()?;
        let of_cells =
            Snapshot::sites_of_cells(&opened.file, &ledger.display().to_string()).ok()?;
        let domain = |cell: u32| {
            let site = of_cells.get((cell as usize).checked_sub(1)?).copied()??;
            let others = heap?.sites.get(site).filter(|site| !site.is_empty())?;
            Some(others.source.domain)
        };
        let held =
            |addresses, cell| Held { addresses, domain: domain(cell).unwrap_or(Domain::Openssl) };
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
