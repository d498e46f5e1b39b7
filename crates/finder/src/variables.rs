//! The three variables in which an OpenSSL keeps its memory functions.

use crate::names::{self, Table};
use crate::{Elf, Openssl, setter_code, structure};

/// The places of the variables that hold an OpenSSL's memory functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variables {
    /// The addresses of those for malloc, realloc and free, in this order.
    pub places: [u64; 3],
    /// The address of the `int` that is 0 once OpenSSL has allocated with its own functions, where
    /// it is known.
    pub allows: Option<u64>,
}

const NAMES: [&str; 3] = ["malloc_impl", "realloc_impl", "free_impl"];
const ALLOWS: &str = "allow_customize";

impl Variables {
    /// Whether the function at `function` is OpenSSL's own for the variable at `variable`, by its
    /// instructions. `false` when they cannot be read.
    pub fn is_own_function(elf: &Elf, function: u64, variable: u64) -> bool {
        elf.is_x86_64() && structure::reads(elf, function, variable)
    }
}

/// Finds the variables of an OpenSSL: those that its setter writes, those with their names, or
/// those that its functions read.
pub fn variables(elf: &Elf, openssl: &Openssl) -> Option<Variables> {
    openssl
        .variables
        .or_else(|| setter_code::variables_of(elf, openssl.setter?).filter(|_| elf.is_x86_64()))
        .or_else(|| named(elf))
        .or_else(|| by_structure(elf))
}

/// The variables that have their names in the symbol table.
pub(crate) fn named(elf: &Elf) -> Option<Variables> {
    let [malloc, realloc, free, allows] =
        names::find(elf, Table::File, [NAMES[0], NAMES[1], NAMES[2], ALLOWS]);
    let places = [malloc?, realloc?, free?];
    if !places.iter().all(|place| elf.is_variable(*place)) {
        return None;
    }
    // Another part of OpenSSL has a variable of the same name, so that only malloc can tell.
    let [own_malloc] = names::find(elf, Table::File, ["CRYPTO_malloc"]);
    let closed = own_malloc.filter(|_| elf.is_x86_64());
    let closed = closed.and_then(|malloc| structure::closed_by(elf, malloc));
    Some(Variables { places, allows: closed.or(allows) })
}

/// The variables that OpenSSL's functions read.
pub(crate) fn by_structure(elf: &Elf) -> Option<Variables> {
    if elf.is_x86_64() { structure::find(elf) } else { None }
}
