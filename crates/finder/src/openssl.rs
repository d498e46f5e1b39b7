//! The OpenSSL in an object, and the way into it.

use contract::Way;

use crate::libraries::is_fork;
use crate::names::{self, Table};
use crate::{Elf, Variables, function_starts, setter_code, texts, variables};

const SETTER: &str = "CRYPTO_set_mem_functions";
const GETTER: &str = "CRYPTO_get_mem_functions";
const VERSION: &str = "OpenSSL_version";
/// OpenSSL has this function since 1.1.0. Before that, memory functions were given no file and
/// line.
const SINCE_1_1: &str = "CRYPTO_zalloc";
/// OpenSSL's own memory functions.
const OWN: [&str; 3] = ["CRYPTO_malloc", "CRYPTO_realloc", "CRYPTO_free"];

/// An OpenSSL; addresses are those in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Openssl {
    /// How it can be got at.
    pub way: Way,
    /// `CRYPTO_set_mem_functions`.
    pub setter: Option<u64>,
    /// `CRYPTO_get_mem_functions`.
    pub getter: Option<u64>,
    /// `OpenSSL_version`.
    pub version_function: Option<u64>,
    /// The OpenSSL's own malloc, realloc and free.
    pub own: [Option<u64>; 3],
    /// The variables that the setter writes, where they were found on the way.
    pub variables: Option<Variables>,
    /// The OpenSSL is at least 1.1.0, whose memory functions are given file and line.
    pub since_1_1: bool,
    /// It takes malloc, realloc and free from other objects, as the C library's are.
    pub imports_heap: bool,
}

/// The OpenSSL in an object, with the first way into it that there is: its setter exported, in the
/// symbol table, or recognised; its variables named, or recognised. `None` when the object has no
/// OpenSSL of its own.
pub fn find(elf: &Elf) -> Option<Openssl> {
    let exported = Names::of(elf, Table::Exported);
    if exported.setter.is_some() {
        return exported.unless_fork(elf, Way::Exported);
    }
    let names = Names::of(elf, Table::File);
    if names.setter.is_some() {
        return names.unless_fork(elf, Way::SymbolTable);
    }
    // The code of an object is read only where there is reason to.
    if names.own.iter().all(Option::is_none) && !texts::has_openssl(elf) {
        return None;
    }
    if is_fork(elf) {
        return None;
    }
    let unnamed = Openssl { since_1_1: true, ..names.openssl(elf, Way::Nowhere) };
    if elf.is_x86_64()
        && let Some(code) = setter_code::find(elf)
    {
        let start = function_starts::around(elf, code.at).map(|(start, _)| start);
        let way = if start.is_some() { Way::Instructions } else { Way::VariableInstructions };
        return Some(Openssl { way, setter: start, variables: Some(code.variables), ..unnamed });
    }
    let found = match variables::named(elf) {
        Some(variables) => Some((Way::VariableSymbols, variables)),
        None => variables::by_structure(elf).map(|found| (Way::VariableInstructions, found)),
    };
    match found {
        Some((way, variables)) => Some(Openssl { way, variables: Some(variables), ..unnamed }),
        None => texts::version(elf).map(|_| unnamed),
    }
}

struct Names {
    setter: Option<u64>,
    getter: Option<u64>,
    version: Option<u64>,
    since_1_1: Option<u64>,
    own: [Option<u64>; 3],
}

impl Names {
    fn of(elf: &Elf, table: Table) -> Names {
        let names = [SETTER, GETTER, VERSION, SINCE_1_1, OWN[0], OWN[1], OWN[2]];
        let [setter, getter, version, since_1_1, malloc, realloc, free] =
            names::find(elf, table, names);
        Names { setter, getter, version, since_1_1, own: [malloc, realloc, free] }
    }

    /// None of the forks has the function that came with 1.1.0, nor had OpenSSL before: what is
    /// without it is looked at more closely.
    fn unless_fork(self, elf: &Elf, way: Way) -> Option<Openssl> {
        let is_one = self.since_1_1.is_none() && is_fork(elf);
        (!is_one).then(|| self.openssl(elf, way))
    }

    fn openssl(self, elf: &Elf, way: Way) -> Openssl {
        Openssl {
            way,
            setter: self.setter,
            getter: self.getter,
            version_function: self.version,
            own: self.own,
            variables: None,
            since_1_1: self.since_1_1.is_some(),
            imports_heap: elf.imports(&["malloc", "realloc", "free"]),
        }
    }
}

