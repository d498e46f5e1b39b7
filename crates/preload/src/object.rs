//! The objects that the dynamic loader has in memory.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::page;

/// The link that `/proc` has to the program's file.
pub(crate) const PROGRAM: &str = "/proc/self/exe";

/// How often the loader has loaded and unloaded something: when neither number has changed, there
/// is nothing new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub adds: u64,
    pub subs: u64,
}

/// One object: the program, or a library.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// The object's file; for the program, the link that /proc has to it.
    pub path: PathBuf,
    /// What is added to addresses in the file.
    pub base: usize,
    /// Where its program headers are: tells one object from another.
    pub headers: usize,
    /// The loaded segments.
    segments: Vec<Segment>,
    /// What the loader has made read-only after its own work.
    sealed: Vec<Segment>,
    /// The dynamic section, if it has one.
    pub dynamic: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    start: usize,
    end: usize,
    flags: u32,
    /// Where in the file it begins.
    offset: usize,
}

impl Object {
    /// From its first byte to its last: other objects do not lie in between.
    pub(crate) fn range(&self) -> Range<usize> {
        let start = self.segments.iter().map(|segment| segment.start).min().unwrap_or_default();
        let end = self.segments.iter().map(|segment| segment.end).max().unwrap_or_default();
        start..end
    }

    /// Whether the whole range lies in one readable segment.
    pub(crate) fn holds(&self, start: usize, bytes: usize) -> bool {
        self.has(start, bytes, libc::PF_R)
    }

    /// Whether the whole range lies in code.
    pub(crate) fn holds_code(&self, start: usize, bytes: usize) -> bool {
        self.has(start, bytes, libc::PF_X | libc::PF_R)
    }

    /// Whether an eight-byte variable at the address can be written to.
    pub(crate) fn is_variable(&self, address: usize) -> bool {
        let is_sealed = self.sealed.iter().any(|it| it.start <= address && address < it.end);
        address.is_multiple_of(8) && !is_sealed && self.has(address, 8, libc::PF_R | libc::PF_W)
    }

    /// Reads a plain value in a segment.
    pub(crate) fn read<T: Plain>(&self, address: usize) -> Option<T> {
        if !self.holds(address, size_of::<T>()) || !address.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: mapped, readable and aligned, as checked; any bytes are a value of the type. The
        // read is volatile: a variable may be changing.
        Some(unsafe { (address as *const T).read_volatile() })
    }

    /// A copy of the instructions at an address. Code is not as constant as it seems: `fixes::jump`
    /// writes there, and so may others who patch programs. So no reference into it is made.
    pub(crate) fn code(&self, start: usize, bytes: usize) -> Option<Vec<u8>> {
        // SAFETY: the byte lies in a readable segment of an object that is loaded, as is checked
        // below. Our own writer and this reader are never at it together: the scan lets one thread
        // at a time do either. Against anybody else who patches programs there is no protection;
        // the read is volatile, so that it gives the byte as it was at one moment.
        let byte = |at: usize| unsafe { (at as *const u8).read_volatile() };
        self.holds_code(start, bytes).then(|| (start..start + bytes).map(byte).collect())
    }

    fn has(&self, start: usize, bytes: usize, flags: u32) -> bool {
        let Some(end) = start.checked_add(bytes) else { return false };
        self.segments.iter().any(|segment| {
            start >= segment.start && end <= segment.end && segment.flags & flags == flags
        })
    }

    /// Its segments as the kernel's memory map has them, in lines. The program's are left out: its
    /// file is not known to the loader.
    pub(crate) fn lines_of_map(&self) -> String {
        if self.path == Path::new(PROGRAM) {
            return String::new();
        }
        let page = page::size();
        let line = |segment: &Segment| {
            let (start, end) = (segment.start & !(page - 1), segment.end.next_multiple_of(page));
            let offset = segment.offset & !(page - 1);
            let access = [(libc::PF_R, 'r'), (libc::PF_W, 'w'), (libc::PF_X, 'x')];
            let access = access.map(|(flag, is)| if segment.flags & flag != 0 { is } else { '-' });
            let (access, path) = (String::from_iter(access), self.path.display());
            format!("{start:x}-{end:x} {access}p {offset:08x} 00:00 0 {path}\n")
        };
        self.segments.iter().map(line).collect()
    }

    /// What the object is called in reports: the path of its file, without links.
    pub(crate) fn name(&self) -> String {
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        path.display().to_string()
    }

    /// Whether the two are one file at one place.
    pub(crate) fn is_same_as(&self, other: &Object) -> bool {
        self.headers == other.headers && self.path == other.path
    }

    /// Whether it is this very library.
    pub(crate) fn is_own(&self) -> bool {
        self.holds(Object::is_own as *const () as usize, 1)
    }
}

