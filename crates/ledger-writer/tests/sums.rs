//! What the writer counts and the reader adds up, against a model that is too simple to be wrong.

use std::collections::HashMap;
use std::path::Path;

use contract::Source;
use ledger::{Capacities, Counts, Snapshot};
use ledger_writer::{Account, Cell, Lease, Ledger, Share, SiteId, SiteKey, StackEnd};
use proptest::collection::vec;
use proptest::prelude::*;

const SITES: usize = 4;
const THREADS: usize = 3;

/// One event of one thread. The last site stands for those that were dropped.
#[derive(Clone, Debug)]
enum Event {
    Allocate {
        thread: usize,
        site: usize,
        bytes: u64,
    },
    /// Frees one of the live blocks, whoever allocated it.
    Free {
        thread: usize,
        block: prop::sample::Index,
    },
    /// Frees one of the live blocks, by a thread without a cell.
    Spill {
        block: prop::sample::Index,
    },
}

fn allocate() -> impl Strategy<Value = Event> {
    // Few sizes, so that totals often meet their old maximum again; some for which threads keep
    // what they free; and enormous ones.
    let bytes = prop_oneof![
        6 => 1..4_u64,
        2 => 1..10_000_u64,
        2 => (1..4_u64).prop_map(|pages| pages * 8192),
        1 => Just(1_u64 << 40),
    ];
    (0..THREADS, 0..=SITES, bytes).prop_map(|(thread, site, bytes)| Event::Allocate {
        thread,
        site,
        bytes,
    })
}

fn free() -> impl Strategy<Value = Event> {
    (0..THREADS, any::<prop::sample::Index>())
        .prop_map(|(thread, block)| Event::Free { thread, block })
}

fn spill() -> impl Strategy<Value = Event> {
    any::<prop::sample::Index>().prop_map(|block| Event::Spill { block })
}

/// Keeps a list of live blocks, and adds up anew whenever it is asked.
#[derive(Default)]
struct Model {
    live: Vec<(usize, u64)>,
    allocated: Vec<(usize, u64)>,
    /// What was live at the first moment of the highest total.
    peak: Vec<(usize, u64)>,
}

impl Model {
    fn allocate(&mut self, site: usize, bytes: u64) {
        self.live.push((site, bytes));
        self.allocated.push((site, bytes));
        let total = |blocks: &[(usize, u64)]| blocks.iter().map(|block| block.1).sum::<u64>();
        if total(&self.live) > total(&self.peak) {
            self.peak = self.live.clone();
        }
    }

    /// The site and size of the block that goes.
    fn free(&mut self, block: prop::sample::Index) -> Option<(usize, u64)> {
        (!self.live.is_empty()).then(|| self.live.swap_remove(block.index(self.live.len())))
    }

    fn counts(&self, site: usize) -> Counts {
        let of = |blocks: &[(usize, u64)]| {
            let here = blocks.iter().filter(|block| block.0 == site);
            here.fold((0, 0), |(blocks, bytes), block| (blocks + 1, bytes + block.1))
        };
        let (inuse_blocks, inuse_bytes) = of(&self.live);
        let (alloc_blocks, alloc_bytes) = of(&self.allocated);
        let (peak_blocks, peak_bytes) = of(&self.peak);
        Counts { inuse_blocks, inuse_bytes, alloc_blocks, alloc_bytes, peak_blocks, peak_bytes }
    }
}

/// A real ledger, with the cells of several threads; those are driven by this one, in turn.
struct Counted {
    ledger: Ledger,
    sites: Vec<SiteId>,
    cells: HashMap<(usize, usize), Cell>,
    accounts: [Account; THREADS],
    leases: [Lease; THREADS],
}

impl Counted {
    fn in_new_file(path: &Path) -> Counted {
        let capacities = Capacities { sites: 10, frames: 100, cells: 100 };
        let ledger = Ledger::create(path, capacities).expect("a new file");
        let mut sites: Vec<SiteId> = (0..SITES)
            .map(|site| {
                ledger
                    .add_site(
                        SiteKey {
                            source: Source::openssl(0),
                            file_pointer: 0,
                            line: site as u32,
                            block_bytes: 0,
                            frames: &[1, 2, 3],
                        },
                        None,
                        StackEnd::Root,
                    )
                    .expect("room")
            })
            .collect();
        sites.push(SiteId::DROPPED);
        let (accounts, leases) = Default::default();
        Counted { ledger, sites, cells: HashMap::new(), accounts, leases }
    }

    fn cell(&mut self, thread: usize, site: usize) -> Cell {
        let claim = || self.ledger.claim_cell(self.sites[site], thread as u32).expect("room");
        *self.cells.entry((thread, site)).or_insert_with(claim)
    }

    fn allocate(&mut self, thread: usize, cell: Cell, bytes: u64) {
        let share = share(&self.accounts, &mut self.leases, thread);
        self.ledger.count_allocation(cell, bytes, share);
    }

