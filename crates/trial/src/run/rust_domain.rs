//! Rust's part of the heap: out of jemalloc's dump, or of the ledger where every block is counted,
//! added to what the ledger says of OpenSSL's.

use std::collections::HashSet;

use ledger::Snapshot;
use profile::{Metric, Profile, Symbols, from_ledger, jemalloc_heap, merge};

use super::moment::Heap;

/// The largest block that is moved to pages of its own when it is sampled.
const LARGEST_MOVED: u64 = 12 * 1024;

/// What a dump says.
pub struct RustDomain {
    /// Samples of domain `rust`, scaled up.
    pub profile: Profile,
    /// One byte in so many was sampled.
    pub period: u64,
    /// Bytes in small blocks of the sample, OpenSSL's among them, not scaled up: jemalloc keeps
    /// them out of what it says is allocated. The dump's own rounding makes them inexact, by less
    /// than a thousandth at 2^17, and by up to a hundredth where blocks are as large as the period.
    pub small_sampled_bytes: u64,
}

/// Reads the dump of a moment, if jemalloc sampled. What is wrong with it comes back as a sentence.
///
/// OpenSSL's blocks are in the sample too. They are known by the return address into the function
/// of OpenSSL that called the recorder, which is on top of every stack of the ledger: names are not
/// needed for it, and no stack of Rust has one.
pub fn read(
    heap: &Heap,
    snapshot: &Snapshot,
    symbols: &mut Symbols,
) -> Result<Option<RustDomain>, String> {
    let Some(dump) = &heap.dump else { return Ok(None) };
    let mut dump = jemalloc_heap::parse(dump.as_slice(), "jemalloc's dump")
        .map_err(|error| format!("the server wrote a dump that cannot be read: {error}"))?;
    let small_sampled_bytes = dump.sampled_bytes(LARGEST_MOVED);
    let callers: HashSet<u64> =
        snapshot.sites.iter().filter_map(|site| site.stack.first().copied()).collect();
    dump.leave_out(&callers);
    let mut profile = dump.profile(symbols);
    profile.comments.push(format!(
        "domain rust: sampled by jemalloc, one byte in {} on average, and scaled up; its alloc_ \
         and peak_ columns are 0{}",
        dump.period,
        // Of a sample, the ledger's own profile says how it was taken.
        if snapshot.sampling.is_none() { "; domain openssl: exact" } else { "" },
    ));
    sort(&mut profile);
    Ok(Some(RustDomain { profile, period: dump.period, small_sampled_bytes }))
}

/// Rust's part of a ledger.
pub fn counted(rust: &Snapshot, symbols: &mut Symbols) -> Profile {
    let mut profile = from_ledger(rust, symbols);
    profile.comments.push("domain rust: exact, counted by the server's allocator".to_owned());
    profile
}

impl RustDomain {
    /// Adds the samples to a profile of the ledger. jemalloc counts only what is in use: the other
    /// columns are 0.
    pub fn add_to(&self, profile: &mut Profile) {
        merge(profile, &self.profile);
    }

    /// The sum of a column.
    pub fn total(&self, metric: Metric) -> i64 {
        self.profile.column(metric).map_or(0, |column| self.profile.total(column))
    }
}

/// The heaviest first, as in a profile of a ledger; jemalloc's order is that of a hash.
fn sort(profile: &mut Profile) {
    let column = profile.column(Metric::InuseSpace);
    let mut keyed: Vec<_> = profile
        .samples()
        .iter()
        .map(|sample| {
            let weight = column.map_or(0, |column| sample.values[column]);
            let frames: Vec<_> = profile
                .frames(sample)
                .map(|frame| (frame.function.to_owned(), frame.line, frame.address))
                .collect();
            (std::cmp::Reverse(weight), frames, sample.clone())
        })
        .collect();
    keyed.sort_by(|(a, a_frames, _), (b, b_frames, _)| (a, a_frames).cmp(&(b, b_frames)));
    *profile.samples_mut() = keyed.into_iter().map(|(.., sample)| sample).collect();
}

#[cfg(test)]
mod tests {
    use echo_server::HeapStatistics;
    use ledger::Site;

    use super::*;

    const DUMP: &str = "\
heap_v2/1
  t*: 3: 20160 [0: 0]
@ 0x10 0x99 0x30
  t*: 1: 100 [0: 0]
@ 0x10 0x40
  t*: 1: 60 [0: 0]
@ 0x10 0x50
  t*: 1: 20000 [0: 0]
";

    #[test]
    fn openssls_blocks_are_left_out_by_their_caller() {
        let heap = Heap {
            statistics: HeapStatistics::default(),
            openssl_usable_bytes: 112,
            dump: Some(DUMP.as_bytes().to_vec()),
            smaps: None,
            ledger: String::new(),
        };
        // The site's stack begins at OpenSSL's return address from the hook.
        let sites = vec![Site { stack: vec![0x99, 0x30], ..Site::default() }, Site::default()];
        let snapshot = Snapshot { sites, ..Snapshot::default() };
        let rust = read(&heap, &snapshot, &mut Symbols::new())
            .expect("a good dump")
            .expect("there is one");
        let mut profile = Profile::of_heap();
        rust.add_to(&mut profile);
        let values: Vec<_> = profile.samples().iter().map(|s| s.values.clone()).collect();
        assert_eq!(values, [[1, 20_000, 0, 0, 0, 0], [1, 60, 0, 0, 0, 0]]);
        assert_eq!(rust.total(Metric::InuseSpace), 20_060);
        assert_eq!(rust.small_sampled_bytes, 160);
        assert_eq!(rust.period, 1);
        assert!(
            profile.comments[0].starts_with("domain rust: sampled by jemalloc, one byte in 1 ")
        );
    }
}
