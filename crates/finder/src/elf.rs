//! An ELF file: its segments, by the addresses that they are loaded at, and what it asks of the
//! loader.
//!
//! The `Elf` of crate `profile` is another: it reads files of any class and byte order to the end,
//! owns what it found, and knows debug information. This one borrows the bytes of a file that can
//! be loaded here, and looks at its segments alone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader, Rela};
use object::{LittleEndian, elf};

use crate::names::{self, Table};

/// A file is not one that this machine could load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It does not begin as ELF files do.
    #[error("not a program or library: expected an ELF file, found one that begins with {0:?}")]
    Foreign(String),
    /// The file is an ELF file, and damaged, or not for 64 bits and little-endian.
    #[error("not a program or library for this machine: expected a 64-bit ELF file, found {0}")]
    Unreadable(#[from] object::read::Error),
}

/// A parsed file.
pub struct Elf<'a> {
    file: ElfFile64<'a, LittleEndian>,
    bytes: &'a [u8],
    segments: Vec<Segment<'a>>,
}

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub address: u64,
    /// What the file has of it; the rest is zero.
    pub bytes: &'a [u8],
    pub memory_bytes: u64,
    pub writable: bool,
    pub executable: bool,
}

/// What an object asks the loader for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Names of the libraries that it needs, in order.
    pub libraries: Vec<String>,
    /// The name that the file has as a library.
    pub soname: Option<String>,
    /// Folders in which it and what it needs look first.
    pub rpath: Option<String>,
    /// Folders in which it looks for what it needs itself, after the environment's.
    pub runpath: Option<String>,
    /// The program is started through this loader.
    pub interpreter: Option<String>,
    /// It leaves symbols, or the loader's work, to other objects: it is not static.
    pub dynamic: bool,
}

impl<'a> Elf<'a> {
    /// Reads the headers. What they say is checked when it is followed.
    pub fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, ElfError> {
        if !bytes.starts_with(&elf::ELFMAG) {
            let beginning = &bytes[..bytes.len().min(4)];
            return Err(ElfError::Foreign(beginning.escape_ascii().to_string()));
        }
        let file = ElfFile64::parse(bytes)?;
        let segments = file
            .elf_program_headers()
            .iter()
            .filter(|header| header.p_type(LittleEndian) == elf::PT_LOAD)
            .filter_map(|header| {
                let flags = header.p_flags(LittleEndian);
                Some(Segment {
                    address: header.p_vaddr(LittleEndian),
                    bytes: header.data(LittleEndian, bytes).ok()?,
                    memory_bytes: header.p_memsz(LittleEndian),
                    writable: flags.0 & elf::PF_W.0 != 0,
                    executable: flags.0 & elf::PF_X.0 != 0,
                })
            })
            .collect();
        Ok(Elf { file, bytes, segments })
    }

    /// Whether the file's instructions are those of x86-64.
    pub fn is_x86_64(&self) -> bool {
        self.file.elf_header().e_machine(LittleEndian) == elf::EM_X86_64
    }

    /// Whether the file takes every one of these functions from other objects.
    pub fn imports(&self, names: &[&str]) -> bool {
        names::imports(self, names)
    }

    /// It takes this function from others, defines it for them, or does not say.
    pub(crate) fn may_call(&self, name: &str) -> bool {
        names::is_linked(self, name)
    }

    /// Whether the file defines this function for other objects.
    pub fn exports(&self, name: &str) -> bool {
        names::find(self, Table::Exported, [name])[0].is_some()
    }

