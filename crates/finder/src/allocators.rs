//! Allocators that are linked into a file under names of their own, beside the C library's malloc:
//! nobody's call of them passes through the loader, so whoever wants to see their blocks has to ask
//! the allocator itself.

use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem;
use object::LittleEndian;
use object::elf;
use object::read::elf::Sym;

use crate::Elf;
use crate::names::{self, Table};
use crate::texts;

/// An allocator that a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allocator {
    /// A jemalloc, whatever stands before its functions' names.
    Jemalloc(Jemalloc),
    /// A jemalloc in a program whose table of symbols was taken out: its functions cannot be found.
    Nameless,
    /// One that has no way to tell of its blocks, by what it is called, and its function that
    /// allocates.
    Other {
        /// What it is called.
        name: &'static str,
        /// The address in the file of its function that allocates.
        malloc: u64,
        /// CPython has it, and asks it for nothing unless the variable `PYTHONMALLOC` says so.
        is_spare: bool,
    },
}

/// Where the functions of a jemalloc lie. Addresses are those in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jemalloc {
    /// What stands before the names of its functions: `_rjem_` in programs written in Rust, `je_` in
    /// Redis; nothing where it takes the place of the C library's.
    pub prefix: String,
    /// `mallctl`, through which it is asked and told. Linkers leave out what a program does not
    /// call, of this and of the others.
    pub mallctl: Option<u64>,
    /// `mallocx`.
    pub mallocx: Option<u64>,
    /// `sdallocx`.
    pub sdallocx: Option<u64>,
    /// `dallocx`.
    pub dallocx: Option<u64>,
    /// The functions through which it maps memory for all the others.
    pub pages: Vec<Range<u64>>,
}

/// Allocators without hooks, by a function that each of them has.
const OTHERS: [(&str, &str); 3] =
    [("mimalloc", "mi_malloc"), ("snmalloc", "sn_rust_alloc"), ("rpmalloc", "rpmalloc")];

/// A function of CPython's that asks the mimalloc in it.
const PYTHONS: &str = "_PyObject_MiMalloc";
/// One that it has where threads run side by side, and all objects are mimalloc's.
const FREE_THREADED: &str = "_Py_DecRefShared";

/// Names that jemallocs have and others do not, whatever stands before them; where one ends as
/// another, the longer one first.
const JEMALLOCS: [&str; 4] = ["mallctl", "mallocx", "sdallocx", "dallocx"];
/// So many of them with one beginning are a jemalloc's.
const ENOUGH: usize = 2;

/// How jemalloc begins what it says.
const SAYS: &[u8] = b"<jemalloc>: ";

/// The allocators whose functions have names in the file, in the order of these. Of a program whose
/// table of symbols was taken out, a jemalloc is known by what it says.
pub fn allocators(elf: &Elf) -> Vec<Allocator> {
    let mut prefixes: BTreeMap<String, [Option<u64>; JEMALLOCS.len()]> = BTreeMap::new();
    let mut others = [None; OTHERS.len()];
    let mut pages = Vec::new();
    let (mut is_pythons, mut is_free_threaded) = (false, false);
    for_each_function(elf, |name, address, bytes| {
        let ending = |(at, ending): (usize, &&str)| Some((name.strip_suffix(*ending)?, at));
        if let Some((prefix, at)) = JEMALLOCS.iter().enumerate().find_map(ending) {
            prefixes.entry(prefix.to_owned()).or_default()[at] = Some(address);
        } else if maps_pages(name) {
            pages.push(address..address.saturating_add(bytes));
        } else if let Some(at) = OTHERS.iter().position(|(_, function)| *function == name) {
            others[at] = Some(address);
        }
        is_pythons |= name == PYTHONS;
        is_free_threaded |= name == FREE_THREADED;
    });
    let is_spare = is_pythons && !is_free_threaded;
    let pages = joined(pages);
    let jemallocs = prefixes.into_iter().filter_map(|(prefix, found)| {
        let [mallctl, mallocx, sdallocx, dallocx] = found;
        let is_one = found.iter().flatten().count() >= ENOUGH;
        let pages = pages.clone();
        is_one.then_some(Allocator::Jemalloc(Jemalloc {
            prefix,
            mallctl,
            mallocx,
            sdallocx,
            dallocx,
            pages,
        }))
    });
    let others = OTHERS.iter().zip(others).filter_map(|((name, _), address)| {
        Some(Allocator::Other { name, malloc: address?, is_spare })
    });
    let found: Vec<Allocator> = jemallocs.chain(others).collect();
    let is_program = || elf.needed().interpreter.is_some();
    let has_names = names::symbols(elf, Table::File).is_some();
    if found.is_empty() && !has_names && is_program() && texts::has(elf, SAYS) {
        return vec![Allocator::Nameless];
    }
    found
}

