//! A profile of what a recorder counted in its ledger.

mod places;

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use contract::{Domain, Source, labels};
use foldhash::{HashMap, HashMapExt};
use ledger::{Counts, Sampling, Site, Snapshot};

use crate::domain_tables;
use crate::named::{Named, NamedStack};
use crate::symbols::{AddressKind, AddressSpace, Symbols};
use crate::{Frame, Function, FunctionId, Line, Location, LocationId, Metric, Profile, Sample};

pub use places::Places;

/// The frame of the sample that holds what the recorder had no room to keep apart.
pub const DROPPED_SITES: &str = "[dropped sites]";

/// The outermost frame of a stack that was cut.
pub const TRUNCATED: &str = "[truncated]";

/// The frame of a site whose stack could not be walked at all.
const NO_STACK: &str = "[no stack]";

/// The profile of a ledger, with all of our own columns.
///
/// * OpenSSL's allocation wrappers are left out: the innermost frame is the function that asked
///   for the memory, and its line is the one that OpenSSL itself gave.
/// * Sites whose stacks are the same after that are one sample.
/// * What was dropped is a sample of its own, so each column adds up to [`Snapshot::totals`].
/// * Of a sampled ledger, values are estimates, and blocks of different sizes are samples of their
///   own, which know that size.
///
/// The heaviest stack in use comes first; equal ones are ordered by their frames.
///
/// Addresses are those of the first process that was named with the same files of code: the kernel
/// puts them somewhere else in each one.
pub fn from_ledger(snapshot: &Snapshot, symbols: &mut Symbols) -> Profile {
    let snapshot = symbols.as_mapped(snapshot);
    let snapshot = &*symbols.laid_out_like_others(&snapshot);
    Builder::new(snapshot, symbols, Profile::of_heap()).build(snapshot).0
}

/// Like [`from_ledger`], for a process that may hold several OpenSSLs: each sample has a label
/// `openssl` with the name that `openssls` gives to its source, and only sites of one OpenSSL are
/// one sample.
pub fn from_recording(
    snapshot: &Snapshot,
    symbols: &mut Symbols,
    openssls: &[(Source, String)],
) -> Profile {
    from_recording_with_places(snapshot, symbols, openssls).0
}

/// Like [`from_recording`], with the places of the sites in the profile.
pub fn from_recording_with_places(
    snapshot: &Snapshot,
    symbols: &mut Symbols,
    openssls: &[(Source, String)],
) -> (Profile, Places) {
    let snapshot = symbols.as_mapped(snapshot);
    let snapshot = &*symbols.laid_out_like_others(&snapshot);
    Builder { openssls, ..Builder::new(snapshot, symbols, Profile::of_heap()) }.build(snapshot)
}

/// The sites of a ledger with values of the caller's own: `values` gives one value for each
/// column of `empty`, for the site at an index of [`Snapshot::sites`]. Otherwise like
/// [`from_ledger`], with the first column to order by, and without what was dropped. A site of which
/// nothing is known has a sample only where it has a value.
pub fn from_ledger_with(
    snapshot: &Snapshot,
    symbols: &mut Symbols,
    empty: Profile,
    values: impl Fn(usize) -> Vec<i64>,
) -> Profile {
    let snapshot = symbols.as_mapped(snapshot);
    let snapshot = &*symbols.laid_out_like_others(&snapshot);
    let mut builder = Builder::new(snapshot, symbols, empty);
    for (index, site) in snapshot.sites.iter().enumerate() {
        let values = values(index);
        if !site.is_empty() || values.iter().any(|value| *value != 0) {
            builder.add_site(site, values);
        }
    }
    builder.finish(Places::default()).0
}

/// What keeps samples of one stack apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind<'a> {
    domain: Domain,
    /// The name of the OpenSSL, if it has one.
    openssl: Option<&'a str>,
    /// The size of the blocks in a sampled ledger; otherwise 0.
    block_bytes: u64,
}

struct Builder<'a> {
    /// What is known of this process's stacks, and the tables of the profile.
    named: Named,
    profile: Profile,
    space: AddressSpace<'a>,
    /// Where in `samples` a stack is, of a kind.
    by_stack: HashMap<(Kind<'a>, NamedStack), usize>,
    samples: Vec<(NamedStack, Sample)>,
    /// The texts of labels.
    words: HashMap<&'a str, Arc<str>>,
    /// What OpenSSLs are called in labels.
    openssls: &'a [(Source, String)],
}

