//! The functions that an ELF file names itself, with or without debug information.

use object::{Object, ObjectSymbol, SymbolKind};

/// Functions in order of their addresses.
#[derive(Default)]
pub(super) struct SymbolTable {
    symbols: Vec<Symbol>,
}

struct Symbol {
    address: u64,
    /// 0 when the file does not say; then it reaches to the next one.
    size: u64,
    name: String,
}

impl SymbolTable {
    /// Both tables of `file`: the full one, which `strip` removes, and the dynamic one.
    pub(super) fn of(file: &object::File<'_>) -> SymbolTable {
        let symbols = file
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
            .filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                Some(Symbol {
                    address: symbol.address(),
                    size: symbol.size(),
                    name: name.to_owned(),
                })
            })
            .collect();
        let mut table = SymbolTable { symbols };
        table.put_in_order();
        table
    }

    /// Adds what another table knows.
    pub(super) fn add(&mut self, other: SymbolTable) {
        self.symbols.extend(other.symbols);
        self.put_in_order();
    }

    /// The function that `address` lies in.
    pub(super) fn containing(&self, address: u64) -> Option<&str> {
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        let symbol = &self.symbols[after.checked_sub(1)?];
        let reaches = symbol.size == 0 || address - symbol.address < symbol.size;
        reaches.then_some(symbol.name.as_str())
    }

    /// Sorts by address. Of several names for one, the one with a size is kept, then the first by
    /// alphabet.
    fn put_in_order(&mut self) {
        self.symbols.sort_by(|a, b| {
            (a.address, b.size, a.name.as_str()).cmp(&(b.address, a.size, b.name.as_str()))
        });
        self.symbols.dedup_by_key(|symbol| symbol.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(symbols: &[(u64, u64, &str)]) -> SymbolTable {
        let symbols = symbols.iter().map(|(address, size, name)| Symbol {
            address: *address,
            size: *size,
            name: (*name).to_owned(),
        });
        let mut table = SymbolTable { symbols: symbols.collect() };
        table.put_in_order();
        table
    }

    #[test]
    fn an_address_belongs_to_the_function_that_reaches_over_it() {
        let table = table(&[(0x200, 0, "assembly"), (0x100, 0x10, "sized")]);
        assert_eq!(table.containing(0xff), None);
        assert_eq!(table.containing(0x100), Some("sized"));
        assert_eq!(table.containing(0x10f), Some("sized"));
        assert_eq!(table.containing(0x110), None);
        assert_eq!(table.containing(0x900), Some("assembly"));
    }

    #[test]
    fn of_several_names_the_same_one_is_chosen_whatever_their_order() {
        let one = table(&[(1, 8, "b"), (1, 8, "a"), (1, 0, "0")]);
        let other = table(&[(1, 0, "0"), (1, 8, "a"), (1, 8, "b")]);
        assert_eq!(one.containing(1), Some("a"));
        assert_eq!(other.containing(1), Some("a"));
    }
}
