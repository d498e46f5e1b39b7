//! A folder for one recording: the library to preload, which is embedded in this program, and the
//! ledgers of the recorded processes.
//!
//! Whoever can change the library can have the recorded programs do anything, so nobody else may
//! be able to: the folder is new, belongs to the user, can be written to by the user alone, and
//! lies where nobody else can rename it or a folder above it. Every user that a recorded program
//! may become must be able to read the library, since the dynamic loader opens the file anew for
//! each program that a recorded one starts, and complains on that program's standard error when it
//! cannot; and to make ledgers. So the folder is where everybody can go, and everything in it lies
//! below a name that nobody can guess or list: who has no recorded process to learn it from can
//! neither add a ledger nor pass for a process of the recording.
//!
//! The library stays when something that was recorded goes on after the recording: see
//! [`Place::leave`].

mod fitness;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use capture::held::{self, Held};
use rustix::fs::statvfs;
use rustix::rand::{GetRandomFlags, getrandom};

use self::fitness::{candidates, obstacle};
use crate::RecordingError;
use crate::descendants::users_of;

/// The library, as this program's build script built it.
pub(crate) const CONTENT: &[u8] = include_bytes!(env!("TLSHEAP_LIBRARY"));

/// What it is called in its folder, and so in memory maps.
pub const NAME: &str = "libtlsheap_preload.so";

/// Ledgers, below the secret name.
const LEDGERS: &str = "ledgers";

/// Captures of a series that could not be written where they should be, below the secret name and
/// in folders of kept ledgers.
const SERIES: &str = "series";

/// How the names of folders begin, before 16 hexadecimal digits.
const FOLDER: &str = "tlsheap-";

/// How the names of folders begin in which ledgers are kept for the user.
const KEPT: &str = "tlsheap-ledgers-";

/// What GNU's dynamic loader puts for `$LIB`, on systems of all kinds.
const LIB: [&str; 3] = if cfg!(target_arch = "aarch64") {
    ["lib/aarch64-linux-gnu", "lib64", "lib"]
} else {
    ["lib/x86_64-linux-gnu", "lib64", "lib"]
};

/// The folder. Removed when this value is dropped.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    secret: PathBuf,
    ledgers: PathBuf,
    stays: bool,
    /// What nobody holds is cleared away by the next recording.
    _held: Held,
}

impl Place {
    /// Makes a new one, with the library in it. Clears away what killed recordings of this user
    /// have left.
    pub fn make() -> Result<Place, RecordingError> {
        for place in candidates().iter().filter(|place| obstacle(place).is_none()) {
            held::clear(place, is_folder, |left| !users_of(left).is_empty());
        }
        find(Place::make_in)
    }

    /// Where a new one would be made.
    pub fn parent() -> Result<PathBuf, RecordingError> {
        find(|place| Ok(place.to_owned()))
    }

    /// Where the variable TMPDIR says it is to be, and why it cannot be there.
    pub fn refused() -> Option<String> {
        fitness::refused()
    }

    fn make_in(parent: &Path) -> io::Result<Place> {
        let (folder, held) = new_folder(parent)?;
        let root = rustix::process::geteuid().is_root();
        // Others can go through, and not look around.
        let (for_others, for_ledgers) = if root { (0o711, 0o1733) } else { (0o700, 0o700) };
        let secret = folder.join(format!("{:032x}", random()?));
        let ledgers = secret.join(LEDGERS);
        let place = Place { folder, secret, ledgers, stays: false, _held: held };
        let (first, others) = (LIB[0], &LIB[1..]);
        fs::create_dir_all(place.secret.join(first))?;
        fs::create_dir(&place.ledgers)?;
        let library = place.library();
        let mut file = File::options().write(true).create_new(true).open(&library)?;
        file.write_all(CONTENT)?;
        for lib in others {
            fs::create_dir_all(place.secret.join(lib))?;
            fs::hard_link(&library, place.secret.join(lib).join(NAME))?;
        }
        // Whatever the user's umask is. Anybody may add ledgers, nobody may remove another's or
        // list them: daemons that root starts become other users, and those make ledgers of their
        // own.
        let allow = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
        allow(&library, if root { 0o755 } else { 0o700 })?;
        for lib in LIB {
            for folder in Path::new(lib).ancestors() {
                allow(&place.secret.join(folder), for_others)?;
            }
        }
        allow(&place.ledgers, for_ledgers)?;
        allow(&place.folder, for_others)?;
        if fs::read(&library)? != CONTENT {
            return Err(io::Error::other("it reads back as something else"));
        }
        Ok(place)
    }

