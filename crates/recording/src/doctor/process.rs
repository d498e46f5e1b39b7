//! A running process: the objects in its memory map.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use attach::{Prospect, Target};
use contract::attach::LIBRARY;
use finder::Elf;

use super::examined::Examined;
use super::object::Object;
use crate::{RecordingError, place, program_file};

/// How the note begins of a file that could not be read. The file is behind it.
pub(crate) const NOT_LOOKED_AT: &str = "not looked at: ";

/// Looks into the process.
pub fn examine(pid: u32) -> Result<Examined, RecordingError> {
    let of_process = |what: &str| PathBuf::from(format!("/proc/{pid}/{what}"));
    if !of_process("").exists() {
        return Err(RecordingError::NoProcess(pid));
    }
    let cannot = |source| RecordingError::NotAllowed { pid, source };
    let maps = fs::read_to_string(of_process("maps")).map_err(cannot)?;
    let program = fs::read_link(of_process("exe")).map_err(cannot)?;
    let mut objects = Vec::new();
    let mut unreadable = Vec::new();
    let paths = mapped(&maps);
    for path in paths.iter().filter(|path| !is_ours(path)) {
        // The files that the process sees, which may be in a container.
        let seen = of_process("root").join(path.strip_prefix("/").unwrap_or(path));
        match fs::read(&seen) {
            Ok(bytes) => {
                if let Ok(elf) = Elf::parse(&bytes) {
                    objects.push(Object::of(path, &elf));
                }
            }
            Err(error) => unreadable.push(format!("{}: {error}", path.display())),
        }
    }
    let obstacle = program_file::obstacle(&of_process("exe"));
    let mut examined = Examined::of_process(pid, &program, &objects, obstacle);
    for path in unreadable {
        examined.note(format!("{NOT_LOOKED_AT}{path}"));
    }
    let (attachable, note) = attachable(pid, examined.recordable);
    examined.attachable = Some(attachable);
    examined.note(note);
    Ok(examined)
}

fn is_ours(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == place::NAME)
        || path.display().to_string().ends_with(LIBRARY)
}

/// Whether the process can be attached to, and what there is to say of that.
fn attachable(pid: u32, recordable: bool) -> (bool, String) {
    match Target::of(pid, place::CONTENT).map(|target| (target.prospect(), target.is_filtered())) {
        Ok((Prospect::Attached, _)) => {
            (true, "tlsheap is attached to it, and its OpenSSL is recorded".to_owned())
        }
        Ok(_) if !recordable => {
            (true, "it could be attached to, and there would be nothing to record".to_owned())
        }
        Ok((_, true)) => (
            true,
            format!(
                "`tlsheap record --pid {pid}` attaches to it; its system-call filter is suspended \
                 for the thread that is stopped meanwhile"
            ),
        ),
        Ok(_) => (true, format!("`tlsheap record --pid {pid}` attaches to it as it runs")),
        Err(error) => (false, format!("it cannot be attached to as it runs: {error}")),
    }
}

/// Files with code in a memory map, in the order of their addresses.
fn mapped(maps: &str) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    maps.lines()
        .filter_map(|line| {
            let path = line.find('/').map(|at| &line[at..])?;
            let permissions = line.split_whitespace().nth(1)?;
            // A deleted file is read where its successor lies, if there is one.
            let path = path.strip_suffix(" (deleted)").unwrap_or(path);
            (permissions.contains('x') && seen.insert(path)).then(|| Path::new(path).to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_with_code_are_objects_and_each_once() {
        let maps = "55e0-55f0 r--p 00000000 fe:00 1    /usr/bin/a program\n\
                    55f0-5600 r-xp 00001000 fe:00 1    /usr/bin/a program\n\
                    5600-5700 rw-p 00000000 00:00 0    [heap]\n\
                    7000-7100 r-xp 00000000 fe:00 2    /usr/lib/old.so (deleted)\n\
                    7100-7200 r-xp 00000000 fe:00 1    /usr/bin/a program\n\
                    7200-7300 r-xp 00000000 00:00 0    [vdso]\n";
        assert_eq!(mapped(maps), ["/usr/bin/a program", "/usr/lib/old.so"].map(PathBuf::from));
    }
}
