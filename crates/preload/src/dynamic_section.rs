//! What a loaded object tells the loader of itself: its tables, as the loader has placed them.

use std::ffi::CStr;

use crate::object::{Object, Plain};

/// An entry of the section.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    tag: usize,
    value: usize,
}

// SAFETY: two numbers of the same size.
unsafe impl Plain for Entry {}

const DT_NULL: usize = 0;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;

/// The values that an object has for `tags`. `None` when it has no section, or one without an end.
pub(crate) fn values<const N: usize>(
    object: &Object,
    tags: [usize; N],
) -> Option<[Option<usize>; N]> {
    let mut at = object.dynamic?;
    let mut values = [None; N];
    loop {
        let entry: Entry = object.read(at)?;
        if entry.tag == DT_NULL {
            return Some(values);
        }
        if let Some(asked) = tags.iter().position(|tag| *tag == entry.tag) {
            values[asked] = Some(entry.value);
        }
        at += size_of::<Entry>();
    }
}

/// The values of tags that are places in the object.
pub(crate) fn places<const N: usize>(
    object: &Object,
    tags: [usize; N],
) -> Option<[Option<usize>; N]> {
    // The loader adds the base to these, but for objects it did not load itself (the kernel's);
    // those have nothing for us.
    Some(values(object, tags)?.map(|value| value.filter(|place| object.holds(*place, 1))))
}

/// The texts that an object has for `tag`, each where it may have several.
pub(crate) fn texts(object: &Object, tag: usize) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    let Some([Some(strings)]) = places(object, [DT_STRTAB]) else { return texts };
    let mut at = object.dynamic.unwrap_or_default();
    while let Some(entry) = object.read::<Entry>(at).filter(|entry| entry.tag != DT_NULL) {
        if entry.tag == tag {
            let bytes = (strings + entry.value..).map_while(|at| object.read::<u8>(at));
            texts.push(bytes.take_while(|byte| *byte != 0).collect());
        }
        at += size_of::<Entry>();
    }
    texts
}

/// The symbols of an object: those that it defines for others, and those that it needs of them.
pub(crate) struct SymbolTable<'a> {
    pub object: &'a Object,
    symbols: usize,
    strings: usize,
}

impl<'a> SymbolTable<'a> {
    /// `None` when the object has none.
    pub(crate) fn of(object: &'a Object) -> Option<SymbolTable<'a>> {
        let [symbols, strings] = places(object, [DT_SYMTAB, DT_STRTAB])?;
        Some(SymbolTable { object, symbols: symbols?, strings: strings? })
    }

    /// The symbol of this number, if it has this name.
    pub(crate) fn named(&self, number: usize, name: &CStr) -> Option<libc::Elf64_Sym> {
        let place = self.symbols + number * size_of::<libc::Elf64_Sym>();
        let symbol: libc::Elf64_Sym = self.object.read(place)?;
        let name = name.to_bytes_with_nul();
        let text = self.strings + symbol.st_name as usize;
        if !self.object.holds(text, name.len()) {
            return None;
        }
        // SAFETY: `holds` says that so many bytes lie in one readable segment of an object that
        // is loaded.
        let stored = unsafe { std::slice::from_raw_parts(text as *const u8, name.len()) };
        (stored == name).then_some(symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn an_object_says_what_it_is_called_and_what_it_needs() {
        const DT_NEEDED: usize = 1;
        const DT_SONAME: usize = 14;
        let (objects, _) = object::loaded();
        assert!(texts(&objects[0], DT_NEEDED).contains(&b"libc.so.6".to_vec()));
        assert_eq!(texts(&objects[0], DT_SONAME), Vec::<Vec<u8>>::new(), "it is a program");
        let is_called = |name: &[u8]| objects.iter().any(|it| texts(it, DT_SONAME) == [name]);
        assert!(is_called(b"libc.so.6"));
    }

    #[test]
    fn what_an_object_does_not_say_is_none_and_the_end_has_no_value() {
        const NO_TAG: usize = 0x1234_5678;
        let (objects, _) = object::loaded();
        let [none, end, symbols] =
            values(&objects[0], [NO_TAG, DT_NULL, DT_SYMTAB]).expect("it is linked dynamically");
        assert_eq!((none, end), (None, None));
        assert!(objects[0].holds(symbols.expect("it has symbols"), 1));
    }
}
