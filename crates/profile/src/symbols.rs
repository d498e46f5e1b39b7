//! Names for the addresses of a process.
//!
//! ```text
//! address ─ module ─► file offset ─ program headers ─► address in the ELF file
//!         ─ DWARF ─► functions with inlined ones, source lines
//!         ─ else symbol table ─► function      ─ else ─► `module+0xaddress`
//!         ─ in no module ─► perf map ─► function   ─ else ─► `[JIT]`
//! ```
//!
//! Nothing about a module can make the whole fail: a file that is gone, unreadable or damaged
//! leaves its addresses unnamed, and [`Symbols::summary`] says so.

mod address_space;
mod debug_file;
mod elf;
mod frame;
mod lookup;
mod module_file;
mod perf_map;
mod readable_name;
mod replaced;
mod rust_module;

pub use self::address_space::{AddressKind, AddressSpace};
pub(crate) use self::address_space::{Found, code};
pub use self::elf::{Elf, ElfError, MAX_MODULE_BYTES};
pub use self::frame::SymbolFrame;
pub use self::lookup::{Symbolisation, Symbols};
pub use self::perf_map::{MAX_PERF_MAP_BYTES, PerfMap, PerfMapError};
pub use self::readable_name::readable_name;
