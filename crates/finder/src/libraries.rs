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
    let Symbols { mut found, may_allocate } = Symbols::of(elf);
    // What asks nobody for memory has no connections, and may be large: data of other libraries.
    if may_allocate {
        found.extend(texts::other_libraries(elf));
    }
    // What tells both tells the one that is known by more.
    if found.contains(&TlsLibrary::AwsLc) {
        found.retain(|library| *library != TlsLibrary::Boringssl);
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

/// What the symbols tell that the loader sees.
struct Symbols {
    found: Vec<TlsLibrary>,
    /// The object asks for memory, or does not say what it asks for.
    may_allocate: bool,
}

impl Symbols {
    /// Reads them once: it is asked of every object of every process that is recorded.
    fn of(elf: &Elf) -> Symbols {
        let Some(symbols) = names::symbols(elf, Table::Exported) else {
            return Symbols { found: Vec::new(), may_allocate: true };
        };
        let mut own = Symbols { found: Vec::new(), may_allocate: false };
        let mut taken = [false; TAKEN.len()];
        for symbol in symbols.iter() {
            let Ok(name) = symbol.name(LittleEndian, symbols.strings()) else { continue };
            own.may_allocate |= name == b"malloc" || name == b"mmap";
            if symbol.is_undefined(LittleEndian) {
                if let Some(at) = TAKEN.iter().position(|wanted| wanted.as_bytes() == name) {
                    taken[at] = true;
                }
            } else {
                let known = EXPORTED.iter().find(|(wanted, _)| wanted.as_bytes() == name);
                own.found.extend(known.map(|(_, library)| *library));
            }
        }
        match taken {
            [true, true, true, true] => own.found.push(TlsLibrary::AwsLc),
            [true, true, true, false] => own.found.push(TlsLibrary::Boringssl),
            _ => {}
        }
        own
    }
}
