//! Debug information that was split off a module: as a distribution's package installs it, or as
//! debuginfod's client has fetched it.

use std::env;
use std::path::PathBuf;

use super::elf::Elf;
use super::module_file::read_module;

/// Folders that may hold debug files.
#[derive(Clone, Debug, Default)]
pub(crate) struct DebugFolders {
    /// Where distributions install them.
    pub(crate) installed: Option<PathBuf>,
    /// Where debuginfod's client, which gdb and others use, keeps what it has fetched. Nothing is
    /// fetched from here.
    pub(crate) fetched: Option<PathBuf>,
}

impl DebugFolders {
    /// The folders of this machine and user.
    pub(crate) fn of_this_user() -> DebugFolders {
        let variable =
            |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let fetched = variable("DEBUGINFOD_CACHE_PATH").or_else(|| {
            let cache = variable("XDG_CACHE_HOME");
            let cache = cache.or_else(|| variable("HOME").map(|home| home.join(".cache")));
            cache.map(|cache| cache.join("debuginfod_client"))
        });
        DebugFolders { installed: Some(PathBuf::from("/usr/lib/debug")), fetched }
    }

    /// The debug file of a module that has no debug information itself, found through its build
    /// id. One that cannot be read, or belongs to another build, is none.
    pub(crate) fn debug_file_of(&self, elf: &Elf) -> Option<Elf> {
        if elf.has_debug_information() {
            return None;
        }
        self.places(elf.build_id()).iter().find_map(|path| {
            let debug = Elf::parse(&read_module(path).ok()?).ok()?;
            (debug.build_id() == elf.build_id()).then_some(debug)
        })
    }

    fn places(&self, build_id: &str) -> Vec<PathBuf> {
        let Some((directory, file)) = build_id.split_at_checked(2) else { return Vec::new() };
        let installed = |folder: &PathBuf| {
            folder.join(".build-id").join(directory).join(file).with_extension("debug")
        };
        let fetched = |folder: &PathBuf| folder.join(build_id).join("debuginfo");
        let places = [self.installed.as_ref().map(installed), self.fetched.as_ref().map(fetched)];
        places.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_debug_file_is_named_after_the_build_id() {
        let folders = DebugFolders { installed: Some("/d".into()), fetched: Some("/c".into()) };
        let places = folders.places("0a1b2c");
        let expected = ["/d/.build-id/0a/1b2c.debug", "/c/0a1b2c/debuginfo"];
        assert_eq!(places, expected.map(Path::new));
        assert!(folders.places("").is_empty());
    }

    /// A small library whose debug information was split off it, as distributions do it.
    fn split_library(folder: &Path) -> (Elf, PathBuf) {
        let source = folder.join("small.c");
        fs::write(
            &source,
            "static __attribute__((noinline)) int hidden(int n) { return n * n / 11; }\n\
             int visible(int n) { return hidden(n + 1) + 3; }\n",
        )
        .expect("a folder to write to");
        let (library, debug) = (folder.join("libsmall.so"), folder.join("small.debug"));
        let run = |command: &mut Command| {
            let status = command.status().expect("gcc and binutils: on Debian, apt install gcc");
            assert!(status.success(), "{command:?}");
        };
        let options = ["-shared", "-nostdlib", "-fPIC", "-O1", "-g", "-Wl,--build-id=sha1", "-o"];
        run(Command::new("cc").args(options).args([&library, &source]));
        run(Command::new("objcopy").arg("--only-keep-debug").args([&library, &debug]));
        run(Command::new("strip").arg(&library));
        let bytes = fs::read(&library).expect("the linker wrote it");
        (Elf::parse(&bytes).expect("an ELF file"), debug)
    }

    fn names(elf: &Elf) -> Vec<String> {
        let mut names = Vec::new();
        for address in (0..0x4000).filter_map(|offset| elf.address_of(offset)) {
            for frame in elf.frames(address) {
                if !names.contains(&frame.name) {
                    names.push(frame.name);
                }
            }
        }
        names
    }

    #[test]
    fn a_stripped_library_gets_its_names_back_from_either_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (elf, debug) = split_library(folder.path());
        let id = elf.build_id().to_owned();
        assert_eq!(names(&elf), ["visible"]);
        let root = folder.path().to_owned();
        let installed = DebugFolders { installed: Some(root.clone()), fetched: None };
        let fetched = DebugFolders { installed: None, fetched: Some(root.clone()) };
        for folders in [installed, fetched] {
            assert!(folders.debug_file_of(&elf).is_none(), "not there yet");
            let place = folders.places(&id).remove(0);
            fs::create_dir_all(place.parent().expect("in a folder")).expect("a writable folder");
            fs::copy(&debug, &place).expect("a writable folder");
            let found = folders.debug_file_of(&elf).expect("it is in its place");
            assert!(found.has_debug_information());
            let stripped = fs::read(root.join("libsmall.so")).expect("it is there");
            let whole = Elf::parse(&stripped).expect("an ELF file").with_debug_file(found);
            assert_eq!(names(&whole), ["hidden", "visible"]);
        }
    }

    #[test]
    fn a_file_of_another_build_in_its_place_is_not_used() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (elf, _) = split_library(folder.path());
        let folders = DebugFolders { installed: Some(folder.path().to_owned()), fetched: None };
        let place = folders.places(elf.build_id()).remove(0);
        fs::create_dir_all(place.parent().expect("in a folder")).expect("a writable folder");
        for wrong in [env::current_exe().expect("a file"), "/proc/self/maps".into()] {
            fs::write(&place, fs::read(wrong).expect("readable")).expect("a writable folder");
            assert!(folders.debug_file_of(&elf).is_none());
        }
    }
}
