//! One stack and what it holds: what rules look at.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt};
use profile::{Frame, Metric, Profile, Sample};

use crate::call_ids::{CallId, CallIds, OfLocations};
use crate::category::Judged;
use crate::diagnosis::held_at::HeldAt;
use crate::diagnosis::reading::{Reading, reading};
use crate::group::Call;
use crate::objects::{Object, objects_of_samples};
use crate::short_name::{c_name, is_named};

/// One stack and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The stack, innermost call first. C functions are as in the source, without what the
    /// compiler appended.
    pub calls: Vec<Call>,
    /// What the memory is for.
    pub category: &'static str,
    /// What its blocks are the structs of.
    pub object: Option<Object>,
    /// Who had certificates read on this stack.
    pub reading: Option<Reading>,
    /// The files that the stack's code lies in, where the profile knows them.
    pub modules: BTreeSet<String>,
    /// Bytes in use, less those of the baseline.
    pub bytes: i64,
    /// Blocks in use, less those of the baseline.
    pub blocks: i64,
    /// Bytes in use, the baseline's too.
    pub all_bytes: i64,
    /// Blocks in use, the baseline's too.
    pub all_blocks: i64,
    /// Blocks ever allocated; those in use where the profile does not know it.
    pub made_blocks: i64,
}

impl Holding {
    /// The call that asked for the memory.
    pub fn leaf(&self) -> &Call {
        static NOTHING: Call = Call { function: String::new(), file: String::new(), line: 0 };
        self.calls.first().unwrap_or(&NOTHING)
    }

    /// The top-level group of the category.
    pub fn group(&self) -> &'static str {
        self.category.split_once('.').map_or(self.category, |(group, _)| group)
    }

    /// Whether it may belong to each of `live` objects, of which `made` were ever made. What the
    /// library fetches and names for itself, the first of them may have brought: the process has
    /// that once.
    pub fn may_be_of_each(&self, live: i64, made: i64) -> bool {
        !self.may_be_librarys() || (self.all_blocks >= live && self.made_blocks % made.max(1) == 0)
    }

    /// Whether it may be what the library fetches and names for itself.
    pub fn may_be_librarys(&self) -> bool {
        matches!(self.group(), "err" | "evp" | "process" | "provider" | "rand")
    }

    /// How large its blocks are; `None` when there are none.
    pub fn block_size(&self) -> Option<i64> {
        self.all_bytes.checked_div(self.all_blocks)
    }

    /// A function on the stack has one of these names, or begins so where a `*` ends the name.
    pub fn passes_function(&self, names: &[&str]) -> bool {
        self.first_of(names).is_some()
    }

    /// Where the innermost call of one of these functions is on the stack.
    pub fn first_of(&self, names: &[&str]) -> Option<usize> {
        self.calls.iter().position(|call| is_one_of(&call.function, names))
    }

    /// A source file on the stack begins so.
    pub fn passes_file(&self, beginning: &str) -> bool {
        self.calls.iter().any(|call| call.file.starts_with(beginning))
    }
}

/// The function has one of these names, or begins so where a `*` ends the name.
pub fn is_one_of(function: &str, names: &[&str]) -> bool {
    names.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => function.starts_with(beginning),
        None => function == *name,
    })
}

