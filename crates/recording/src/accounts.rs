//! Accounts of what the resident memory of the recorded processes is, at the capture and before it.

use std::collections::BTreeMap;
use std::path::Path;

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
        let running = sight.ssl_of_running.keys();
        let each = running.map(|path| {
            let heap = sight.heap.get(path).map(|heap| &**heap);
            of_process(path, &sight.ledgers[path], heap, recorder)
        });
        let account = each.sum::<Option<ResidentAccount>>();
        self.is_barred = account.is_none();
        account
    }
}

fn connections(sight: &Sight) -> u64 {
    u64::try_from(sight.ssl.live).unwrap_or_default()
}

/// The account of one process; `None` when it may not be looked into, or has ended.
fn of_process(
    ledger: &Path,
    openssl: &Snapshot,
    heap: Option<&Snapshot>,
    recorder: &RecorderParts<'_>,
) -> Option<ResidentAccount> {
    let memory = ProcessMemory::of(openssl.pid).ok()?;
    let opened = opening::open(ledger, ledger_folder::MOST_LEDGER_BYTES).ok()?;
    let of_cells = Snapshot::sites_of_cells(&opened.file, &ledger.display().to_string()).ok()?;
    let domain = |cell: u32| {
        let site = of_cells.get((cell as usize).checked_sub(1)?).copied()??;
        let others = heap?.sites.get(site).filter(|site| !site.is_empty())?;
        Some(others.source.domain)
    };
    let domain = |cell| domain(cell).unwrap_or(Domain::Openssl);
    let blocks = openssl.live.blocks(&memory).ok()?;
    let mappings = openssl.live.mappings(&memory).ok()?;
    let text = kernel::memory_areas(openssl.pid).filter(|text| !text.is_empty())?;
    let areas = smaps::parse(&text, "smaps").ok()?;
    let blocks: Vec<Held> = blocks
        .iter()
        .map(|block| Held {
            addresses: block.address..block.address.saturating_add(block.bytes),
            domain: domain(block.cell),
        })
        .collect();
    let mappings: Vec<Held> = mappings
        .into_iter()
        .map(|it| Held { addresses: it.addresses, domain: domain(it.cell) })
        .collect();
    resident_account(&areas, recorder, &blocks, &mappings, &memory)
}