/// What compilers leave free before a function at the most.
const ALIGNMENT: u64 = 16;

/// The same in fewer ranges: what lies between two functions and is shorter than any is nobody's.
fn joined(mut code: Vec<Range<u64>>) -> Vec<Range<u64>> {
    code.sort_by_key(|it| (it.start, it.end));
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in code {
        match joined.last_mut() {
            Some(last) if range.start < last.end.saturating_add(ALIGNMENT) => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Whether it is one of jemalloc's functions for pages. Compilers add an ending to the names of
/// parts of functions.
fn maps_pages(name: &str) -> bool {
    name.contains("je_pages_") || name.starts_with("os_pages_") || name.starts_with("pages_commit")
}

/// Whether the names of a table have one of an allocator's among them. To look at each symbol of a
/// program like Node, which has some hundred thousand, takes many times as long.
fn names_one(elf: &Elf, table: Table) -> bool {
    let Some(texts) = names::texts_of(elf, table) else { return false };
    let others = OTHERS.iter().map(|(_, function)| *function);
    // Its name ends there, whatever stands before it.
    others.chain([JEMALLOCS[0], JEMALLOCS[1]]).any(|name| {
        let finder = memmem::Finder::new(name);
        finder.find_iter(texts).any(|at| texts.get(at + name.len()) == Some(&0))
    })
}

/// Calls `each` with every function that is defined in either table, where it lies, and how long it
/// is.
fn for_each_function(elf: &Elf, mut each: impl FnMut(&str, u64, u64)) {
    for table in [Table::File, Table::Exported].into_iter().filter(|table| names_one(elf, *table)) {
        let Some(symbols) = names::symbols(elf, table) else { continue };
        for symbol in symbols.iter() {
            if symbol.is_undefined(LittleEndian) || symbol.st_type() != elf::STT_FUNC {
                continue;
            }
            let Ok(name) = symbol.name(LittleEndian, symbols.strings()) else { continue };
            let (Ok(name), address) = (std::str::from_utf8(name), symbol.st_value(LittleEndian))
            else {
                continue;
            };
            if elf.is_code(address) {
                each(name, address, symbol.st_size(LittleEndian));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_for_pages_are_jemallocs_under_each_prefix() {
        assert!(maps_pages("_rjem_je_pages_map") && maps_pages("je_pages_commit.cold"));
        assert!(maps_pages("os_pages_map") && maps_pages("pages_commit_impl.constprop.0"));
        assert!(!maps_pages("_rjem_je_page_alloc") && !maps_pages("count_pages_of"));
    }

    #[test]
    fn neighbours_are_joined_over_what_fills_the_gap() {
        assert_eq!(joined(vec![32..40, 0..20, 0..20, 30..35, 56..60]), [0..40, 56..60]);
    }

    #[test]
    fn a_file_without_one_has_none() {
        let file = std::fs::read("/proc/self/exe").expect("the test itself");
        let elf = Elf::parse(&file).expect("a program of this machine");
        assert_eq!(allocators(&elf), []);
    }
}