    /// The library's file.
    pub fn library(&self) -> PathBuf {
        self.secret.join(LIB[0]).join(NAME)
    }

    /// The folder below which everything lies. Whoever names a path in it, or has a file of it
    /// mapped, has it from a process of the recording.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    /// What the dynamic loader is told to preload: the library, and behind it what the user
    /// preloads.
    ///
    /// The library's path has `$LIB` in it, for which GNU's loader puts the name of its folder of
    /// libraries. musl's loader takes it as it stands, finds nothing of that name, and starts the
    /// program without a word, where it would end the program if it found a library of GNU's.
    pub fn preload(&self) -> OsString {
        let mut preload = self.secret.join("$LIB").join(NAME).into_os_string();
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        preload
    }

    /// Whether a file lies in the folder of a recording that goes on.
    pub(crate) fn is_of_another(file: &Path) -> bool {
        let is_one =
            |path: &&Path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_folder);
        file.ancestors().find(is_one).is_some_and(held::is_held)
    }

    /// The folder for ledgers.
    pub fn ledgers(&self) -> &Path {
        &self.ledgers
    }

    /// The folder for captures of a series that cannot be written where they should be; made by
    /// whoever has one.
    pub fn series(&self) -> PathBuf {
        self.secret.join(SERIES)
    }

    /// There is no room left where the ledgers are: what recorded processes count is lost.
    pub fn is_full(&self) -> bool {
        /// As much as a ledger grows by at once.
        const LEAST: u64 = 64 << 10;
        let room = statvfs(&self.ledgers);
        room.is_ok_and(|at| at.f_bavail.saturating_mul(at.f_frsize) < LEAST)
    }

    /// Ends the recording: when this value is dropped, the folder is removed, but the library stays
    /// where there are processes that have it, or would preload it into what they start. Those are
    /// returned. Without the folder for ledgers they count nothing that they did not count before,
    /// and run on.
    pub fn leave(&mut self) -> Vec<u32> {
        let users = users_of(&self.secret);
        self.stays = !users.is_empty();
        users
    }

    /// Moves the ledgers to a folder beside this one that nothing clears away, and that is the
    /// user's alone, and captures of a series that lie here to `series` in it. Returns its path.
    pub fn keep_ledgers(&self) -> io::Result<PathBuf> {
        let parent = self.folder.parent().unwrap_or(Path::new("/"));
        let kept = parent.join(format!("{KEPT}{:016x}", random()? as u64));
        fs::set_permissions(&self.ledgers, Permissions::from_mode(0o700))?;
        fs::rename(&self.ledgers, &kept)?;
        match fs::rename(self.series(), kept.join(SERIES)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(kept),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed harms nobody.
        let _ = fs::remove_dir_all(if self.stays { &self.ledgers } else { &self.folder });
    }
}

/// The folders for ledgers of the recordings that this user has made, and of those of other users
/// that it may list.
pub(crate) fn places_of_this_user() -> Vec<PathBuf> {
    let names = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |path: &Path| {
        path.file_name().and_then(std::ffi::OsStr::to_str).is_some_and(is_folder)
            && fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
    };
    let folders = candidates().into_iter().flat_map(|parent| {
        names(&parent).map(|entry| entry.path()).filter(|path| is_one(path)).collect::<Vec<_>>()
    });
    let secrets = folders.flat_map(|folder| names(&folder).map(|entry| entry.path()));
    secrets.map(|secret| secret.join(LEDGERS)).filter(|ledgers| ledgers.is_dir()).collect()
}

