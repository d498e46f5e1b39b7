//! What is known of the stacks of each domain: which functions only hand a request on to the
//! allocator, and where its sources begin. Another domain gets its tables here.

use contract::Domain;

use crate::Frame;
use crate::allocator_frames::is_allocator;
use crate::heap_wrappers::is_heap_wrapper;
use crate::openssl_wrappers::is_allocation_wrapper;
use crate::source_path;

/// What is known of the stacks of a domain.
pub(crate) struct DomainTables {
    /// Whether a frame only hands a request on: its caller asked for the memory.
    pub(crate) is_wrapper: fn(&Frame<'_>) -> bool,
    /// A path that its code passed to the allocator, from its source root on.
    pub(crate) source_path: fn(&str) -> String,
}

/// The tables of a domain.
pub(crate) fn of(domain: Domain) -> &'static DomainTables {
    match domain {
        Domain::Openssl => &OPENSSL,
        Domain::Rust => &RUST,
        Domain::Heap | Domain::Mapping | Domain::Python => &HEAP,
        _ => &UNKNOWN,
    }
}

static OPENSSL: DomainTables = DomainTables {
    is_wrapper: |frame| is_allocation_wrapper(frame.function),
    source_path: source_path::of_openssl,
};

/// Whatever a program calls malloc, or mmap, through, or asks Python for an object.
static HEAP: DomainTables =
    DomainTables { is_wrapper: is_heap_wrapper, source_path: source_path::of_debug_information };

static RUST: DomainTables =
    DomainTables { is_wrapper: is_allocator, source_path: source_path::of_debug_information };

/// Nothing is left out of a stack of which nothing is known.
static UNKNOWN: DomainTables =
    DomainTables { is_wrapper: |_| false, source_path: source_path::of_debug_information };

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>(function: &'a str, file: &'a str) -> Frame<'a> {
        Frame { function, file, line: 0, address: 0 }
    }

    #[test]
    fn each_domain_has_its_own_wrappers_and_one_of_which_nothing_is_known_has_none() {
        let openssl = frame("CRYPTO_malloc", "crypto/mem.c");
        let rust = frame("__rust_alloc", "library/alloc/src/alloc.rs");
        let are = |domain| [&openssl, &rust].map(|frame| (of(domain).is_wrapper)(frame));
        assert_eq!(are(Domain::Openssl), [true, false]);
        assert_eq!(are(Domain::Rust), [false, true]);
        let python = frame("_PyObject_GC_New", "");
        assert!((of(Domain::Python).is_wrapper)(&python) && !(UNKNOWN.is_wrapper)(&python));
    }

    #[test]
    fn paths_begin_at_the_source_root_of_their_domain() {
        let path = |domain, path| (of(domain).source_path)(path);
        assert_eq!(path(Domain::Openssl, "../crypto/x509/x509_lu.c"), "crypto/x509/x509_lu.c");
        let package = "/home/u/.cargo/registry/src/index/tokio-1.2.3/src/x.rs";
        assert_eq!(path(Domain::Rust, package), "tokio-1.2.3/src/x.rs");
        assert_eq!(path(Domain::Heap, "src/main.c"), "src/main.c");
    }
}