    /// Lets the event happen, here and in the model.
    fn happen(&mut self, event: &Event, model: &mut Model) {
        match event {
            Event::Allocate { thread, site, bytes } => {
                model.allocate(*site, *bytes);
                let cell = self.cell(*thread, *site);
                self.allocate(*thread, cell, *bytes);
            }
            Event::Free { thread, block } => {
                let Some((site, bytes)) = model.free(*block) else { return };
                let cell = self.cell(*thread, site);
                let share = share(&self.accounts, &mut self.leases, *thread);
                self.ledger.count_free(cell, bytes, share);
            }
            Event::Spill { block } => {
                let Some((site, bytes)) = model.free(*block) else { return };
                self.ledger.spill_free(self.sites[site], bytes);
            }
        }
    }
}

fn share<'a>(
    accounts: &'a [Account; THREADS],
    leases: &'a mut [Lease; THREADS],
    thread: usize,
) -> Share<'a, [Account]> {
    let lease = &mut leases[thread];
    Share { account: &accounts[thread], lease, accounts }
}

/// What the reader says of each site, the dropped ones last.
fn read(path: &Path) -> Vec<Counts> {
    let snapshot = Snapshot::read_file(path).expect("a ledger of ours");
    let mut counts: Vec<Counts> = snapshot.sites.iter().map(|site| site.counts).collect();
    counts.push(snapshot.statistics.dropped);
    let mut sum = Counts::default();
    for site in &counts {
        sum.add(site);
    }
    assert_eq!(snapshot.totals(), sum);
    counts
}

/// Found by the property below.
#[test]
fn a_dropped_block_freed_without_a_cell_is_no_longer_in_use() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut counted = Counted::in_new_file(&path);
    let cell = counted.cell(0, SITES);
    counted.allocate(0, cell, 70);
    counted.ledger.spill_free(SiteId::DROPPED, 70);
    let dropped = Snapshot::read_file(&path).expect("a ledger of ours").statistics.dropped;
    assert_eq!((dropped.inuse_blocks, dropped.inuse_bytes), (0, 0));
    assert_eq!((dropped.alloc_blocks, dropped.alloc_bytes), (1, 70));
}

#[test]
fn a_ledger_is_read_again_where_anything_was_counted_since() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut counted = Counted::in_new_file(&path);
    let cell = counted.cell(0, 0);
    counted.allocate(0, cell, 70);
    let file = std::fs::File::open(&path).expect("a ledger of ours");
    let read = |before| Snapshot::read_changed(&file, "ledger", before).expect("a ledger of ours");
    let (first, reading) = read(None).expect("it was never read");
    assert!(read(Some(&reading)).is_none(), "nothing was counted");
    // A site that is freed down to what it was has other counts.
    counted.allocate(0, cell, 30);
    counted.ledger.spill_free(counted.sites[0], 30);
    let (second, reading) = read(Some(&reading)).expect("something was counted");
    assert_eq!(second.totals(), Snapshot::read_file(&path).expect("a ledger of ours").totals());
    assert_eq!(second.totals().inuse_bytes, first.totals().inuse_bytes);
    assert_eq!(second.totals().alloc_bytes, first.totals().alloc_bytes + 30);
    assert!(read(Some(&reading)).is_none());
}

proptest! {
    // No file of failures: what is found becomes a test by name.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_figure_is_that_of_the_model(
        before in vec(prop_oneof![3 => allocate(), 2 => free()], 0..100),
        after in vec(prop_oneof![2 => allocate(), 3 => free()], 0..100),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ledger");
        let mut counted = Counted::in_new_file(&path);
        let mut model = Model::default();
        for events in [before, after] {
            for event in &events {
                counted.happen(event, &mut model);
            }
            let expected: Vec<Counts> = (0..=SITES).map(|site| model.counts(site)).collect();
            prop_assert_eq!(read(&path), expected);
        }
    }

    #[test]
    fn frees_without_a_cell_leave_in_use_and_allocated_exact(
        events in vec(prop_oneof![3 => allocate(), 1 => free(), 1 => spill()], 0..200),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ledger");
        let mut counted = Counted::in_new_file(&path);
        let mut model = Model::default();
        for event in &events {
            counted.happen(event, &mut model);
        }
        for (site, found) in read(&path).into_iter().enumerate() {
            let expected = model.counts(site);
            // Such a free is in no cell, and so in no peak: that may come out too high.
            prop_assert!(found.peak_bytes >= expected.peak_bytes);
            prop_assert!(found.peak_blocks >= expected.peak_blocks);
            let Counts { peak_blocks, peak_bytes, .. } = found;
            prop_assert_eq!(found, Counts { peak_blocks, peak_bytes, ..expected });
        }
    }
}