/// A new folder, which nobody can have made before.
fn new_folder(parent: &Path) -> io::Result<(PathBuf, Held)> {
    let mut attempts = 3;
    loop {
        let folder = parent.join(format!("{FOLDER}{:016x}", random()? as u64));
        match Held::make(&folder, 0o700) {
            // Another recording has taken it for left behind before it was held.
            Err(error) if attempts > 0 && held::was_cleared(&error) => attempts -= 1,
            made => return Ok((folder, made?)),
        }
    }
}

/// A number that nobody can guess.
fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    // As few as these come whole.
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    Ok(u128::from_le_bytes(bytes))
}

/// This is the name of a recording's folder.
fn is_folder(name: &str) -> bool {
    let digits = name.strip_prefix(FOLDER);
    digits.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The first folder that is fit, and for which `make` succeeds.
fn find<T>(make: impl Fn(&Path) -> io::Result<T>) -> Result<T, RecordingError> {
    let mut obstacles = Vec::new();
    for place in candidates() {
        let result = match obstacle(&place) {
            None => make(&place).map_err(|error| error.to_string()),
            Some(why) => Err(why),
        };
        match result {
            Ok(found) => return Ok(found),
            Err(why) => obstacles.push(format!("{}: {why}", place.display())),
        }
    }
    Err(RecordingError::NoPlace { obstacles: obstacles.join("; ") })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_is_there_for_a_recording_and_gone_after_it() {
        let mut place = Place::make().expect("a folder for temporary files");
        for lib in LIB {
            let library = place.secret.join(lib).join(NAME);
            assert_eq!(fs::read(library).expect("it is there"), CONTENT);
        }
        let folder = place.folder.clone();
        assert_eq!(place.leave(), [] as [u32; 0]);
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn nobody_else_can_list_what_leads_to_the_ledgers() {
        let place = Place::make().expect("a folder for temporary files");
        for folder in [&place.folder, &place.secret, &place.ledgers] {
            let mode = fs::metadata(folder).expect("it is there").mode();
            assert_eq!(mode & 0o044, 0, "{}: {mode:o}", folder.display());
        }
        let name = place.secret.file_name().expect("it has one").len();
        assert_eq!(name, 32, "128 bits, which nobody guesses");
    }

    #[test]
    fn it_stays_for_a_process_that_would_preload_it() {
        let mut place = Place::make().expect("a folder for temporary files");
        let (folder, ledgers, library) =
            (place.folder.clone(), place.ledgers.clone(), place.library());
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("TLSHEAP_TEST", place.preload())
            .spawn()
            .expect("sleep is everywhere");
        let users = place.leave();
        drop(place);
        // The next start does not take it away either.
        let next = Place::make();
        let is_there = library.exists() && !ledgers.exists();
        child.kill().and_then(|()| child.wait()).expect("it was running");
        assert_eq!(users, [child.id()]);
        assert!(is_there);
        drop(next);
        // Nobody uses it any more. Another test may be about to clear it away.
        let until = Instant::now() + Duration::from_secs(30);
        while folder.exists() && Instant::now() < until {
            drop(Place::make());
        }
        assert!(!folder.exists());
    }

    #[test]
    fn kept_ledgers_stay() {
        let place = Place::make().expect("a folder for temporary files");
        fs::write(place.ledgers().join("77-1-0.ledger"), "counts").expect("our own folder");
        let kept = place.keep_ledgers().expect("our own folder");
        drop(place);
        drop(Place::make());
        let content = fs::read(kept.join("77-1-0.ledger")).expect("it was kept");
        assert_eq!(content, b"counts");
        assert_eq!(fs::metadata(&kept).expect("it is there").mode() & 0o7777, 0o700);
        fs::remove_dir_all(kept).expect("it is ours");
    }
}
