//! The ledger says what an allocator above the recorded one has counted for itself: blocks and bytes,
//! ever and in use, from several threads, for sizes and alignments of all kinds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use contract::{Domain, Source};
use global_allocator::Recorded;
use ledger::{Counts, Snapshot};
use recorder::{Heap, Options, StackSource, is_at_own_work};

static RECORDED: Recorded<System> = Recorded::over(System);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts what the program asks for, and passes it on.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
/// Blocks and bytes that were given, and that were taken back.
static GIVEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static TAKEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

fn count(sums: &[AtomicU64; 2], bytes: usize) {
    if COUNTS.load(Ordering::Relaxed) && !is_at_own_work() {
        sums[0].fetch_add(1, Ordering::Relaxed);
        sums[1].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: the recorded allocator's functions, and sums of numbers beside them.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&GIVEN, layout.size());
        // SAFETY: the caller's call, passed on; so are those below.
        unsafe { RECORDED.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&GIVEN, layout.size());
        // SAFETY: as above.
        unsafe { RECORDED.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&TAKEN, layout.size());
        // SAFETY: as above.
        unsafe { RECORDED.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(&TAKEN, layout.size());
        count(&GIVEN, size);
        // SAFETY: as above.
        unsafe { RECORDED.realloc(block, layout, size) }
    }
}

#[repr(align(512))]
struct Aligned([u8; 700]);

/// Blocks of each kind: grown and shrunk, aligned, zeroed, given to others, kept.
fn work(seed: u64) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    let mut word = seed;
    for at in 0..20_000_usize {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let size = (word >> 48) as usize % 3_000;
        let mut block = vec![at as u8; size];
        block.extend_from_slice(&[1; 100]);
        block.shrink_to_fit();
        if at % 7 == 0 {
            kept.push(block);
        }
        let aligned = Box::new(Aligned([at as u8; 700]));
        assert!((&raw const *aligned).addr().is_multiple_of(512));
        assert!(vec![0_u64; size % 50].iter().all(|zero| *zero == 0));
        assert_eq!(aligned.0[699], at as u8);
    }
    kept
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let options = Options::at(&path, StackSource::FramePointers);
    // SAFETY: the C library's allocator, and no OpenSSL.
    unsafe { recorder::install(options, Heap::libc(), None) }.expect("the first one");
    let before = Box::new([0_u8; 321]);
    RECORDED.begin();
    COUNTS.store(true, Ordering::Relaxed);

    let threads: Vec<_> = (1..=4).map(|seed| std::thread::spawn(move || work(seed))).collect();
    let kept: Vec<_> = threads.into_iter().map(|it| it.join().expect("it ends well")).collect();
    drop(before);

    let sums = |of: &[AtomicU64; 2]| [0, 1].map(|at: usize| of[at].load(Ordering::Relaxed));
    let (given, mut taken) = (sums(&GIVEN), sums(&TAKEN));
    COUNTS.store(false, Ordering::Relaxed);
    // What reading takes is in no figure.
    let snapshot = recorder::own_work(|| Snapshot::read_file(&path)).expect("a ledger of ours");
    // The block from before is known to nobody.
    taken = [taken[0] - 1, taken[1] - 321];
    assert_eq!(snapshot.statistics.earlier_blocks, 1);
    let Counts { alloc_blocks, alloc_bytes, inuse_blocks, inuse_bytes, .. } = snapshot.totals();
    assert_eq!([alloc_blocks, alloc_bytes], given);
    assert_eq!([inuse_blocks, inuse_bytes], [given[0] - taken[0], given[1] - taken[1]]);
    let rust = Source { domain: Domain::Rust, instance: 0 };
    assert!(snapshot.sites.iter().all(|site| site.source == rust && !site.stack.is_empty()));
    assert_eq!(snapshot.statistics.nested_calls, 0);
    assert_eq!(snapshot.statistics.stale_blocks, 0);
    assert!(kept.len() == 4 && inuse_blocks > 4 * 2_000, "{inuse_blocks}");
    println!("test {alloc_blocks} blocks are counted to the byte ... ok");
}