/// The stacks of a profile with what each holds, and what it holds more than in the baseline, whose
/// figures are those of its capture. Stacks without bytes on either side are left out. `None` when
/// the profile does not know the blocks and bytes of that moment.
pub fn holdings(profile: &Profile, baseline: Option<&Profile>, at: HeldAt) -> Option<Vec<Holding>> {
    let mut ids = CallIds::named_by(call);
    let mut sums = HashMap::new();
    add(&mut sums, &mut ids, profile, at, |sums, [blocks, bytes, made]| {
        sums.all_blocks += blocks;
        sums.all_bytes += bytes;
        sums.made_blocks += made;
    })?;
    if let Some(baseline) = baseline {
        add(&mut sums, &mut ids, baseline, HeldAt::Capture, |sums, [blocks, bytes, _]| {
            sums.base_blocks += blocks;
            sums.base_bytes += bytes;
        })?;
    }
    let held = sums.into_iter().filter(|(_, sums)| sums.all_bytes != 0 || sums.base_bytes != 0);
    let with_calls = held.map(|((calls, category), sums)| {
        let calls: Vec<Call> = calls.iter().map(|id| ids.call(*id).clone()).collect();
        ((calls, category), sums)
    });
    let in_order: BTreeMap<(Vec<Call>, &'static str), Sums> = with_calls.collect();
    let held = in_order.into_iter();
    Some(
        held.map(|((calls, category), sums)| Holding {
            reading: reading(&calls),
            calls,
            category,
            object: sums.object,
            modules: sums.modules,
            bytes: sums.all_bytes - sums.base_bytes,
            blocks: sums.all_blocks - sums.base_blocks,
            all_bytes: sums.all_bytes,
            all_blocks: sums.all_blocks,
            made_blocks: sums.made_blocks,
        })
        .collect(),
    )
}

/// Wide enough for every sum of what a profile can hold.
#[derive(Default)]
struct Sums {
    object: Option<Object>,
    modules: BTreeSet<String>,
    all_blocks: i64,
    all_bytes: i64,
    made_blocks: i64,
    base_blocks: i64,
    base_bytes: i64,
}

fn add(
    sums: &mut HashMap<(Vec<CallId>, &'static str), Sums>,
    ids: &mut CallIds,
    profile: &Profile,
    at: HeldAt,
    mut put: impl FnMut(&mut Sums, [i64; 3]),
) -> Option<()> {
    let (blocks, bytes) = (at.column().blocks(), at.column().bytes());
    let (blocks, bytes) = (profile.column(blocks)?, profile.column(bytes)?);
    let made = profile.column(Metric::AllocObjects).unwrap_or(blocks);
    let mut of_locations = OfLocations::of(profile);
    let categories = Judged::default().of_samples(profile);
    let samples = profile.samples().iter().zip(objects_of_samples(profile));
    for ((sample, object), category) in samples.zip(categories) {
        let mut calls = Vec::with_capacity(2 * sample.stack.len());
        for id in &sample.stack {
            calls.extend_from_slice(of_locations.calls(*id, ids));
        }
        let sum = sums.entry((calls, category.name)).or_default();
        sum.object = sum.object.or(object);
        add_modules(&mut sum.modules, profile, sample);
        // Readers refuse files whose columns do not add up within an i64.
        put(sum, [blocks, bytes, made].map(|column| sample.values[column]));
    }
    Some(())
}

fn add_modules(modules: &mut BTreeSet<String>, profile: &Profile, sample: &Sample) {
    // Calls of one library after another are most of a stack.
    let mut last = None;
    for id in &sample.stack {
        let Some(mapping) = profile.location_of(*id).mapping else { continue };
        if last.replace(mapping) == Some(mapping) {
            continue;
        }
        let path = profile.mapping_of(mapping).file.as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        if !modules.contains(name) {
            modules.insert(name.to_owned());
        }
    }
}

fn call(frame: &Frame<'_>) -> Call {
    Call {
        function: name_in_source(frame.function).to_owned(),
        file: frame.file.to_owned(),
        line: frame.line,
    }
}

/// Without what compilers and linkers appended. A place in a library (`libssl.so.3+0x10`) is a name
/// that nothing may be cut off.
fn name_in_source(function: &str) -> &str {
    if !is_named(function) {
        return function;
    }
    c_name(function).split('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{push, stack};

    #[test]
    fn the_baseline_is_taken_off_stack_by_stack() {
        let calls = [("SSL_new.part.0", "ssl/ssl_lib.c"), ("main", "src/main.c")];
        let profile = |blocks| {
            let mut profile = Profile::of_heap();
            push(&mut profile, "openssl", &stack(&calls), blocks, blocks * 100);
            profile
        };
        let held = holdings(&profile(5), Some(&profile(2)), HeldAt::Capture).unwrap();
        assert_eq!(held.len(), 1);
        assert_eq!((held[0].blocks, held[0].bytes), (3, 300));
        assert_eq!((held[0].all_blocks, held[0].all_bytes), (5, 500));
        assert_eq!(held[0].made_blocks, 10);
        assert_eq!(held[0].block_size(), Some(100));
        assert_eq!(held[0].leaf().function, "SSL_new");
        assert!(held[0].passes_function(&["SSL_*"]) && !held[0].passes_function(&["SSL_"]));
        assert!(held[0].passes_file("src/"));
        assert_eq!(held[0].group(), "tls");
    }

    #[test]
    fn a_profile_without_blocks_holds_nothing_that_rules_could_judge() {
        assert_eq!(holdings(&Profile::new(Vec::new(), None), None, HeldAt::Peak), None);
    }
}
