//! Symbols that a loaded object exports, through the object's own tables. The loader's `dlsym`
//! cannot be asked: it does not see libraries that were loaded privately, as Python loads its.

use std::ffi::CStr;

use crate::object::{Object, Plain};

/// The object's tables, as the loader has placed them.
pub(crate) struct DynamicSymbols<'a> {
    object: &'a Object,
    symbols: usize,
    strings: usize,
    gnu_hash: Option<usize>,
    /// The older table, which tells how many symbols there are.
    hash: Option<usize>,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Dynamic {
    tag: i64,
    value: usize,
}

// SAFETY: two numbers of the same size.
unsafe impl Plain for Dynamic {}

const DT_NULL: i64 = 0;
const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;

/// Symbols of an object that has only the older table: far more than any has.
const MOST_SYMBOLS: u32 = 1 << 20;

impl<'a> DynamicSymbols<'a> {
    /// `None` when the object exports nothing.
    pub(crate) fn of(object: &'a Object) -> Option<DynamicSymbols<'a>> {
        let mut at = object.dynamic?;
        let (mut symbols, mut strings, mut gnu_hash, mut hash) = (None, None, None, None);
        loop {
            let entry: Dynamic = object.read(at)?;
            // The loader adds the base to these, but for objects it did not load itself (the
            // kernel's); those have nothing for us.
            let place = object.holds(entry.value, 1).then_some(entry.value);
            match entry.tag {
                DT_NULL => break,
                DT_SYMTAB => symbols = place,
                DT_STRTAB => strings = place,
                DT_GNU_HASH => gnu_hash = place,
                DT_HASH => hash = place,
                _ => {}
            }
            at += size_of::<Dynamic>();
        }
        Some(DynamicSymbols { object, symbols: symbols?, strings: strings?, gnu_hash, hash })
    }

    /// The address of the function `name`, if this object defines it.
    pub(crate) fn function(&self, name: &CStr) -> Option<usize> {
        let address = match self.gnu_hash {
            Some(table) => self.by_gnu_hash(table, name),
            None => self.one_by_one(name),
        }?;
        self.object.holds_code(address, 1).then_some(address)
    }

    fn by_gnu_hash(&self, table: usize, name: &CStr) -> Option<usize> {
        let word = |index: usize| self.object.read::<u32>(table + index * size_of::<u32>());
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
        let symbols: u32 = self.object.read(self.hash? + size_of::<u32>())?;
        (1..symbols.min(MOST_SYMBOLS)).find_map(|symbol| self.defined(symbol, name))
    }

    /// The address of a symbol, if it is defined here and has this name.
    fn defined(&self, symbol: u32, name: &CStr) -> Option<usize> {
        let place = self.symbols + symbol as usize * size_of::<libc::Elf64_Sym>();
        let symbol: libc::Elf64_Sym = self.object.read(place)?;
        let name = name.to_bytes_with_nul();
        let text = self.strings + symbol.st_name as usize;
        if symbol.st_shndx == 0 || symbol.st_value == 0 || !self.object.holds(text, name.len()) {
            return None;
        }
        // SAFETY: `holds` says that so many bytes lie in one readable segment of an object that
        // is loaded.
        let stored = unsafe { std::slice::from_raw_parts(text as *const u8, name.len()) };
        (stored == name).then(|| self.object.base.wrapping_add(symbol.st_value as usize))
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
