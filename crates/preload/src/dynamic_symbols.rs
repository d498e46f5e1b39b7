//! Symbols that a loaded object exports, through the object's own tables. The loader's `dlsym`
//! cannot be asked: it does not see libraries that were loaded privately, as Python loads its.

use std::ffi::CStr;

use crate::dynamic_section::{SymbolTable, places};
use crate::object::Object;

/// The symbols of an object, and how they are found by name.
pub(crate) struct DynamicSymbols<'a> {
    table: SymbolTable<'a>,
    gnu_hash: Option<usize>,
    /// The older table, which tells how many symbols there are.
    hash: Option<usize>,
}

const DT_HASH: usize = 4;
const DT_GNU_HASH: usize = 0x6fff_fef5;

/// Symbols of an object that has only the older table: far more than any has.
const MOST_SYMBOLS: u32 = 1 << 20;

impl<'a> DynamicSymbols<'a> {
    /// `None` when the object exports nothing.
    pub(crate) fn of(object: &'a Object) -> Option<DynamicSymbols<'a>> {
        let [gnu_hash, hash] = places(object, [DT_GNU_HASH, DT_HASH])?;
        Some(DynamicSymbols { table: SymbolTable::of(object)?, gnu_hash, hash })
    }

    /// The address of the function `name`, if this object defines it.
    pub(crate) fn function(&self, name: &CStr) -> Option<usize> {
        let address = match self.gnu_hash {
            Some(table) => self.by_gnu_hash(table, name),
            None => self.one_by_one(name),
        }?;
        self.object().holds_code(address, 1).then_some(address)
    }

    fn by_gnu_hash(&self, table: usize, name: &CStr) -> Option<usize> {
        let word = |index: usize| self.object().read::<u32>(table + index * size_of::<u32>());
        let (buckets, first, bloom_words) = (word(0)?, word(1)?, word(2)? as usize);
        if buckets == 0 {
            return None;
        }
        let buckets_at = 4 + bloom_words * 2;
        let hash = gnu_hash(name);
        let mut symbol = word(buckets_at + (hash % buckets) as usize)?;
        if symbol < first {
            return None;
        }
        loop {
            let chained = word(buckets_at + buckets as usize + (symbol - first) as usize)?;
            if chained | 1 == hash | 1
                && let Some(address) = self.defined(symbol, name)
            {
                return Some(address);
            }
            if chained & 1 != 0 {
                return None;
            }
            symbol = symbol.checked_add(1)?;
        }
    }

    fn one_by_one(&self, name: &CStr) -> Option<usize> {
        let symbols: u32 = self.object().read(self.hash? + size_of::<u32>())?;
        (1..symbols.min(MOST_SYMBOLS)).find_map(|symbol| self.defined(symbol, name))
    }

    /// The address of a symbol, if it is defined here and has this name.
    fn defined(&self, symbol: u32, name: &CStr) -> Option<usize> {
        let symbol = self.table.named(symbol as usize, name)?;
        let is_defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        is_defined.then(|| self.object().base.wrapping_add(symbol.st_value as usize))
    }

    fn object(&self) -> &'a Object {
        self.table.object
    }
}

fn gnu_hash(name: &CStr) -> u32 {
    let step = |hash: u32, byte: &u8| hash.wrapping_mul(33).wrapping_add(u32::from(*byte));
    name.to_bytes().iter().fold(5381, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    fn in_libc(name: &CStr) -> Option<usize> {
        let (objects, _) = object::loaded();
        let is_libc = |object: &&Object| object.path.display().to_string().contains("/libc.so");
        let libc = objects.iter().find(is_libc).expect("the C library is loaded");
        DynamicSymbols::of(libc).expect("it exports").function(name)
    }

    #[test]
    fn an_exported_function_is_where_the_loader_says() {
        assert_eq!(in_libc(c"getppid"), Some(libc::getppid as *const () as usize));
    }

    #[test]
    fn what_an_object_does_not_define_is_not_found() {
        assert_eq!(in_libc(c"CRYPTO_set_mem_functions"), None);
        assert_eq!(in_libc(c""), None);
    }

    #[test]
    fn data_is_no_function() {
        assert_eq!(in_libc(c"environ"), None);
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        assert_eq!(gnu_hash(c""), 0x1505);
        assert_eq!(gnu_hash(c"printf"), 0x156b_2bb8);
    }
}
