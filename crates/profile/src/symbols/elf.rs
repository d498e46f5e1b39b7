//! One ELF file: where its bytes are mapped, its symbol table and its debug information.
//!
//! The `Elf` of crate `finder` is another: it borrows the bytes of a file that this machine can
//! load, and looks at its segments and relocations alone. This one reads files of any class and
//! byte order, those of recordings from elsewhere too, and owns what it found when the file is
//! gone.

mod debug_information;
mod symbol_table;

use std::fmt::Write as _;
use std::io;

use object::{Object, ObjectSegment};

use self::debug_information::DebugInformation;
use self::symbol_table::SymbolTable;
use super::frame::SymbolFrame;
use super::readable_name::readable_name;

/// The largest file that is searched for symbols, in bytes.
pub const MAX_MODULE_BYTES: u64 = 4 << 30;

/// Why a file cannot give names to addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The system did not hand it out.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The file was removed or replaced after the process had mapped it.
    #[error("was deleted or replaced while the process ran")]
    Deleted,
    /// What is there is a device, a pipe or a directory.
    #[error("is not a regular file")]
    NotAFile,
    /// The file is of a file system in which the kernel makes what is read.
    #[error("is no file on a disk: the kernel makes it")]
    OfTheKernel,
    /// The file is large, and next to nothing of it is on the disk.
    #[error("consists of holes for the most part")]
    Holes,
    /// The file is larger than [`MAX_MODULE_BYTES`].
    #[error("is larger than {} bytes", MAX_MODULE_BYTES)]
    TooLarge,
    /// The file is another kind of object file.
    #[error("is not an ELF file")]
    Foreign,
    /// The file is no object file at all, or a damaged one.
    #[error("is not a sound ELF file: {0}")]
    Malformed(#[from] object::Error),
}

/// What one ELF file knows about its addresses. Nothing of the file stays open or mapped: it may
/// change or vanish afterwards.
pub struct Elf {
    build_id: String,
    segments: Vec<Segment>,
    symbols: SymbolTable,
    debug: Option<DebugInformation>,
}

/// A piece of the file that is loaded.
struct Segment {
    file_offset: u64,
    file_size: u64,
    address: u64,
}

impl Elf {
    /// Reads the content of an ELF file.
    pub fn parse(bytes: &[u8]) -> Result<Elf, ElfError> {
        let file = match object::FileKind::parse(bytes)? {
            object::FileKind::Elf32 | object::FileKind::Elf64 => object::File::parse(bytes)?,
            _ => return Err(ElfError::Foreign),
        };
        let segments = file
            .segments()
            .map(|segment| {
                let (file_offset, file_size) = segment.file_range();
                Segment { file_offset, file_size, address: segment.address() }
            })
            .collect();
        let mut build_id = String::new();
        for byte in file.build_id().ok().flatten().unwrap_or_default() {
            let _ = write!(build_id, "{byte:02x}"); // a String takes everything
        }
        let symbols = SymbolTable::of(&file);
        let debug = DebugInformation::of(&file);
        Ok(Elf { build_id, segments, symbols, debug })
    }

    /// The GNU build id in hexadecimal; empty when the file has none.
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// Whether the file has source lines of its own.
    pub fn has_debug_information(&self) -> bool {
        self.debug.is_some()
    }

    /// This file with the names of `debug`, which was split off it when it was built.
    #[must_use]
    pub fn with_debug_file(mut self, debug: Elf) -> Elf {
        self.symbols.add(debug.symbols);
        self.debug = self.debug.or(debug.debug);
        self
    }

    /// The address, as this file counts, of the byte at `file_offset`.
    pub fn address_of(&self, file_offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = file_offset.checked_sub(segment.file_offset)?;
            (into < segment.file_size).then(|| segment.address.wrapping_add(into))
        })
    }

    /// The functions at `address`, innermost (most deeply inlined) first; empty when nothing is
    /// known.
    pub fn frames(&self, address: u64) -> Vec<SymbolFrame> {
        let mut frames = self.debug.as_ref().map(|debug| debug.frames(address)).unwrap_or_default();
        let symbol = self.symbols.containing(address);
        if let Some(symbol) = symbol {
            match frames.last_mut() {
                // The symbol belongs to the outermost function: the one that was not inlined.
                // Line tables alone name functions without their modules, if at all; the symbol
                // table has the whole name.
                Some(outermost) => {
                    outermost.name = readable_name(symbol, None);
                    symbol.clone_into(&mut outermost.system_name);
                }
                None => frames.push(SymbolFrame {
                    name: readable_name(symbol, None),
                    system_name: symbol.to_owned(),
                    ..SymbolFrame::default()
                }),
            }
        }
        frames.retain(|frame| !frame.name.is_empty());
        frames
    }
}
