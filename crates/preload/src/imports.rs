//! The places of an object in which the loader has put the address of a function of another: calls
//! of that function go through them.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dynamic_section::{SymbolTable, places, values};
use crate::object::{Object, Plain};
use crate::page;

#[repr(C)]
#[derive(Clone, Copy)]
struct Relocation {
    offset: usize,
    info: usize,
    addend: usize,
}

// SAFETY: three numbers of the same size.
unsafe impl Plain for Relocation {}

const DT_PLTRELSZ: usize = 2;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;
const DT_JMPREL: usize = 23;

/// How a place came to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The loader may fill it at the first call, and until then it leads back into its object.
    Called,
    /// The loader has filled it.
    Filled,
    /// A variable of the program's, which began with it.
    Variable,
}

impl Kind {
    /// That of a relocation that holds nothing but a symbol's address.
    fn of(relocation: &Relocation) -> Option<Kind> {
        #[cfg(target_arch = "x86_64")]
        const KINDS: [usize; 3] = [7, 6, 1];
        #[cfg(target_arch = "aarch64")]
        const KINDS: [usize; 3] = [1026, 1025, 257];
        let [called, filled, variable] = KINDS;
        match relocation.info & 0xffff_ffff {
            kind if kind == called => Some(Kind::Called),
            kind if kind == filled => Some(Kind::Filled),
            kind if kind == variable && relocation.addend == 0 => Some(Kind::Variable),
            _ => None,
        }
    }
}

/// Which functions an object's places are looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Those of other objects.
    Others,
    /// Its own, too, where it leaves them to whoever comes first in everybody's search.
    All,
}

/// A place in which the loader has put the address of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Import {
    /// Which of the names it is.
    pub name: usize,
    pub slot: usize,
    pub kind: Kind,
}

/// Where `object` keeps the address of `name`, which it calls and does not define.
pub(crate) fn slots(object: &Object, name: &CStr) -> Vec<usize> {
    let found = imports(object, &[name], Of::Others).into_iter();
    found.filter(|import| import.kind != Kind::Variable).map(|import| import.slot).collect()
}

/// Where `object` keeps the addresses of functions with these names.
pub(crate) fn imports(object: &Object, names: &[&CStr], of: Of) -> Vec<Import> {
    find(object, names, of).unwrap_or_default()
}

fn find(object: &Object, names: &[&CStr], of: Of) -> Option<Vec<Import>> {
    let symbols = SymbolTable::of(object)?;
    let [plt, rela] = places(object, [DT_JMPREL, DT_RELA])?;
    let [plt_bytes, rela_bytes] = values(object, [DT_PLTRELSZ, DT_RELASZ])?;
    let mut found = Vec::new();
    for (table, bytes) in [(plt, plt_bytes), (rela, rela_bytes)] {
        let bytes = bytes.unwrap_or(0);
        let Some(table) = table.filter(|table| object.holds(*table, bytes)) else { continue };
        for index in 0..bytes / size_of::<Relocation>() {
            let place = table + index * size_of::<Relocation>();
            let Some(relocation) = object.read::<Relocation>(place) else { break };
            let Some(kind) = Kind::of(&relocation) else { continue };
            let symbol = relocation.info >> 32;
            let is_meant = |symbol: libc::Elf64_Sym| of == Of::All || symbol.st_shndx == 0;
            let is_it = |name: &&CStr| symbols.named(symbol, name).is_some_and(is_meant);
            if let Some(name) = names.iter().position(is_it) {
                let slot = object.base.wrapping_add(relocation.offset);
                found.push(Import { name, slot, kind });
            }
        }
    }
    Some(found)
}

/// Stores `address`, of a function of the type of that which is there, in a slot of the object's,
/// which the loader may have made read-only. `false`: it is as it was.
pub(crate) fn put(object: &Object, slot: usize, address: usize) -> bool {
    if !slot.is_multiple_of(align_of::<usize>()) || !object.holds(slot, size_of::<usize>()) {
        return false;
    }
    let page = page::size();
    let start = slot & !(page - 1);
    let sealed = !object.is_variable(slot);
    let protect = |access: c_int| {
        // SAFETY: one page of the object's data, which stays readable throughout.
        unsafe { libc::mprotect(start as *mut c_void, page, access) == 0 }
    };
    if sealed && !protect(libc::PROT_READ | libc::PROT_WRITE) {
        return false;
    }
    // SAFETY: a slot of the object, aligned, and writable now. Another thread that calls through
    // it at this moment finds the one address or the other, and both are functions of one type.
    unsafe { &*(slot as *const AtomicUsize) }.store(address, Ordering::Release);
    if sealed {
        protect(libc::PROT_READ);
    }
    true
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
