//! What is known of the code of each domain: where its memory belongs, and which of its blocks are
//! objects. Another domain gets its tables here; what is folded on its stacks is in the crate
//! `profile`, and its rules are in [`crate::diagnosis::rules_of`].

mod maker;
mod openssl;
mod tables;

use contract::Domain;

pub(crate) use maker::{Asked, Maker, Struct};
pub use openssl::{LEAST_SSL_BYTES, SSL_SOURCE};
pub(crate) use tables::DomainTables;

/// The tables of a domain; empty ones where nothing is known of its code.
pub(crate) fn of(domain: Domain) -> &'static DomainTables {
    match domain {
        Domain::Openssl => &openssl::TABLES,
        Domain::Rust => &RUST,
        Domain::Heap => &HEAP,
        Domain::Mapping => &MAPPING,
        Domain::Python => &PYTHON,
        _ => &tables::UNKNOWN,
    }
}

/// What a program asks malloc for is one category: whose it is, its functions say.
static HEAP: DomainTables = DomainTables { category: Some("heap"), ..tables::UNKNOWN };

/// What it maps from the kernel itself is what runtimes keep their own things in.
static MAPPING: DomainTables = DomainTables {
    category: Some("mapping"),
    functions: include_str!("domain_tables/mapping_functions.tsv"),
    ..tables::UNKNOWN
};

/// Python's objects are one category: of which type they are, the functions that ask for them say.
static PYTHON: DomainTables = DomainTables { category: Some("python"), ..tables::UNKNOWN };

/// Rust's memory is one category.
static RUST: DomainTables = DomainTables { category: Some("rust"), ..tables::UNKNOWN };
