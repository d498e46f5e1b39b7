//! TLS libraries that are not OpenSSL, and what gives each away: a function that it exports, one
//! that it takes from others if they have it, or a text that every build has.

use contract::TlsLibrary;
use object::LittleEndian;
use object::read::elf::Sym;

use crate::Elf;
use crate::names::{self, Table};
use crate::texts;

/// Functions that a library exports.
const EXPORTED: [(&str, TlsLibrary); 7] = [
    ("gnutls_global_init", TlsLibrary::Gnutls),
    ("NSS_Initialize", TlsLibrary::Nss),
    ("SSL_ImportFD", TlsLibrary::Nss),
    ("mbedtls_ssl_setup", TlsLibrary::Mbedtls),
    ("wolfSSL_new", TlsLibrary::Wolfssl),
    ("s2n_connection_new", TlsLibrary::S2n),
    ("awslc_version_string", TlsLibrary::AwsLc),
];

/// Functions that BoringSSL and its fork take from others where these have them: the names stay in
/// a program that they are linked into, whatever was stripped. The last is the fork's alone.
const TAKEN: [&str; 4] = [
    "OPENSSL_memory_alloc",
    "OPENSSL_memory_free",
    "OPENSSL_memory_get_size",
    "OPENSSL_memory_realloc",
];

/// The TLS libraries other than OpenSSL that the object holds, each once.
pub fn other_libraries(elf: &Elf) -> Vec<TlsLibrary> {
    let mut found = by_symbols(elf);
    // What asks nobody for memory has no connections, and may be large: data of other libraries.
    if elf.may_call("malloc") || elf.may_call("mmap") {
        found.extend(texts::other_libraries(elf));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The object holds a fork of OpenSSL, whose functions have the same names.
pub(crate) fn is_fork(elf: &Elf) -> bool {
    other_libraries(elf).into_iter().any(|library| {
        matches!(library, TlsLibrary::Boringssl | TlsLibrary::AwsLc | TlsLibrary::Libressl)
    })
}

fn by_symbols(elf: &Elf) -> Vec<TlsLibrary> {
    let mut found = Vec::new();
    let Some(symbols) = names::symbols(elf, Table::Exported) else { return found };
    let mut taken = [false; TAKEN.len()];
    for symbol in symbols.iter() {
        let Ok(name) = symbol.name(LittleEndian, symbols.strings()) else { continue };
        if symbol.is_undefined(LittleEndian) {
            if let Some(at) = TAKEN.iter().position(|wanted| wanted.as_bytes() == name) {
                taken[at] = true;
            }
        } else {
            let known = EXPORTED.iter().find(|(wanted, _)| wanted.as_bytes() == name);
            found.extend(known.map(|(_, library)| *library));
        }
    }
    match taken {
        [true, true, true, true] => found.push(TlsLibrary::AwsLc),
        [true, true, true, false] => found.push(TlsLibrary::Boringssl),
        _ => {}
    }
    found
}