/// A type of which any bytes are a value.
///
/// # Safety
///
/// They are.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: numbers, and records of numbers without padding.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for usize {}
// SAFETY: as above.
unsafe impl Plain for libc::Elf64_Sym {}

/// The name of the file that the kernel was told to start, as whoever started it has said it. It is
/// that of a script's interpreter.
pub(crate) fn started() -> Option<&'static Path> {
    // SAFETY: a number.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    // SAFETY: the kernel's C string, above the first stack for as long as the process is there.
    let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?;
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// What the loader's counters say.
pub(crate) fn changes() -> Changes {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        to: *mut c_void,
    ) -> c_int {
        // SAFETY: `to` is the place that `changes` passes, and `info` the loader's.
        unsafe { *to.cast::<Changes>() = counters(&*info) };
        1
    }
    let mut changes = Changes::default();
    // SAFETY: the callback gets the place it expects.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
    changes
}

/// All objects, in the order in which they were loaded, and the counters at that moment.
pub(crate) fn loaded() -> (Vec<Object>, Changes) {
    let mut found = (Vec::new(), Changes::default());
    each(&mut |object, changes| {
        found.0.push(object);
        found.1 = changes;
    });
    found
}

/// Calls `visit` with every object, in the order in which they were loaded. Meanwhile none can be
/// unloaded: the loader's lock is held, and `visit` may take no other.
pub(crate) fn each(mut visit: &mut dyn FnMut(Object, Changes)) {
    unsafe extern "C" fn one(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        to: *mut c_void,
    ) -> c_int {
        // SAFETY: `to` is the place that `each` passes, and `info` the loader's, valid during the
        // call.
        unsafe {
            let visit = &mut *to.cast::<&mut dyn FnMut(Object, Changes)>();
            visit(object(&*info), counters(&*info));
        }
        0
    }
    // SAFETY: the callback gets the place it expects.
    unsafe { libc::dl_iterate_phdr(Some(one), (&raw mut visit).cast()) };
}

fn counters(info: &libc::dl_phdr_info) -> Changes {
    Changes { adds: info.dlpi_adds, subs: info.dlpi_subs }
}

/// # Safety
///
/// `info` is what the loader passes to a callback of `dl_iterate_phdr`, during the call.
unsafe fn object(info: &libc::dl_phdr_info) -> Object {
    let base = info.dlpi_addr as usize;
    let headers = if info.dlpi_phdr.is_null() {
        &[]
    } else {
        // SAFETY: the loader's pointer and number.
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
    };
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: the loader's C string.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    let start = |header: &libc::Elf64_Phdr| base.wrapping_add(header.p_vaddr as usize);
    let segment = |header: &libc::Elf64_Phdr| Segment {
        start: start(header),
        end: start(header).saturating_add(header.p_memsz as usize),
        flags: header.p_flags,
        offset: header.p_offset as usize,
    };
    let with = |kind| headers.iter().filter(move |header| header.p_type == kind);
    Object {
        path: match name.to_bytes() {
            b"" => PathBuf::from(PROGRAM),
            name => Path::new(OsStr::from_bytes(name)).to_owned(),
        },
        base,
        headers: info.dlpi_phdr as usize,
        segments: with(libc::PT_LOAD).map(segment).collect(),
        sealed: with(libc::PT_GNU_RELRO).map(segment).collect(),
        dynamic: with(libc::PT_DYNAMIC).map(start).next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_first_and_the_c_library_is_there() {
        let (objects, _) = loaded();
        assert!(objects[0].is_own(), "the tests are in the program itself");
        assert_eq!(objects[0].path, Path::new(PROGRAM));
        let name = |object: &Object| object.path.display().to_string();
        assert!(objects.iter().any(|object| name(object).contains("libc.so")));
    }

    #[test]
    fn the_loader_knows_what_the_kernels_map_says_of_code() {
        let map = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        let (objects, _) = loaded();
        assert_eq!(objects[0].lines_of_map(), "");
        let is_libc = |object: &&Object| object.path.display().to_string().contains("/libc.so");
        let lines = objects.iter().find(is_libc).expect("it is there").lines_of_map();
        let code = lines.lines().find(|line| line.contains(" r-xp ")).expect("it has code");
        let fields: Vec<&str> = code.split(' ').collect();
        let path = std::fs::canonicalize(fields[5]).expect("a file");
        let of_kernel = map.lines().find(|line| {
            line.starts_with(fields[0]) && line.ends_with(path.to_str().expect("ASCII"))
        });
        let of_kernel: Vec<&str> = of_kernel.expect("the same").split(' ').collect();
        assert_eq!(fields[..3], of_kernel[..3]);
    }
}
