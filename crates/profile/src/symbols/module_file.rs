//! The file of a module, read whole. Which file that is, a ledger or a profile has said: whoever
//! wrote it may name any file of the machine.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fstatfs};

use super::elf::{ElfError, MAX_MODULE_BYTES};

/// What is larger has to be on the disk for the most part: a file of holes takes no room there, and
/// as much memory as any other.
const MAY_BE_HOLES: u64 = 64 << 20;

/// File systems without files: what is read there, the kernel makes in that moment, or waits for.
/// By their numbers in `linux/magic.h`: proc, sysfs, debugfs, tracefs, securityfs, configfs,
/// pstore, bpf, selinuxfs, efivarfs, and both cgroups.
const OF_THE_KERNEL: [u64; 12] = [
    0x9fa0,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0x6265_6570,
    0x6165_676c,
    0xcafe_4a11,
    0xf97c_ff8c,
    0xde5e_81e4,
    0x0027_e0eb,
    0x6367_7270,
];

/// Reads the file at `path`, if it is a file on a disk that is not too large.
pub(super) fn read_module(path: &Path) -> Result<Vec<u8>, ElfError> {
    // Some devices do something when they are opened.
    if !fs::metadata(path).map_err(ElfError::Unreadable)?.is_file() {
        return Err(ElfError::NotAFile);
    }
    // What is there may have changed since, and opening a pipe would wait for its other end.
    let at_once = OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = File::options().read(true).custom_flags(at_once.bits() as i32).open(path);
    let file = open.map_err(ElfError::Unreadable)?;
    let metadata = file.metadata().map_err(ElfError::Unreadable)?;
    if !metadata.is_file() {
        return Err(ElfError::NotAFile);
    }
    let system = fstatfs(&file).map_err(|error| ElfError::Unreadable(error.into()))?;
    if OF_THE_KERNEL.contains(&(system.f_type as u64)) {
        return Err(ElfError::OfTheKernel);
    }
    let size = metadata.len();
    if size > MAX_MODULE_BYTES {
        return Err(ElfError::TooLarge);
    }
    // File systems that compress need less room than that, but not so much less.
    if size > MAY_BE_HOLES && metadata.blocks().saturating_mul(512) < size / 16 {
        return Err(ElfError::Holes);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(size).read_to_end(&mut bytes).map_err(ElfError::Unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};
    use tempfile::TempDir;

    use super::*;

    fn refused(path: &Path) -> String {
        read_module(path).unwrap_err().to_string()
    }

    #[test]
    fn what_the_kernel_makes_is_not_read() {
        // Of these, the first has an end, and the second waits for what the kernel says next.
        for path in ["/proc/self/status", "/proc/kmsg", "/sys/kernel/notes"] {
            let why = refused(Path::new(path));
            let unreadable = why.starts_with("cannot be read") && path != "/proc/self/status";
            assert!(why == "is no file on a disk: the kernel makes it" || unreadable, "{why}");
        }
        let own = format!("/proc/self/root{}", std::env::current_exe().unwrap().display());
        assert!(read_module(Path::new(&own)).is_ok(), "through proc, and yet a file on a disk");
    }

    #[test]
    fn pipes_devices_and_folders_are_not_opened() {
        let place = TempDir::new().unwrap();
        let pipe = place.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), place.path()] {
            assert_eq!(refused(path), "is not a regular file", "{}", path.display());
        }
    }

    #[test]
    fn a_file_of_holes_is_not_read_and_a_link_to_a_file_is() {
        let place = TempDir::new().unwrap();
        let sparse = place.path().join("sparse");
        File::create(&sparse).unwrap().set_len(3 << 30).unwrap();
        assert_eq!(refused(&sparse), "consists of holes for the most part");
        File::options().write(true).open(&sparse).unwrap().set_len(5 << 30).unwrap();
        assert!(refused(&sparse).starts_with("is larger than"));
        let (small, link) = (place.path().join("small"), place.path().join("link"));
        fs::write(&small, "bytes").unwrap();
        std::os::unix::fs::symlink(&small, &link).unwrap();
        assert_eq!(read_module(&link).unwrap(), b"bytes");
    }
}
