//! A table that keeps equal values once.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// Values in order of first use, each kept once. Values are found through their hashes, so that
/// none is stored a second time as a key: profiles hold hundreds of thousands of them.
#[derive(Clone, Debug)]
pub(crate) struct Interner<T> {
    values: Vec<T>,
    hasher: RandomState,
    /// The newest value with that hash.
    newest: HashMap<u64, u32>,
    /// For each value, the next older one with the same hash.
    older: Vec<Option<u32>>,
}

impl<T> Default for Interner<T> {
    fn default() -> Interner<T> {
        Interner {
            values: Vec::new(),
            hasher: RandomState::new(),
            newest: HashMap::new(),
            older: Vec::new(),
        }
    }
}

impl<T: Hash + Eq> Interner<T> {
    /// The index of `value`, which is added when it is new.
    pub(crate) fn intern(&mut self, value: T) -> u32 {
        let hash = self.hasher.hash_one(&value);
        let newest = self.newest.get(&hash).copied();
        let mut candidate = newest;
        while let Some(at) = candidate {
            if self.values[at as usize] == value {
                return at;
            }
            candidate = self.older[at as usize];
        }
        let at = self.values.len() as u32;
        self.values.push(value);
        self.older.push(newest);
        self.newest.insert(hash, at);
        at
    }
}

impl<T> Interner<T> {
    /// All values, in order of first use.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_an_index_and_others_do_not() {
        let mut interner = Interner::default();
        assert_eq!(interner.intern("a".to_owned()), 0);
        assert_eq!(interner.intern("b".to_owned()), 1);
        assert_eq!(interner.intern("a".to_owned()), 0);
        assert_eq!(interner.values(), ["a", "b"]);
    }

    /// Every value has the same hash, as a hostile file might arrange.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u8(0);
        }
    }

    #[test]
    fn values_with_equal_hashes_stay_apart() {
        let mut interner = Interner::default();
        let first: Vec<u32> = (0..9).map(|n| interner.intern(Colliding(n))).collect();
        let second: Vec<u32> = (0..9).map(|n| interner.intern(Colliding(n))).collect();
        assert_eq!(first, second);
        assert_eq!(interner.values().len(), 9);
    }
}