impl<'a> Builder<'a> {
    fn new(snapshot: &'a Snapshot, symbols: &'a mut Symbols, mut profile: Profile) -> Builder<'a> {
        profile.time_nanos = i64::try_from(snapshot.started_nanos).unwrap_or(0);
        profile.sampling = snapshot.sampling;
        profile.comments.extend(snapshot.sampling.map(how_sampled));
        let pid = snapshot.pid;
        // Code that a process has compiled is its own.
        let mut named = if symbols.has_perf_map(pid) {
            Named::default()
        } else {
            symbols.alike.take(&snapshot.modules)
        };
        let found = std::mem::take(&mut named.found);
        let mut space = symbols.address_space_with(Some(pid), &snapshot.modules, found);
        space.program_first(&mut named.profile);
        let (by_stack, samples, words) = (HashMap::new(), Vec::new(), HashMap::new());
        Builder { named, profile, space, by_stack, samples, words, openssls: &[] }
    }

    fn build(mut self, snapshot: &Snapshot) -> (Profile, Places) {
        let mut places = Places::default();
        let sites = snapshot.sites.iter().enumerate();
        for (index, site) in sites.filter(|(_, site)| site.counts != Counts::default()) {
            places.note(index, self.add_site(site, values_of(&site.counts).to_vec()));
        }
        if snapshot.statistics.dropped != Counts::default() {
            let frame = self.named_frame(DROPPED_SITES);
            // Which source they had was dropped with them.
            let kind = Kind { domain: Domain::Openssl, openssl: None, block_bytes: 0 };
            let stack = self.named.stack(vec![frame]);
            let dropped = values_of(&snapshot.statistics.dropped).to_vec();
            places.dropped = Some(self.add(kind, stack, dropped) as u32);
        }
        self.finish(places)
    }

    /// Adds a site, and returns the place of its sample, which [`Builder::finish`] changes.
    fn add_site(&mut self, site: &Site, values: Vec<i64>) -> usize {
        let stack = self.named.of_site(site).unwrap_or_else(|| {
            let stack = self.stack(site);
            if site.stack.iter().all(|address| self.space.is_code(*address)) {
                self.named.name_site(site, stack)
            } else {
                self.named.stack(stack)
            }
        });
        let openssl = self.openssls.iter().find(|(source, _)| *source == site.source);
        let kind = Kind {
            domain: site.source.domain,
            openssl: openssl.map(|(_, name)| name.as_str()),
            block_bytes: site.block_bytes,
        };
        self.add(kind, stack, values)
    }

    fn add(&mut self, kind: Kind<'a>, stack: NamedStack, values: Vec<i64>) -> usize {
        let key = (kind, stack);
        if let Some(at) = self.by_stack.get(&key) {
            for (sum, value) in self.samples[*at].1.values.iter_mut().zip(values) {
                *sum = sum.saturating_add(value);
            }
            return *at;
        }
        let locations = self.named.locations(stack).to_vec();
        let mut sample = Sample { stack: locations, values, labels: Vec::with_capacity(4) };
        if self.profile.sampling.is_some() && kind.block_bytes != 0 {
            sample.set_block_bytes(kind.block_bytes);
        }
        let mut word = |text| Arc::clone(self.words.entry(text).or_insert_with(|| text.into()));
        sample.set_label(labels::DOMAIN, word(kind.domain.word()));
        if let Some(openssl) = kind.openssl {
            sample.set_label(labels::OPENSSL, word(openssl));
        }
        let place = self.samples.len();
        self.by_stack.insert(key, place);
        self.samples.push((stack, sample));
        place
    }

    /// The stack of a site: wrappers off, OpenSSL's own line at its leaf.
    fn stack(&mut self, site: &Site) -> Vec<LocationId> {
        let mut addresses = site.stack.iter();
        let mut stack = Vec::with_capacity(site.stack.len() + 1);
        for address in addresses.by_ref() {
            let id = self.space.location(&mut self.named.profile, *address, AddressKind::Return);
            if let Some(leaf) = self.without_wrappers(id, site.source.domain) {
                stack.push(self.with_own_line(leaf, site));
                break;
            }
        }
        for address in addresses {
            stack.push(self.space.location(&mut self.named.profile, *address, AddressKind::Return));
        }
        if stack.is_empty() {
            let function = self.named_function(NO_STACK);
            let lines = vec![Line { function, line: 0 }];
            stack.push(self.with_own_line(Location { lines, ..Location::default() }, site));
        }
        if site.truncated {
            stack.push(self.named_frame(TRUNCATED));
        }
        stack
    }

    /// The location without the wrappers in it; `None` when nothing else is in it.
    fn without_wrappers(&self, id: LocationId, domain: Domain) -> Option<Location> {
        let location = self.named.profile.location_of(id);
        let is_wrapper = |line: &&Line| {
            let Function { name: function, file, .. } =
                self.named.profile.function_of(line.function);
            let frame = Frame { function, file, line: line.line, address: location.address };
            (domain_tables::of(domain).is_wrapper)(&frame)
        };
        let lines: Vec<Line> = location.lines.iter().skip_while(is_wrapper).copied().collect();
        if lines.is_empty() && !location.lines.is_empty() {
            return None;
        }
        Some(Location { lines, ..location.clone() })
    }

    /// The location with the innermost line that OpenSSL passed to its allocator.
    fn with_own_line(&mut self, mut location: Location, site: &Site) -> LocationId {
        if let Some(file) = &site.file {
            let innermost = location.lines.first().map(|line| line.function);
            let mut function = innermost
                .map_or_else(Function::default, |id| self.named.profile.function_of(id).clone());
            function.file = (domain_tables::of(site.source.domain).source_path)(file);
            // A build without file names passes an empty one, and then the line means nothing.
            let line = if file.is_empty() { 0 } else { site.line };
            let line = Line { function: self.named.profile.function(function), line };
            match location.lines.first_mut() {
                Some(first) => *first = line,
                None => location.lines.push(line),
            }
        }
        self.named.profile.location(location)
    }

    fn named_function(&mut self, name: &str) -> FunctionId {
        self.named.profile.function(Function {
            name: name.to_owned(),
            system_name: name.to_owned(),
            file: String::new(),
        })
    }

    fn named_frame(&mut self, name: &str) -> LocationId {
        let function = self.named_function(name);
        let lines = vec![Line { function, line: 0 }];
        self.named.profile.location(Location { lines, ..Location::default() })
    }

    fn finish(self, places: Places) -> (Profile, Places) {
        let Builder { mut named, mut profile, space, samples, .. } = self;
        let (symbols, found) = space.leave();
        named.found = found;
        profile.tables = named.tables();
        named.put_in_order(compare_frames);
        let heaviest_first = profile.column(Metric::InuseSpace);
        let mut moved = vec![0; samples.len()];
        let mut samples: Vec<_> = samples.into_iter().enumerate().collect();
        samples.sort_by_key(|(_, (stack, sample))| {
            let weight = heaviest_first.map(|column| sample.values[column]);
            (Reverse(weight), named.place(*stack))
        });
        for (place, (was, (_, sample))) in samples.into_iter().enumerate() {
            moved[was] = place as u32;
            profile.push(sample);
        }
        symbols.alike.give_back(named);
        (profile, places.moved(&moved))
    }
}