    /// Whether the file has a section of this name.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        let Ok(sections) = self.file.elf_header().sections(LittleEndian, self.bytes) else {
            return false;
        };
        sections.section_by_name(LittleEndian, name.as_bytes()).is_some()
    }

    /// The first part of the file that is loaded, if that is the beginning of the file and nobody
    /// writes there: it has the headers and the tables of symbols in it, which tell one build from
    /// another.
    pub fn first_segment(&self) -> Option<&'a [u8]> {
        let first = self.segments.first()?;
        (!first.writable && self.bytes.starts_with(first.bytes)).then_some(first.bytes)
    }

    /// The bytes loaded at `address`, as many as asked for.
    pub fn at(&self, address: u64, bytes: usize) -> Option<&'a [u8]> {
        self.from(address)?.get(..bytes)
    }

    /// The bytes loaded at `address` and behind it, to the end of the segment.
    pub(crate) fn from(&self, address: u64) -> Option<&'a [u8]> {
        self.segments.iter().find_map(|segment| {
            let start = usize::try_from(address.checked_sub(segment.address)?).ok()?;
            segment.bytes.get(start..)
        })
    }

    pub(crate) fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The address lies in code.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.segments.iter().any(|segment| segment.executable && segment.holds(address, 1))
    }

    /// An eight-byte variable at the address can be written to.
    pub(crate) fn is_variable(&self, address: u64) -> bool {
        let writable = |segment: &Segment| segment.writable && segment.holds(address, 8);
        address.is_multiple_of(8) && self.segments.iter().any(writable)
    }

    /// Pairs of a place in data and the address in this object that is there once it is loaded, at
    /// a base of 0.
    pub(crate) fn pointers(&self) -> Vec<(u64, u64)> {
        let mut pointers = Vec::new();
        let relative = match self.file.elf_header().e_machine(LittleEndian) {
            elf::EM_X86_64 => elf::R_X86_64_RELATIVE,
            _ => elf::R_AARCH64_RELATIVE,
        };
        for entry in self.relocations().unwrap_or_default() {
            if entry.r_type(LittleEndian, false) == relative {
                let value = entry.r_addend(LittleEndian) as u64;
                pointers.push((entry.r_offset(LittleEndian), value));
            }
        }
        // A program at a fixed place has them in its data, and so have packed relocations.
        for segment in self.segments.iter().filter(|segment| segment.writable) {
            for (at, word) in segment.bytes.chunks_exact(8).enumerate() {
                let value = u64::from_le_bytes(word.try_into().expect("eight bytes"));
                if value != 0 && self.is_code(value) {
                    pointers.push((segment.address + at as u64 * 8, value));
                }
            }
        }
        pointers
    }

    /// What the file asks the loader for.
    pub fn needed(&self) -> Needed {
        let mut needed = Needed::default();
        for header in self.file.elf_program_headers() {
            if let Ok(Some(name)) = header.interpreter(LittleEndian, self.bytes) {
                needed.interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        let Some(dynamic) = self.dynamic() else { return needed };
        needed.dynamic = true;
        let value = |tag| value_of(dynamic, tag);
        let Some(strings) = value(elf::DT_STRTAB).and_then(|address| self.from(address)) else {
            return needed;
        };
        let text = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            let text = &rest[..memchr::memchr(0, rest)?];
            Some(String::from_utf8_lossy(text).into_owned())
        };
        needed.soname = value(elf::DT_SONAME).and_then(text);
        needed.rpath = value(elf::DT_RPATH).and_then(text);
        needed.runpath = value(elf::DT_RUNPATH).and_then(text);
        needed.libraries = dynamic
            .iter()
            .take_while(|entry| entry.d_tag(LittleEndian) != elf::DT_NULL)
            .filter(|entry| entry.d_tag(LittleEndian) == elf::DT_NEEDED)
            .filter_map(|entry| text(entry.d_val(LittleEndian)))
            .collect();
        needed
    }

    fn dynamic(&self) -> Option<&'a [elf::Dyn64<LittleEndian>]> {
        let headers = self.file.elf_program_headers();
        headers.iter().find_map(|header| header.dynamic(LittleEndian, self.bytes).ok().flatten())
    }

    /// What the loader does to this object's data: found through the dynamic section, since a file
    /// need not have sections.
    fn relocations(&self) -> Option<&'a [elf::Rela64<LittleEndian>]> {
        let dynamic = self.dynamic()?;
        let bytes = usize::try_from(value_of(dynamic, elf::DT_RELASZ)?).ok()?;
        let table = self.at(value_of(dynamic, elf::DT_RELA)?, bytes)?;
        let entries = bytes / size_of::<elf::Rela64<LittleEndian>>();
        Some(object::pod::slice_from_bytes(table, entries).ok()?.0)
    }

    pub(crate) fn file(&self) -> &ElfFile64<'a, LittleEndian> {
        &self.file
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The table that finds unwind information for addresses, and where it is loaded.
    pub(crate) fn unwind_table(&self) -> Option<(u64, &'a [u8])> {
        let headers = self.file.elf_program_headers();
        let header =
            headers.iter().find(|header| header.p_type(LittleEndian) == elf::PT_GNU_EH_FRAME)?;
        Some((header.p_vaddr(LittleEndian), header.data(LittleEndian, self.bytes).ok()?))
    }
}

/// The first value with a tag.
fn value_of(dynamic: &[elf::Dyn64<LittleEndian>], tag: elf::DynamicTag) -> Option<u64> {
    let entry = dynamic.iter().find(|entry| entry.d_tag(LittleEndian) == tag)?;
    Some(entry.d_val(LittleEndian))
}

impl Segment<'_> {
    fn holds(&self, address: u64, bytes: u64) -> bool {
        let end = self.address.saturating_add(self.memory_bytes);
        address >= self.address && address.checked_add(bytes).is_some_and(|last| last <= end)
    }
}

impl Needed {
    /// The folders of a list of the form of RPATH, with `$ORIGIN` for the folder that `object` is
    /// in.
    pub fn folders(list: &str, object: &Path) -> Vec<std::path::PathBuf> {
        let origin = object.parent().unwrap_or(Path::new("/")).to_string_lossy();
        list.split(':')
            .filter(|folder| !folder.is_empty())
            .map(|folder| {
                let folder = folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
                Path::new(OsStr::from_bytes(folder.as_bytes())).to_owned()
            })
            .collect()
    }
}
