//! Names as a person reads them.

use std::borrow::Cow;

use gimli::DwLang;

/// A symbol's readable name: demangled, and without the hash that rustc puts behind the names of
/// Rust functions. With no language, each known scheme is tried.
pub fn readable_name(symbol: &str, language: Option<DwLang>) -> String {
    let demangled = addr2line::demangle_auto(Cow::Borrowed(symbol), language);
    // A Rust symbol inside a C object, or the other way round, has the wrong language.
    let demangled = match demangled {
        Cow::Borrowed(same) => addr2line::demangle_auto(Cow::Borrowed(same), None),
        changed @ Cow::Owned(_) => changed,
    };
    without_rust_hash(&demangled).to_owned()
}

/// `name` without `::h` and 16 hexadecimal digits at its end.
fn without_rust_hash(name: &str) -> &str {
    let Some((rest, hash)) = name.rsplit_once("::h") else { return name };
    let is_hash =
        hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_hash { rest } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_become_readable() {
        for (symbol, wanted) in [
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvC5mycrt4main", "mycrt::main"),
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("core::fmt::write::h0123456789abcdef", "core::fmt::write"),
            ("CRYPTO_malloc", "CRYPTO_malloc"),
            ("a::hello", "a::hello"),
            ("", ""),
        ] {
            assert_eq!(readable_name(symbol, None), wanted, "{symbol}");
        }
    }
}
