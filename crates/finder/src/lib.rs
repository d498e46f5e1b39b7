//! Where in an ELF file an OpenSSL lies, and the way into it.
//!
//! Everything here is a pure function of a file's bytes: the library to preload asks it about the
//! objects of the process that it is in, and `tlsheap doctor` about files on disk, so that both
//! give the same answers. Addresses are those in the file; a loaded object adds its base.
//!
//! ```text
//! Elf ─► names ────────► the setter, exported or in the symbol table; the three variables
//!   ├──► setter_code ──► the setter by its instructions, and the variables that it writes
//!   ├──► structure ────► the variables by what refers to what, where the setter was left out
//!   ├──► libraries ────► TLS libraries that are not OpenSSL
//!   ├──► texts ────────► versions, and what tells libraries apart
//!   ├──► functions ────► any function by its name, and how long it is
//!   └──► allocators ───► those that are linked in beside the C library's
//! ```
//!
//! OpenSSL's setter, `CRYPTO_set_mem_functions`, writes three variables, which hold its malloc,
//! realloc and free. Instructions are read on x86-64 only; elsewhere names are the only way.
//!
//! ```
//! use finder::{Elf, find, functions};
//!
//! // The program that runs this example: it has a symbol table, and no OpenSSL.
//! let file = std::fs::read("/proc/self/exe")?;
//! let elf = Elf::parse(&file)?;
//! assert_eq!(find(&elf), None);
//!
//! let [main, setter] = functions(&elf, ["main", "CRYPTO_set_mem_functions"]);
//! let main = main.expect("every program begins there");
//! assert!(elf.at(main, 16).is_some(), "its instructions are in the file");
//! assert_eq!(setter, None);
//!
//! let error = Elf::parse(b"#!/bin/sh").err().expect("a script is no ELF file");
//! assert!(matches!(error, finder::ElfError::Foreign(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod allocators;
mod elf;
mod function_starts;
mod functions;
mod libraries;
mod names;
mod openssl;
mod setter_code;
mod structure;
mod texts;
mod variables;

pub use allocators::{Allocator, Jemalloc, allocators};
pub use elf::{Elf, ElfError, Needed};
pub use functions::{functions, room};
pub use libraries::other_libraries;
pub use openssl::{Openssl, find};
pub use texts::version;
pub use variables::{Variables, variables};
