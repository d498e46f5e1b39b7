//! Symbols by their names: those that an object exports, and those that only the symbol table of
//! its file has.

use object::LittleEndian;
use object::elf::{self, SymbolType};
use object::read::elf::{FileHeader, SectionHeader, Sym};

use crate::Elf;

/// One of a file's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// What the loader sees.
    Exported,
    /// What `strip` removes.
    File,
}

/// The addresses of the symbols `names` that are defined in `table`. A name that stands for two
/// addresses is not found: neither is known to be meant.
pub(crate) fn find<const N: usize>(elf: &Elf, table: Table, names: [&str; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    let mut ambiguous = [false; N];
    let Some(symbols) = symbols(elf, table) else { return found };
    for symbol in symbols.iter() {
        let kind = symbol.st_type();
        if symbol.is_undefined(LittleEndian) || !is_wanted(kind) {
            continue;
        }
        let Ok(name) = symbol.name(LittleEndian, symbols.strings()) else { continue };
        let Some(at) = names.iter().position(|wanted| wanted.as_bytes() == name) else { continue };
        let value = symbol.st_value(LittleEndian);
        ambiguous[at] |= found[at].is_some_and(|other| other != value);
        found[at] = Some(value);
    }
    for (address, ambiguous) in found.iter_mut().zip(ambiguous) {
        if ambiguous {
            *address = None;
        }
    }
    found
}

/// The object takes every one of these functions from others.
pub(crate) fn imports(elf: &Elf, names: &[&str]) -> bool {
    let Some(symbols) = symbols(elf, Table::Exported) else { return false };
    names.iter().all(|wanted| {
        symbols.iter().any(|symbol| {
            symbol.is_undefined(LittleEndian)
                && symbol.name(LittleEndian, symbols.strings()).ok() == Some(wanted.as_bytes())
        })
    })
}

/// The name is among those that the loader sees, or there are none.
pub(crate) fn is_linked(elf: &Elf, name: &str) -> bool {
    let Some(symbols) = symbols(elf, Table::Exported) else { return true };
    let is_it = |symbol: &elf::Sym64<LittleEndian>| {
        symbol.name(LittleEndian, symbols.strings()).ok() == Some(name.as_bytes())
    };
    symbols.iter().any(is_it)
}

/// Every symbol for code or data that is defined in either table.
pub(crate) fn symbols_in<'a>(elf: &Elf<'a>) -> impl Iterator<Item = &'a elf::Sym64<LittleEndian>> {
    let tables = [Table::Exported, Table::File].map(|table| symbols(elf, table));
    let all = tables.into_iter().flatten().flat_map(|table| table.symbols().iter());
    all.filter(|symbol| !symbol.is_undefined(LittleEndian) && is_wanted(symbol.st_type()))
}

fn is_wanted(kind: SymbolType) -> bool {
    kind == elf::STT_FUNC || kind == elf::STT_OBJECT
}

/// The texts that a table's symbols have their names in.
pub(crate) fn texts_of<'a>(elf: &Elf<'a>, table: Table) -> Option<&'a [u8]> {
    let sections = elf.file().elf_header().sections(LittleEndian, elf.bytes()).ok()?;
    let texts = sections.section(symbols(elf, table)?.string_section()).ok()?;
    texts.data(LittleEndian, elf.bytes()).ok()
}

pub(crate) fn symbols<'a>(
    elf: &Elf<'a>,
    table: Table,
) -> Option<object::read::elf::SymbolTable<'a, elf::FileHeader64<LittleEndian>>> {
    let kind = match table {
        Table::Exported => elf::SHT_DYNSYM,
        Table::File => elf::SHT_SYMTAB,
    };
    let sections = elf.file().elf_header().sections(LittleEndian, elf.bytes()).ok()?;
    let symbols = sections.symbols(LittleEndian, elf.bytes(), kind).ok()?;
    (!symbols.is_empty()).then_some(symbols)
}