/// This test program has an OpenSSL linked into it, and is looked at as it is, and without its
/// symbols.
#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use libz_sys as _;
    use proptest::prelude::*;

    use super::*;
    use crate::structure;

    static OWN_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        // The linker keeps what is used.
        openssl::ssl::SslContext::builder(openssl::ssl::SslMethod::tls()).expect("a context");
        std::fs::read(std::env::current_exe().expect("it has a file")).expect("it can be read")
    });

    /// The file without sections, and so without symbols.
    fn stripped() -> Vec<u8> {
        let mut bytes = OWN_FILE.clone();
        let (offset, number_and_names) = (0x28..0x30, 0x3c..0x40);
        bytes[offset].fill(0);
        bytes[number_and_names].fill(0);
        bytes
    }

    fn elf(bytes: &[u8]) -> Elf<'_> {
        Elf::parse(bytes).expect("a program")
    }

    /// The variables by their names, which are the truth.
    fn variables_by_name() -> Variables {
        variables::named(&elf(&OWN_FILE)).expect("the build is not stripped")
    }

    #[test]
    fn this_program_has_the_openssl_that_is_linked_into_it() {
        let found = find(&elf(&OWN_FILE)).expect("it is there");
        assert!(found.since_1_1 && found.imports_heap);
        assert!(found.own.iter().all(Option::is_some));
        assert_eq!(texts::version(&elf(&OWN_FILE)).as_deref(), Some(openssl::version::version()));
        assert_eq!(crate::other_libraries(&elf(&OWN_FILE)), []);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_way_leads_to_the_same_variables() {
        let names = variables_by_name();
        assert!(names.allows.is_some());
        assert_eq!(structure::find(&elf(&OWN_FILE)), Some(names));
        let bytes = stripped();
        assert_eq!(structure::find(&elf(&bytes)), Some(names));
        let found = find(&elf(&bytes)).expect("it is there without symbols");
        assert_eq!(variables(&elf(&bytes), &found), Some(names));
        // The linker leaves the setter out of a program that does not call it.
        assert_eq!(found.way, Way::VariableInstructions);
        assert_eq!((found.setter, found.own), (None, [None; 3]));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_function_is_known_for_openssls_own_by_the_variable_that_it_reads() {
        let elf = elf(&OWN_FILE);
        let own = find(&elf).expect("it is there").own.map(|own| own.expect("named"));
        let places = variables_by_name().places;
        for (at, function) in own.into_iter().enumerate() {
            for (other, place) in places.into_iter().enumerate() {
                assert_eq!(Variables::is_own_function(&elf, function, place), at == other);
            }
        }
    }

    #[test]
    fn a_library_without_an_openssl_has_none() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        let libc = maps.split_whitespace().find(|word| word.ends_with("/libc.so.6"));
        let bytes = std::fs::read(libc.expect("it is loaded")).expect("it can be read");
        assert_eq!(find(&elf(&bytes)), None);
        assert_eq!(texts::version(&elf(&bytes)), None);
    }

    #[test]
    fn what_is_no_program_is_refused_in_words() {
        let refused = |bytes: &[u8]| Elf::parse(bytes).err().expect("no program").to_string();
        assert!(refused(b"#!/bin/sh").contains("begins with \"#!/b\""));
        assert!(refused(b"").contains("ELF"));
        assert!(refused(&OWN_FILE[..20]).contains("64-bit ELF"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_damaged_file_has_an_openssl_or_none_and_never_a_panic(
            cut in any::<prop::sample::Index>(),
            at in 0..4096_usize,
            damage in prop::collection::vec(any::<u8>(), 1..64),
        ) {
            let mut bytes = OWN_FILE.clone();
            bytes.truncate(cut.index(bytes.len()).max(8192));
            let end = (at + damage.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&damage[..end - at]);
            if let Ok(elf) = Elf::parse(&bytes) {
                let found = find(&elf);
                let [new, _] = crate::functions(&elf, ["SSL_CTX_new", "SSL_new"]);
                let _ = new.map(|new| crate::room(&elf, new));
                let _ = found.map(|found| variables(&elf, &found));
                let _ = (elf.needed(), texts::version(&elf), crate::other_libraries(&elf));
            }
        }
    }
}
