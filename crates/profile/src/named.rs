//! Stacks of processes that have the same code: named once for all of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use contract::Domain;
use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};
use ledger::{Module, Site, Snapshot};

use crate::same_code::laid_out_like;
use crate::symbols::{Found, code};
use crate::tables::{IndexSet, Tables};
use crate::{LocationId, Profile};

/// So many kinds of processes are remembered.
const MOST: usize = 16;

/// What is known of the kinds that were met last.
#[derive(Default)]
pub(crate) struct Alike(Vec<Named>);

/// What is known of one kind.
#[derive(Default)]
pub(crate) struct Named {
    code: Vec<Module>,
    /// As in [`Profile::kin`]; `None` for a process that has names of its own.
    kin: Option<u64>,
    /// Has the tables that all handles here are of.
    pub profile: Profile,
    pub found: Found,
    stacks: IndexSet<Box<[LocationId]>>,
    of_sites: IndexMap<Called, NamedStack, RandomState>,
    /// Of as many stacks as there were when they were last put in order, each one's place in it.
    places: Vec<usize>,
}

/// The number of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NamedStack(usize);

/// What the stack of a site depends on.
#[derive(PartialEq, Eq, Hash)]
struct Called {
    stack: Vec<u64>,
    file: Option<Arc<str>>,
    line: u32,
    domain: Domain,
    truncated: bool,
}

/// The same, in a site. Its hash is that of [`Called`], whose fields come in the same order.
#[derive(Hash)]
struct CalledAt<'a> {
    stack: &'a [u64],
    file: Option<&'a str>,
    line: u32,
    domain: Domain,
    truncated: bool,
}

impl CalledAt<'_> {
    fn of(site: &Site) -> CalledAt<'_> {
        CalledAt {
            stack: &site.stack,
            file: site.file.as_deref(),
            line: site.line,
            domain: site.source.domain,
            truncated: site.truncated,
        }
    }
}

impl Equivalent<Called> for CalledAt<'_> {
    fn equivalent(&self, other: &Called) -> bool {
        (self.line, self.domain, self.truncated) == (other.line, other.domain, other.truncated)
            && self.stack == other.stack
            && self.file == other.file.as_deref()
    }
}

impl Alike {
    /// The process with its code where that of a kind lies that is known.
    pub fn laid_out_like_others<'a>(&self, snapshot: &'a Snapshot) -> Cow<'a, Snapshot> {
        let mut kinds = self.0.iter().rev();
        let known = kinds.find_map(|named| laid_out_like(snapshot, &named.code));
        known.unwrap_or(Cow::Borrowed(snapshot))
    }

    /// What is known of processes with these modules. To be given back.
    pub fn take(&mut self, modules: &[Module]) -> Named {
        let known = self.0.iter().position(|named| named.code.iter().eq(code(modules)));
        if let Some(at) = known {
            return self.0.remove(at);
        }
        let code = code(modules).cloned().collect();
        Named { code, kin: Some(next_kin()), ..Named::default() }
    }

    /// Remembers what is known, and forgets what was not asked for longest. Of a process with names
    /// of its own nothing is remembered.
    pub fn give_back(&mut self, named: Named) {
        if named.kin.is_some() {
            let too_many = (self.0.len() + 1).saturating_sub(MOST);
            self.0.drain(..too_many);
            self.0.push(named);
        }
    }
}

fn next_kin() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, atomic::Ordering::Relaxed)
}

impl Named {
    /// The stack of a site, if it has been named.
    pub fn of_site(&self, site: &Site) -> Option<NamedStack> {
        self.of_sites.get(&CalledAt::of(site)).copied()
    }

    /// Remembers the stack of a site, which is one of code.
    pub fn name_site(&mut self, site: &Site, stack: Vec<LocationId>) -> NamedStack {
        let named = self.stack(stack);
        let called = Called {
            stack: site.stack.clone(),
            file: site.file.clone(),
            line: site.line,
            domain: site.source.domain,
            truncated: site.truncated,
        };
        self.of_sites.insert(called, named);
        named
    }

    /// The number of a stack.
    pub fn stack(&mut self, stack: Vec<LocationId>) -> NamedStack {
        NamedStack(self.stacks.insert_full(stack.into()).0)
    }

    /// The stack with that number.
    pub fn locations(&self, stack: NamedStack) -> &[LocationId] {
        &self.stacks[stack.0]
    }

    /// Puts all stacks in the order that `compare` gives. Stacks that are equal by it share a place.
    pub fn put_in_order(
        &mut self,
        compare: impl Fn(&Profile, &[LocationId], &[LocationId]) -> Ordering,
    ) {
        if self.places.len() == self.stacks.len() {
            return;
        }
        let compare = |one: usize, other: usize| {
            compare(&self.profile, &self.stacks[one], &self.stacks[other])
        };
        let mut order: Vec<usize> = (0..self.stacks.len()).collect();
        order.sort_by(|one, other| compare(*one, *other));
        self.places = vec![0; order.len()];
        let mut place = 0;
        for pair in order.windows(2) {
            place += usize::from(compare(pair[0], pair[1]).is_ne());
            self.places[pair[1]] = place;
        }
    }

    /// A stack's place in the order of all.
    pub fn place(&self, stack: NamedStack) -> usize {
        self.places[stack.0]
    }

    /// The tables as they are now, for a profile.
    pub fn tables(&self) -> Tables {
        self.profile.tables.with_kin(self.kin)
    }
}
