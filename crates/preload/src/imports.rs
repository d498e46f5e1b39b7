//! The places of an object in which the loader has put the address of a function of another: calls
//! of that function go through them.

use std::ffi::CStr;

use crate::object::{Object, Plain};

#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    tag: usize,
    value: usize,
}

// SAFETY: two numbers of the same size.
unsafe impl Plain for Entry {}

#[repr(C)]
#[derive(Clone, Copy)]
struct Relocation {
    offset: usize,
    info: usize,
    addend: usize,
}

// SAFETY: three numbers of the same size.
unsafe impl Plain for Relocation {}

const DT_NULL: usize = 0;
const DT_PLTRELSZ: usize = 2;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;

/// Kinds of relocations that hold nothing but a symbol's address.
#[cfg(target_arch = "x86_64")]
const SLOTS: [usize; 2] = [6, 7];
#[cfg(target_arch = "aarch64")]
const SLOTS: [usize; 2] = [1025, 1026];

/// Where `object` keeps the address of `name`, which it calls and does not define.
pub(crate) fn slots(object: &Object, name: &CStr) -> Vec<usize> {
    find(object, name).unwrap_or_default()
}

fn find(object: &Object, name: &CStr) -> Option<Vec<usize>> {
    let mut at = object.dynamic?;
    let (mut symbols, mut strings) = (None, None);
    let (mut plt, mut plt_bytes, mut rela, mut rela_bytes) = (None, 0, None, 0);
    loop {
        let entry: Entry = object.read(at)?;
        let place = object.holds(entry.value, 1).then_some(entry.value);
        match entry.tag {
            DT_NULL => break,
            DT_SYMTAB => symbols = place,
            DT_STRTAB => strings = place,
            DT_JMPREL => plt = place,
            DT_PLTRELSZ => plt_bytes = entry.value,
            DT_RELA => rela = place,
            DT_RELASZ => rela_bytes = entry.value,
            _ => {}
        }
        at += size_of::<Entry>();
    }
    let (symbols, strings) = (symbols?, strings?);
    let mut found = Vec::new();
    for (table, bytes) in [(plt, plt_bytes), (rela, rela_bytes)] {
        let Some(table) = table.filter(|table| object.holds(*table, bytes)) else { continue };
        for index in 0..bytes / size_of::<Relocation>() {
            let place = table + index * size_of::<Relocation>();
            let Some(relocation) = object.read::<Relocation>(place) else { break };
            let (symbol, kind) = (relocation.info >> 32, relocation.info & 0xffff_ffff);
            if SLOTS.contains(&kind) && is_named(object, symbols, strings, symbol, name) {
                found.push(object.base.wrapping_add(relocation.offset));
            }
        }
    }
    Some(found)
}

fn is_named(object: &Object, symbols: usize, strings: usize, symbol: usize, name: &CStr) -> bool {
    let place = symbols + symbol * size_of::<libc::Elf64_Sym>();
    let Some(symbol) = object.read::<libc::Elf64_Sym>(place) else { return false };
    let (text, name) = (strings + symbol.st_name as usize, name.to_bytes_with_nul());
    if symbol.st_shndx != 0 || !object.holds(text, name.len()) {
        return false;
    }
    // SAFETY: `holds` says that so many bytes lie in one readable segment of a loaded object.
    let stored = unsafe { std::slice::from_raw_parts(text as *const u8, name.len()) };
    stored == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn the_slot_of_a_function_that_is_called_holds_its_address() {
        let (objects, _) = object::loaded();
        // The test program calls it through Rust's standard library.
        let slots = slots(&objects[0], c"getcwd");
        assert!(!slots.is_empty());
        for slot in slots {
            let address: usize = objects[0].read(slot).expect("a slot lies in the object");
            assert_eq!(address, libc::getcwd as *const () as usize);
        }
    }

    #[test]
    fn what_is_not_called_has_no_slot() {
        let (objects, _) = object::loaded();
        assert!(slots(&objects[0], c"SSL_new").is_empty());
    }
}
