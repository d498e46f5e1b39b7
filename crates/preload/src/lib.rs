//! Puts the recorder into every OpenSSL of a program that nobody rebuilt.
//!
//! `tlsheap record` has the dynamic loader load this library before all others (LD_PRELOAD). Its
//! constructor looks for `CRYPTO_set_mem_functions` in every loaded object, and a stand-in for
//! `dlsym` looks again after libraries were loaded later: who loads a library and means to use it
//! asks for one of its symbols first. In a process that it was put into while that ran (`attached`),
//! a stand-in for `dlopen` looks as well.
//!
//! ```text
//! constructor ─┐                    ┌─► dynamic_symbols
//!              ├─► scan ─► openssl ─┤
//! dlsym ───────┘     │              └─► mapped_file, finder
//!                    ├─► put_in ─► recorder ◄─ stand_ins ◄─ CRYPTO_set_mem_functions,
//!                    └─► report: the coverage file beside the ledger   called by the program
//! ```
//!
//! Stand-ins for the malloc family go on in the process's allocator, or, where the whole process is
//! recorded, in the recorder's functions (`malloc_family`). Allocators that are linked in under
//! names of their own are asked to tell of their blocks (`linked_allocators`), and so is CPython's
//! for its objects, where that is wanted (`python`).
//!
//! Stand-ins for `prctl`, `syscall` and `chroot` notice when the process is about to shut itself in
//! (`sandbox`) or to leave the ledgers' folder behind.
//!
//! What it is to do, [`contract::environment`] says: with the variable for fixes, connections are
//! given settings that may save memory (see `fixes`); without the variable for the ledgers' folder
//! nothing is recorded; without either, the library does nothing. It links no OpenSSL and, without
//! fixes, calls only its `CRYPTO_set_mem_functions`, `CRYPTO_get_mem_functions` and
//! `OpenSSL_version`, none of which allocates.

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!("the preload library is written for 64-bit Linux with the GNU C library");

mod attached;
mod chroot;
mod dlclose;
mod dlopen;
mod dlsym;
mod dynamic_section;
mod dynamic_symbols;
mod exclusive;
mod fixes;
mod imports;
mod jumping;
mod linked_allocators;
mod malloc_family;
mod mapped_file;
mod mapping_family;
mod next;
mod object;
mod openssl;
mod page;
mod pins;
mod put_in;
mod python;
mod reached;
mod report;
mod sandbox;
mod scan;
mod stand_ins;
mod start;
mod thread_attributes;
mod whole_process;
