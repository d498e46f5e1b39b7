//! A folder for one recording: the library to preload, which is embedded in this program, and the
//! ledgers of the recorded processes.
//!
//! Whoever can change the library can have the recorded programs do anything, so nobody else may
//! be able to: the folder is new, belongs to the user, and can be written to by the user alone.
//! Every user that a recorded program may become must be able to read it, since the dynamic loader
//! opens the file anew for each program that a recorded one starts, and complains on that
//! program's standard error when it cannot; and to make ledgers. So the folder is where everybody
//! can go, whatever folder the recording is written to. The library stays when something that was
//! recorded goes on after the recording: see [`Place::leave`].

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::RecordingError;
use crate::descendants::users_of;

/// The library, as this program's build script built it.
const CONTENT: &[u8] = include_bytes!(env!("TLSHEAP_LIBRARY"));

/// What it is called in its folder, and so in memory maps.
pub const NAME: &str = "libtlsheap_preload.so";

/// Ledgers, in the folder.
const LEDGERS: &str = "ledgers";

/// The folder. Removed when this value is dropped.
pub struct Place {
    folder: PathBuf,
    library: PathBuf,
    ledgers: PathBuf,
    stays: bool,
}

impl Place {
    /// Makes a new one, with the library in it.
    pub fn make() -> Result<Place, RecordingError> {
        find(Place::make_in)
    }

    /// Where a new one would be made.
    pub fn parent() -> Result<PathBuf, RecordingError> {
        find(|place| Ok(place.to_owned()))
    }

    fn make_in(parent: &Path) -> io::Result<Place> {
        // Nobody can have made it before: that it is new is what counts, not that it is secret.
        let random = RandomState::new().build_hasher().finish();
        let folder = parent.join(format!("tlsheap-{random:016x}"));
        let root = rustix::process::geteuid().is_root();
        let (for_others, for_ledgers) = if root { (0o755, 0o1733) } else { (0o700, 0o700) };
        DirBuilder::new().mode(for_others).create(&folder)?;
        let (library, ledgers) = (folder.join(NAME), folder.join(LEDGERS));
        let place = Place { folder, library, ledgers, stays: false };
        // Anybody may add files, nobody may remove another's or list them: daemons that root
        // starts become other users, and those make ledgers of their own.
        fs::create_dir(&place.ledgers)?;
        fs::set_permissions(&place.ledgers, Permissions::from_mode(for_ledgers))?;
        let mut file = File::options().write(true).create_new(true).open(&place.library)?;
        file.write_all(CONTENT)?;
        // Whatever the user's umask is.
        for path in [&place.folder, &place.library] {
            fs::set_permissions(path, Permissions::from_mode(for_others))?;
        }
        if fs::read(&place.library)? != CONTENT {
            return Err(io::Error::other("it reads back as something else"));
        }
        Ok(place)
    }

    /// The library's file.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// What the dynamic loader is told to preload: the library, and behind it what the user
    /// preloads.
    pub fn preload(&self) -> OsString {
        let mut preload = OsString::from(&self.library);
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        preload
    }

    /// The folder for ledgers.
    pub fn ledgers(&self) -> &Path {
        &self.ledgers
    }

    /// Ends the recording: removes the folder, but leaves the library where there are processes
    /// that have it, or would preload it into what they start. Those are returned. Without the
    /// folder for ledgers they count nothing that they did not count before, and run on.
    pub fn leave(mut self) -> Vec<u32> {
        let users = users_of(&self.library);
        self.stays = !users.is_empty();
        if self.stays {
            // As in `drop`.
            let _ = fs::remove_dir_all(&self.ledgers);
        }
        users
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.stays {
            // What cannot be removed harms nobody.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The first folder that is fit, and for which `make` succeeds.
fn find<T>(make: impl Fn(&Path) -> io::Result<T>) -> Result<T, RecordingError> {
    let mut obstacles = Vec::new();
    for place in places() {
        let result = match obstacle(&place) {
            None => make(&place).map_err(|error| error.to_string()),
            Some(why) => Err(why.to_owned()),
        };
        match result {
            Ok(found) => return Ok(found),
            Err(why) => obstacles.push(format!("{}: {why}", place.display())),
        }
    }
    Err(RecordingError::NoPlace { obstacles: obstacles.join("; ") })
}

/// Where it may be, the best first. The system's folders for temporary files come first
/// because every user can reach them.
fn places() -> Vec<PathBuf> {
    let mut places = vec![std::env::temp_dir()];
    places.extend(["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from));
    places.extend(std::env::var_os("HOME").map(PathBuf::from));
    let mut places: Vec<PathBuf> =
        places.into_iter().map(|place| place.canonicalize().unwrap_or(place)).collect();
    let mut seen = Vec::new();
    places.retain(|place| {
        let new = !seen.contains(place);
        seen.push(place.clone());
        new
    });
    places
}

/// Why it cannot be within `place`.
fn obstacle(place: &Path) -> Option<&'static str> {
    // The loader takes the first four for separators, and `$` for the start of a variable; it
    // knows no way to quote them.
    if place.to_str().is_none_or(|path| path.contains([':', ' ', '\t', '\n', '$'])) {
        return Some("the dynamic loader cannot preload from a path with a blank, : or $ in it");
    }
    let Ok(data) = place.metadata() else { return Some("is not there") };
    if !data.is_dir() {
        return Some("is no folder");
    }
    let (writable, sticky) = (data.mode() & 0o022 != 0, data.mode() & 0o1000 != 0);
    if writable && !sticky {
        return Some("others may rename what is in it");
    }
    if statvfs(place).is_ok_and(|at| at.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Some("is mounted with noexec");
    }
    let open_to_all = |folder: &Path| folder.metadata().is_ok_and(|data| data.mode() & 0o001 != 0);
    if rustix::process::geteuid().is_root() && !place.ancestors().all(open_to_all) {
        return Some("not every user can reach it, and daemons become other users");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_for_a_recording_and_gone_after_it() {
        let place = Place::make().expect("a folder for temporary files");
        assert_eq!(fs::read(place.library()).expect("it is there"), CONTENT);
        let folder = place.folder.clone();
        assert_eq!(place.leave(), [] as [u32; 0]);
        assert!(!folder.exists());
    }

    #[test]
    fn it_stays_for_a_process_that_would_preload_it() {
        let place = Place::make().expect("a folder for temporary files");
        let (folder, path) = (place.folder.clone(), place.library.clone());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("TLSHEAP_TEST", &path)
            .spawn()
            .expect("sleep is everywhere");
        let users = place.leave();
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert_eq!(users, [child.id()]);
        assert!(path.exists() && !folder.join(LEDGERS).exists());
        fs::remove_dir_all(folder).expect("it is ours");
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_not_used() {
        for name in ["with blank", "with:colon", "with$dollar"] {
            let place = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
            fs::create_dir(&place).expect("a new folder");
            assert!(obstacle(&place).is_some_and(|why| why.contains("dynamic loader")));
            fs::remove_dir(&place).expect("it is empty");
        }
    }
}
