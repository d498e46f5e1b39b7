//! A part of many blocks is counted, and what that part is said to stand for is near the truth.
//! One test, since the hook is process-wide. The seed is fixed: it cannot fail by chance.

mod openssl;

use std::ffi::c_void;
use std::sync::atomic::Ordering;

use ledger::{Counts, Sampling, Snapshot};
use openssl::{at, free, malloc_at, read, realloc_at};
use recorder::SampleOptions;

const INTERVAL: u64 = 4096;

/// Sizes from far below to far above the interval, small ones more often.
const SIZES: [usize; 8] = [16, 16, 48, 200, 200, 1_500, 5_000, 200_000];

/// Four times the deviation that is to be expected of the estimate of these blocks' bytes.
fn four_deviations(sizes: impl Iterator<Item = usize>) -> f64 {
    let sampling = Sampling::every(INTERVAL).expect("an interval");
    let variance: f64 =
        sizes.map(|bytes| sampling.variance_of_bytes(bytes as u64, bytes as f64)).sum();
    4.0 * variance.sqrt()
}

fn assert_near(estimate: u64, truth: usize, margin: f64) {
    let off = estimate as f64 - truth as f64;
    assert!(off.abs() <= margin, "{estimate} for {truth}: off by {off}, at most {margin}");
}

#[test]
fn a_part_is_counted_and_stands_for_the_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut options = openssl::options_at(&path);
    let sampling = Sampling::every(INTERVAL).expect("an interval");
    options.sample = Some(SampleOptions { sampling, seed: Some(20_261_124) });
    openssl::install(&options).expect("the setter accepts");
    assert!(recorder::check_in_place());

    assert!(malloc_at(c"nothing.c", 1, 0).is_null());
    free(std::ptr::null_mut());
    assert_eq!(read(&path).totals(), Counts::default());

    let sizes: Vec<usize> = SIZES.into_iter().cycle().take(20_000).collect();
    let blocks: Vec<*mut c_void> =
        sizes.iter().map(|bytes| malloc_at(c"mixed.c", 1, *bytes)).collect();
    let truth: usize = sizes.iter().sum();
    let margin = four_deviations(sizes.iter().copied());
    let snapshot = read(&path);
    assert_eq!(snapshot.sampling, Some(sampling));
    let counts = at(&snapshot, "mixed.c", 1);
    assert_near(counts.inuse_bytes, truth, margin);
    assert_near(counts.alloc_bytes, truth, margin);
    assert_near(counts.peak_bytes, truth, margin);
    assert_eq!(counts, snapshot.totals());
    // Large blocks are all there, and known to the byte.
    let large = of_size(&snapshot, 200_000);
    assert_eq!((large.inuse_blocks, large.inuse_bytes), (2_500, 500_000_000));
    // Sites tell sizes apart, and no others.
    let mut known: Vec<u64> = snapshot.sites.iter().map(|site| site.block_bytes).collect();
    known.sort_unstable();
    assert_eq!(known, [16, 48, 200, 1_500, 5_000, 200_000]);

    // Every second one is freed, by another thread.
    let (freed, kept): (Vec<_>, Vec<_>) =
        blocks.iter().zip(&sizes).enumerate().partition(|(at, _)| at % 2 == 0);
    let addresses: Vec<usize> = freed.iter().map(|(_, (block, _))| **block as usize).collect();
    std::thread::spawn(move || addresses.into_iter().for_each(|block| free(block as *mut _)))
        .join()
        .expect("the thread ends well");
    let kept: Vec<(*mut c_void, usize)> =
        kept.into_iter().map(|(_, (block, bytes))| (*block, *bytes)).collect();
    let truth: usize = kept.iter().map(|(_, bytes)| bytes).sum();
    let margin = four_deviations(kept.iter().map(|(_, bytes)| *bytes));
    let now = read(&path).totals();
    assert_near(now.inuse_bytes, truth, margin);
    assert_eq!(now.alloc_bytes, counts.alloc_bytes);
    assert_eq!(now.peak_bytes, counts.peak_bytes, "the highest total was before");

    // One that grows is a free where it was, and a block of its whole new size where it is then.
    let grown: Vec<(*mut c_void, usize)> = kept
        .into_iter()
        .map(|(block, bytes)| (realloc_at(c"grown.c", 1, block, bytes * 2), bytes * 2))
        .collect();
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "mixed.c", 1).inuse_blocks, 0);
    let margin = four_deviations(grown.iter().map(|(_, bytes)| *bytes));
    assert_near(at(&snapshot, "grown.c", 1).inuse_bytes, 2 * truth, margin);

    // A realloc that is refused changes nothing.
    let before = read(&path).totals();
    for (block, bytes) in &grown {
        openssl::REFUSE_REALLOC.store(true, Ordering::Relaxed);
        assert!(realloc_at(c"refused.c", 1, *block, bytes + 1).is_null());
    }
    assert_eq!(read(&path).totals(), before);

    // Whatever was counted is counted out: nothing stays, to the byte.
    for (block, _) in grown {
        free(block);
    }
    let snapshot = read(&path);
    assert_eq!((snapshot.totals().inuse_blocks, snapshot.totals().inuse_bytes), (0, 0));
    openssl::assert_nothing_lost(&snapshot.statistics);
    assert_eq!(openssl::held_by_heap(), (0, 0));

    let mut live = 0.0;
    recorder::for_each_live_block(|_, blocks| live += blocks);
    assert_eq!(live, 0.0);
}

fn of_size(snapshot: &Snapshot, bytes: u64) -> Counts {
    let mut sum = Counts::default();
    for site in snapshot.sites.iter().filter(|site| site.block_bytes == bytes) {
        sum.add(&site.counts);
    }
    sum
}
