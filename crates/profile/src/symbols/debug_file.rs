//! Debug information that a distribution ships apart from the program.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Elf, MAX_MODULE_BYTES};

/// Where distributions install separate debug information.
pub(crate) const DEBUG_ROOT: &str = "/usr/lib/debug";

/// The debug file of a module that has no debug information itself, found through its build id.
pub(crate) fn of(elf: &Elf, root: &Path) -> Option<Elf> {
    if elf.has_debug_information() {
        return None;
    }
    let path = path_of(elf.build_id(), root)?;
    let metadata = fs::metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_MODULE_BYTES {
        return None;
    }
    let debug = Elf::parse(&fs::read(path).ok()?).ok()?;
    (debug.build_id() == elf.build_id()).then_some(debug)
}

fn path_of(build_id: &str, root: &Path) -> Option<PathBuf> {
    let (directory, file) = build_id.split_at_checked(2)?;
    Some(root.join(".build-id").join(directory).join(format!("{file}.debug")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_file_is_named_after_the_build_id() {
        assert_eq!(
            path_of("0a1b2c", Path::new("/d")).unwrap(),
            Path::new("/d/.build-id/0a/1b2c.debug")
        );
        assert_eq!(path_of("", Path::new("/d")), None);
    }
}
