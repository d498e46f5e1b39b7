//! What the stacks of a profile refer to: each mapping, function and location once, by a handle.
//!
//! Processes that a server forks have thousands of stacks in common with it. So profiles can share
//! their tables, and whoever adds to tables that are shared has some of its own from then on.

use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::{Function, FunctionId, Location, LocationId, Mapping, MappingId};

/// A set whose members have numbers.
pub(crate) type IndexSet<T> = indexmap::IndexSet<T, RandomState>;

/// Tables that others may share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    content: Arc<Content>,
    /// Of tables with the same number, the longer ones are the shorter ones with more added: a
    /// handle of the shorter ones is good for all. `None` where nothing is known of others.
    kin: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    mappings: IndexSet<Mapping>,
    functions: IndexSet<Function>,
    locations: IndexSet<Location>,
}

impl Tables {
    /// The same tables, as they are now, for a profile: `kin` tells those that come of one and the
    /// same growing set of tables.
    pub fn with_kin(&self, kin: Option<u64>) -> Tables {
        Tables { content: Arc::clone(&self.content), kin }
    }

    /// Tables with the same number have the same handles, as far as they go.
    pub fn kin(&self) -> Option<u64> {
        self.kin
    }

    pub fn add_mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId(self.add(|it| &it.mappings, |it| &mut it.mappings, mapping))
    }

    pub fn add_function(&mut self, function: Function) -> FunctionId {
        FunctionId(self.add(|it| &it.functions, |it| &mut it.functions, function))
    }

    pub fn add_location(&mut self, location: Location) -> LocationId {
        LocationId(self.add(|it| &it.locations, |it| &mut it.locations, location))
    }

    fn add<T: Hash + Eq>(
        &mut self,
        of: fn(&Content) -> &IndexSet<T>,
        of_own: fn(&mut Content) -> &mut IndexSet<T>,
        value: T,
    ) -> u32 {
        // What is there already is no reason to have tables of one's own.
        let shared = Arc::get_mut(&mut self.content).is_none();
        if let Some(at) = of(&self.content).get_index_of(&value).filter(|_| shared) {
            return at as u32;
        }
        let set = of_own(Arc::make_mut(&mut self.content));
        let before = set.len();
        let at = set.insert_full(value).0;
        if set.len() > before {
            self.kin = None;
        }
        at as u32
    }

    pub fn mappings(&self) -> &IndexSet<Mapping> {
        &self.content.mappings
    }

    pub fn functions(&self) -> &IndexSet<Function> {
        &self.content.functions
    }

    pub fn locations(&self) -> &IndexSet<Location> {
        &self.content.locations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str) -> Function {
        Function { name: name.to_owned(), ..Function::default() }
    }

    #[test]
    fn who_adds_to_shared_tables_has_its_own_from_then_on() {
        let mut grown = Tables::default();
        let main = grown.add_function(function("main"));
        let (mut one, other) = (grown.with_kin(Some(7)), grown.with_kin(Some(7)));
        assert_eq!(one.add_function(function("main")), main);
        assert_eq!((one.kin(), one.functions().len()), (Some(7), 1));
        let new = one.add_function(function("new"));
        assert_ne!(new, main);
        assert_eq!((one.kin(), one.functions().len()), (None, 2));
        assert_eq!((other.kin(), other.functions().len()), (Some(7), 1));
    }
}
