//! The file behind a program's name, and whether the dynamic loader preloads anything into it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use finder::Elf;

use crate::RecordingError;

/// Scripts that run scripts, followed so far.
const MOST_SCRIPTS: usize = 5;

/// A program that the kernel can start, and the scripts on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFile {
    /// The program's file.
    pub path: PathBuf,
    /// The script that names it as its interpreter.
    pub script: Option<PathBuf>,
}

impl ProgramFile {
    /// The file that `program` stands for, as the shell finds it; of a script, its interpreter.
    pub fn of(program: &OsStr) -> Result<ProgramFile, RecordingError> {
        let Some(mut path) = on_path(program) else {
            return Err(RecordingError::NotOnPath(program.to_owned()));
        };
        let mut script = None;
        for _ in 0..MOST_SCRIPTS {
            let Some(interpreter) = interpreter(&path)? else { break };
            script = Some(script.unwrap_or(path));
            path = interpreter;
        }
        Ok(ProgramFile { path, script })
    }
}

/// The file that a program's name stands for; a path stands for itself.
pub fn on_path(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(PathBuf::from(program));
    }
    let may_run = |path: &PathBuf| {
        let mode = path.metadata().ok().filter(fs::Metadata::is_file);
        mode.is_some_and(|data| data.permissions().mode() & 0o111 != 0)
    };
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(may_run)
}

/// What a script names behind `#!`; behind `env`, the program that `env` is to run. `None` for
/// other files.
fn interpreter(path: &Path) -> Result<Option<PathBuf>, RecordingError> {
    /// As long as the kernel reads.
    const LONGEST: u64 = 256;
    let mut line = Vec::new();
    let file = fs::File::open(path).map_err(RecordingError::reading(path))?;
    file.take(LONGEST).read_to_end(&mut line).map_err(RecordingError::reading(path))?;
    let Some(rest) = line.strip_prefix(b"#!") else { return Ok(None) };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let mut words = rest[..end]
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()));
    let Some(first) = words.next() else { return Ok(None) };
    if Path::new(&first).file_name() != Some(OsStr::new("env")) {
        return Ok(Some(PathBuf::from(first)));
    }
    let is_word = |word: &OsString| {
        let word = word.to_string_lossy();
        !word.starts_with('-') && !word.contains('=')
    };
    Ok(Some(words.find(is_word).as_deref().and_then(on_path).unwrap_or(PathBuf::from(first))))
}

/// Why the dynamic loader does not preload anything into the program at `path`, as the end of a
/// sentence about it. `None` when it does, or the file cannot be read.
pub fn obstacle(path: &Path) -> Option<&'static str> {
    let mode = path.metadata().ok()?.permissions().mode();
    if mode & 0o6000 != 0 {
        return Some(
            "is set-user-ID or set-group-ID, and the kernel lets nobody preload into such a \
             program: record a copy without that bit",
        );
    }
    if has_capabilities(path) {
        return Some(
            "has file capabilities, and the kernel lets nobody preload into such a program: record \
             a copy, which has none",
        );
    }
    let bytes = fs::read(path).ok()?;
    let elf = match Elf::parse(&bytes) {
        Ok(elf) => elf,
        Err(finder::ElfError::Foreign(_)) => return None,
        Err(_) => return Some("is not a 64-bit program: record a build for this machine"),
    };
    let needed = elf.needed();
    if needed.interpreter.as_deref().is_some_and(is_other_loader) {
        return Some(OTHER_C_LIBRARY);
    }
    // A library has no loader of its own either, but asks for other libraries.
    let is_static = needed.interpreter.is_none() && needed.libraries.is_empty();
    is_static.then_some(
        "is linked statically, so that nothing can be preloaded into it: record a build that is \
         linked dynamically",
    )
}

/// What stands against a program that is started through another loader than GNU's.
const OTHER_C_LIBRARY: &str = "is built for another C library (as musl's programs are), and the \
     recorder's library is built for GNU's: record a build for the GNU C library";

/// Loaders of other C libraries, by the beginnings of their names. All others are GNU's, under
/// whatever name.
const OTHER_LOADERS: [&str; 4] = ["ld-musl", "ld-uClibc", "ld64-uClibc", "linker"];

fn is_other_loader(interpreter: &str) -> bool {
    let name = interpreter.rsplit('/').next().unwrap_or_default();
    OTHER_LOADERS.iter().any(|loader| name.starts_with(loader))
}

/// Refuses a program that would only run unrecorded, whatever it does and starts: one of another C
/// library.
pub fn refuse(program: &OsStr) -> Result<(), RecordingError> {
    // What cannot be found or read is said when it cannot be started.
    let Ok(file) = ProgramFile::of(program) else { return Ok(()) };
    match obstacle(&file.path) {
        Some(why) if why == OTHER_C_LIBRARY => {
            Err(RecordingError::NotRecordable { program: program.to_owned(), why })
        }
        _ => Ok(()),
    }
}

/// A process has this loader in its memory map, and so another C library.
pub fn has_other_loader(maps: &str) -> bool {
    maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).any(is_other_loader)
}

/// The file gives its process rights that its user does not have.
fn has_capabilities(path: &Path) -> bool {
    let mut value = [0_u8; 32];
    rustix::fs::getxattr(path, "security.capability", &mut value).is_ok_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use capture::Fault;

    use super::*;

    fn script(folder: &Path, name: &str, line: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("{line}\necho\n")).expect("a new file");
        path
    }

    #[test]
    fn this_program_can_be_preloaded_into() {
        let program = std::env::current_exe().expect("it has a file");
        assert_eq!(obstacle(&program), None);
        assert_eq!(obstacle(Path::new("/proc/self/maps")), None, "no program at all");
    }

    #[test]
    fn loaders_of_other_c_libraries_are_known_by_their_names() {
        for loader in ["/lib64/ld-linux-x86-64.so.2", "/nix/store/x-glibc/lib/ld-2.38.so", ""] {
            assert!(!is_other_loader(loader), "{loader}");
        }
        assert!(is_other_loader("/lib/ld-musl-x86_64.so.1"));
        assert!(is_other_loader("/system/bin/linker64"));
        let maps = "7000-7100 r-xp 00000000 fe:00 2    /usr/lib/ld-musl-x86_64.so.1\n";
        assert!(has_other_loader(maps));
        let own = fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        assert!(!has_other_loader(&own));
    }

    #[test]
    fn a_set_user_id_bit_is_an_obstacle() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = script(folder.path(), "program", "");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("our own file");
        assert!(obstacle(&path).is_some_and(|why| why.contains("set-user-ID")));
    }

    #[test]
    fn of_a_script_the_interpreter_is_meant() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let of = |path: &Path| ProgramFile::of(path.as_os_str()).expect("a file");
        let shell = script(folder.path(), "shell", "#! /bin/sh -e");
        assert_eq!(of(&shell), ProgramFile { path: "/bin/sh".into(), script: Some(shell) });
        let env = script(folder.path(), "env", "#!/usr/bin/env -S LANG=C sh");
        let found = of(&env);
        assert!(found.path.ends_with("sh") && found.path.is_absolute(), "{found:?}");
        let outer = script(folder.path(), "outer", &format!("#!{}", env.display()));
        assert_eq!(of(&outer), ProgramFile { script: Some(outer), ..found });
    }

    #[test]
    fn a_program_that_is_not_there_is_wrong_use() {
        for program in ["no-such-program", "/no/such"] {
            let error = ProgramFile::of(OsStr::new(program)).expect_err("there is none");
            assert_eq!(error.fault(), Fault::User);
        }
    }
}
