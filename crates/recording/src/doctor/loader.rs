//! The objects that a program is loaded with, found as the dynamic loader finds them: through
//! RPATH, LD_LIBRARY_PATH, RUNPATH, the cache of `ldconfig`, and the usual folders.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use finder::{Elf, Needed};

use super::object::Object;
use crate::RecordingError;

/// Folders in which the loader looks last.
const FOLDERS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// What a program is loaded with.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The program first, then libraries in the order in which they are loaded.
    pub objects: Vec<Object>,
    /// Libraries that were not found, and who needs them.
    pub missing: Vec<String>,
}

/// An object whose libraries are to be found.
struct Asking {
    path: PathBuf,
    needed: Needed,
    /// RPATH of those that brought it in.
    inherited: Vec<PathBuf>,
}

/// Reads the program at `path` and every library that it needs.
pub fn load(path: &Path) -> Result<Loaded, RecordingError> {
    let cache = Cache::read();
    let mut loaded = Loaded::default();
    let mut seen = HashSet::new();
    let mut asking = VecDeque::new();
    let program = read(path, &mut loaded)?;
    asking.push_back(Asking { path: path.to_owned(), needed: program, inherited: Vec::new() });
    while let Some(object) = asking.pop_front() {
        let places = object.places();
        for name in &object.needed.libraries {
            if !seen.insert(name.clone()) || is_loader(name) {
                continue;
            }
            let Some(found) = find(name, &places, &cache) else {
                loaded.missing.push(format!("{name}, needed by {}", object.path.display()));
                continue;
            };
            match read(&found, &mut loaded) {
                Ok(needed) => {
                    let inherited = places.rpath.clone();
                    asking.push_back(Asking { path: found, needed, inherited });
                }
                Err(_) => loaded.missing.push(format!("{name}: {} is damaged", found.display())),
            }
        }
    }
    Ok(loaded)
}

fn read(path: &Path, loaded: &mut Loaded) -> Result<Needed, RecordingError> {
    let bytes = fs::read(path).map_err(RecordingError::reading(path))?;
    let elf = Elf::parse(&bytes)
        .map_err(|source| RecordingError::Elf { path: path.to_owned(), source })?;
    loaded.objects.push(Object::of(path, &elf));
    Ok(elf.needed())
}

/// The dynamic loader itself, which is there already.
fn is_loader(name: &str) -> bool {
    name.starts_with("ld-linux")
}

/// Where an object's libraries are looked for.
struct Places {
    /// Before the environment's, for this object and those that it brings in.
    rpath: Vec<PathBuf>,
    /// After them, for this object alone.
    runpath: Vec<PathBuf>,
}

impl Asking {
    fn places(&self) -> Places {
        let folders = |list: &Option<String>| {
            list.as_deref().map(|list| Needed::folders(list, &self.path)).unwrap_or_default()
        };
        let runpath = folders(&self.needed.runpath);
        // RUNPATH takes the place of RPATH, that of others too.
        let rpath = if runpath.is_empty() {
            [folders(&self.needed.rpath), self.inherited.clone()].concat()
        } else {
            Vec::new()
        };
        Places { rpath, runpath }
    }
}

fn find(name: &str, places: &Places, cache: &Cache) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let environment = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let environment = std::env::split_paths(&environment).filter(|it| !it.as_os_str().is_empty());
    let own = places.rpath.iter().cloned().chain(environment).chain(places.runpath.iter().cloned());
    own.map(|folder| folder.join(name))
        .find(|path| is_for_this_machine(path))
        .or_else(|| cache.find(name).find(|path| is_for_this_machine(path)))
        .or_else(|| {
            let usual = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            usual.into_iter().find(|path| is_for_this_machine(path))
        })
}

/// The loader passes over libraries for other processors.
fn is_for_this_machine(path: &Path) -> bool {
    use std::io::Read;

    const MACHINE: u8 = if cfg!(target_arch = "aarch64") { 0xb7 } else { 0x3e };
    let mut header = [0; 20];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[..5] == *b"\x7fELF\x02" && header[18] == MACHINE
}

/// The list of libraries that `ldconfig` makes.
struct Cache(Vec<u8>);

impl Cache {
    const FILE: &str = "/etc/ld.so.cache";
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;

    /// Empty where there is none, or one of another form.
    fn read() -> Cache {
        Cache(fs::read(Cache::FILE).map(|bytes| Cache::newest_part(&bytes)).unwrap_or_default())
    }

    /// An older form may come first.
    fn newest_part(bytes: &[u8]) -> Vec<u8> {
        let mut starts = (0..bytes.len()).step_by(8);
        let start = starts.find(|start| bytes[*start..].starts_with(Cache::MAGIC));
        start.map_or(Vec::new(), |start| bytes[start..].to_vec())
    }

    /// The files with a name, the most suitable first.
    fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let number = |at: usize| {
            let bytes = self.0.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
        };
        let text = |at: usize| {
            let rest = self.0.get(at..)?;
            let end = rest.iter().position(|byte| *byte == 0)?;
            std::str::from_utf8(&rest[..end]).ok()
        };
        let count = number(Cache::MAGIC.len()).unwrap_or_default();
        let most = self.0.len() / Cache::ENTRY;
        (0..count.min(most)).filter_map(move |entry| {
            let at = Cache::HEADER + entry * Cache::ENTRY;
            (text(number(at + 4)?)? == name).then_some(())?;
            Some(PathBuf::from(text(number(at + 8)?)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_is_loaded_with_the_c_library() {
        let program = std::env::current_exe().expect("it has a file");
        let loaded = load(&program).expect("a program");
        assert_eq!(loaded.objects[0].path, program);
        let maps = fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        let libc = loaded.objects.iter().find(|object| object.path.ends_with("libc.so.6"));
        let libc = libc.expect("it is needed").path.canonicalize().expect("a file");
        assert!(maps.contains(&*libc.to_string_lossy()), "{libc:?} is what the loader took");
        assert_eq!(loaded.missing, [""; 0]);
    }

    #[test]
    fn a_cache_that_lies_finds_nothing() {
        let mut bytes = Cache::MAGIC.to_vec();
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.resize(Cache::HEADER, 0);
        bytes.extend_from_slice(&[0xff; 3 * Cache::ENTRY]);
        assert_eq!(Cache(Cache::newest_part(&bytes)).find("libc.so.6").count(), 0);
        assert_eq!(Cache(Cache::newest_part(b"another form")).find("libc.so.6").count(), 0);
    }
}
