//! Certificates that were read again and again: the same ones, by one path of calls.

use std::collections::BTreeMap;

use crate::diagnosis::holding::Holding;
use crate::diagnosis::reading::Reading;
use crate::diagnosis::repeats::Repeats;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::Call;
use crate::interpreter;
use crate::objects::Object;
use crate::short_name::is_named;

/// Certificates that were read by one path, and how often.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    /// Certificates of one copy.
    pub certificates: i64,
    /// Copies that are live.
    pub copies: i64,
    /// The stacks that hold them, as places of the case's holdings.
    pub places: Vec<usize>,
}

/// Two paths have read the same certificates when their copies differ by no more than this.
const ALIKE: f64 = 0.02;

/// So many calls outside of the reader tell a path.
const TELLING_CALLS: usize = 4;

/// What one path of calls has read.
#[derive(Default)]
struct Path<'a> {
    places: Vec<usize>,
    /// Certificates that are live, and that were ever made.
    certificates: i64,
    made: i64,
    /// Ways of stores to look files up that were made there.
    lookups: i64,
    bytes: i64,
    repeats: Repeats<Vec<&'a Call>>,
}

/// The bundles of what is left, the largest first.
pub(super) fn bundles(unclaimed: &Unclaimed<'_>) -> Vec<Bundle> {
    let paths = paths(unclaimed);
    let most = most_copies(unclaimed);
    let mut read: Vec<Copies<'_>> = paths.values().filter_map(|path| copies(path, most)).collect();
    read.sort_by_key(|one| std::cmp::Reverse(one.path.bytes));
    let mut bundles: Vec<Bundle> = Vec::new();
    while !read.is_empty() {
        let first = read.remove(0);
        let (same, others): (Vec<_>, Vec<_>) = read.into_iter().partition(|it| it.is_as(&first));
        read = others;
        let mut copies = first.live;
        let mut places = first.path.places.clone();
        for other in same {
            copies += other.live;
            places.extend(&other.path.places);
        }
        // Names, extensions and the like of the same copies, made by calls without a certificate.
        for path in paths.values() {
            if path.certificates == 0 && path.repeats.are_multiples_of(first.made) {
                places.extend(&path.places);
            }
        }
        places.sort_unstable();
        places.dedup();
        bundles.push(Bundle { certificates: first.certificates, copies, places });
    }
    bundles
}

/// A path whose certificates were read a known number of times.
struct Copies<'a> {
    path: &'a Path<'a>,
    /// Copies that were made, and that are live.
    made: i64,
    live: i64,
    certificates: i64,
}

impl Copies<'_> {
    fn bytes_each(&self) -> f64 {
        self.path.bytes as f64 / self.live as f64
    }

    /// Whether both are copies of the same certificates.
    fn is_as(&self, other: &Copies<'_>) -> bool {
        let (one, two) = (self.bytes_each(), other.bytes_each());
        self.certificates == other.certificates && (one - two).abs() <= ALIKE * two
    }
}

fn copies<'a>(path: &'a Path<'a>, most: i64) -> Option<Copies<'a>> {
    if path.certificates < 1 || path.made < 1 {
        return None;
    }
    // Each time a file is loaded, a way to look it up is made; for the default places two or three.
    let fits_lookups = |times| match path.lookups {
        0 => true,
        lookups => lookups % times == 0 && (1..=3).contains(&(lookups / times)),
    };
    let made = path.repeats.of(path.made, |times| times <= most && fits_lookups(times));
    let certificates = path.made / made;
    let live = if made > 1 { path.certificates / certificates } else { 1 };
    (live >= 1).then_some(Copies { path, made, live, certificates })
}

/// Who reads certificates again has something of its own to put them into.
fn most_copies(unclaimed: &Unclaimed<'_>) -> i64 {
    let made = |object| unclaimed.case.made.get(&object).copied().unwrap_or_default();
    made(Object::X509Store).max(made(Object::SslCtx))
}

fn paths<'a>(unclaimed: &Unclaimed<'a>) -> BTreeMap<Vec<&'a str>, Path<'a>> {
    let mut paths: BTreeMap<Vec<&str>, Path<'_>> = BTreeMap::new();
    for (at, held) in unclaimed.holdings() {
        let Some(Reading::Program { entry }) = held.reading else { continue };
        if held.all_bytes <= 0 {
            continue;
        }
        let path = paths.entry(callers(held, entry)).or_default();
        path.places.push(at);
        path.bytes = path.bytes.saturating_add(held.all_bytes);
        if held.object == Some(Object::X509) {
            path.certificates = path.certificates.saturating_add(held.all_blocks);
            path.made = path.made.saturating_add(held.made_blocks);
        }
        if held.leaf().function == "X509_LOOKUP_new" {
            path.lookups = path.lookups.saturating_add(held.made_blocks);
        }
        let inside = held.calls[..=entry].iter().collect();
        path.repeats.add(inside, held.made_blocks, held.all_bytes);
    }
    paths
}

/// The few functions that have called the reader, without what an interpreter makes of one line of
/// a script; without any name, the places in the files that the code lies in.
fn callers(held: &Holding, entry: usize) -> Vec<&str> {
    let outside = || held.calls[entry + 1..].iter().map(|call| call.function.as_str());
    let named: Vec<&str> = outside().filter(|name| tells(name)).take(TELLING_CALLS).collect();
    if named.is_empty() { outside().take(2).collect() } else { named }
}

fn tells(function: &str) -> bool {
    let frame = profile::Frame { function, file: "", line: 0, address: 0 };
    is_named(function) && !function.starts_with(['[', '0']) && !interpreter::carries(&frame)
}