/// For readers of the profile, people and programs alike.
fn how_sampled(sampling: Sampling) -> String {
    let interval = sampling.interval();
    format!(
        "domain openssl: sampled, one sample in {interval} bytes on average: a block of the \
         size in label bytes was counted with probability 1 - exp(-bytes/{interval}), and values \
         are estimates, counts divided by that"
    )
}

/// One value per column, in the order of [`Metric::ALL`].
fn values_of(counts: &Counts) -> [i64; 6] {
    Metric::ALL.map(|metric| {
        let count = match metric {
            Metric::InuseObjects => counts.inuse_blocks,
            Metric::InuseSpace => counts.inuse_bytes,
            Metric::AllocObjects => counts.alloc_blocks,
            Metric::AllocSpace => counts.alloc_bytes,
            Metric::PeakObjects => counts.peak_blocks,
            Metric::PeakSpace => counts.peak_bytes,
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    })
}

/// How samples of equal weight are ordered. The module offsets in unnamed frames and the lines do
/// not depend on where the process was loaded; the address only comes last.
fn compare_frames(profile: &Profile, one: &[LocationId], other: &[LocationId]) -> Ordering {
    let pairs = one.iter().zip(other);
    // What is the same location in both has the same frames.
    let same = pairs.take_while(|(one, other)| one == other).count();
    frame_keys(profile, &one[same..]).cmp(frame_keys(profile, &other[same..]))
}

fn frame_keys<'a>(
    profile: &'a Profile,
    stack: &'a [LocationId],
) -> impl Iterator<Item = (&'a str, &'a str, u32, u64)> {
    let frames = stack.iter().flat_map(|id| profile.frames_of(*id));
    frames.map(|frame| (frame.function, frame.file, frame.line, frame.address))
}

#[cfg(test)]
mod tests;
