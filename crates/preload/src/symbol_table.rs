//! Symbols that an object does not export, from the symbol table of its file: those of OpenSSL
//! linked into a program, or hidden in a Python wheel.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym};
use object::{Endianness, elf};

use crate::object::Object;

/// Bytes of each function that must be the same in the file and in memory.
const COMPARED: usize = 16;

/// The addresses of the functions `names` of `object`, where its file's symbol table has them.
///
/// The file may have been replaced since it was loaded: a function whose code in memory is not
/// that of the file is not found.
pub(crate) fn functions<const N: usize>(
    object: &Object,
    names: [&[u8]; N],
) -> Option<[Option<usize>; N]> {
    let file = MappedFile::open(&object.path)?;
    let parsed = ElfFile64::<Endianness>::parse(file.bytes()).ok()?;
    let (header, endian) = (parsed.elf_header(), parsed.endian());
    let sections = header.sections(endian, file.bytes()).ok()?;
    let symbols = sections.symbols(endian, file.bytes(), elf::SHT_SYMTAB).ok()?;
    let mut found = [None; N];
    for symbol in symbols.iter().filter(|symbol| symbol.st_type() == elf::STT_FUNC) {
        if symbol.is_undefined(endian) {
            continue;
        }
        let Ok(name) = symbol.name(endian, symbols.strings()) else { continue };
        let Some(wanted) = names.iter().position(|wanted| *wanted == name) else { continue };
        let value = symbol.st_value(endian);
        let address = object.base.wrapping_add(value as usize);
        let code = header.program_headers(endian, file.bytes()).ok()?.iter().find_map(|segment| {
            segment.data_range(endian, file.bytes(), value, COMPARED as u64).ok().flatten()
        });
        if code.is_some_and(|code| is_in_memory(object, address, code)) {
            found[wanted] = Some(address);
        }
    }
    Some(found)
}

fn is_in_memory(object: &Object, address: usize, code: &[u8]) -> bool {
    if !object.holds_code(address, code.len()) {
        return false;
    }
    // SAFETY: `holds_code` says that so many bytes lie in one readable segment of an object that
    // is loaded.
    let loaded = unsafe { std::slice::from_raw_parts(address as *const u8, code.len()) };
    loaded == code
}

/// A file mapped for reading: of a program of a hundred megabytes only the symbols are touched.
struct MappedFile {
    address: NonNull<u8>,
    bytes: usize,
}

impl MappedFile {
    fn open(path: &Path) -> Option<MappedFile> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let bytes = usize::try_from(metadata.len()).ok().filter(|bytes| *bytes > 0)?;
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let address = unsafe {
            let (access, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
            libc::mmap(std::ptr::null_mut(), bytes, access, flags, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        Some(MappedFile { address: NonNull::new(address.cast())?, bytes })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped with this length until `drop`. That nobody cuts a program's file while
        // it runs is the same trust that the loader has.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length, and not used any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[unsafe(no_mangle)]
    extern "C" fn tlsheap_test_function() -> u64 {
        std::hint::black_box(0x1234_5678_9abc_def0)
    }

    #[test]
    fn a_function_of_the_program_is_found_where_it_is() {
        let (objects, _) = object::loaded();
        let found = functions(&objects[0], [b"tlsheap_test_function", b"no_such_function"]);
        let address = tlsheap_test_function as *const () as usize;
        assert_eq!(found, Some([Some(address), None]));
        assert_ne!(tlsheap_test_function(), 0);
    }

    #[test]
    fn a_file_that_is_not_the_loaded_one_gives_nothing() {
        let (mut objects, _) = object::loaded();
        objects[0].base += 64;
        let found = functions(&objects[0], [b"tlsheap_test_function"]);
        assert_eq!(found, Some([None]));
        objects[0].path = "/proc/self/maps".into();
        assert_eq!(functions(&objects[0], [b"tlsheap_test_function"]), None);
    }
}
