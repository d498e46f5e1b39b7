//! Folders that a living process holds, so that what a killed one left can be told from what is in
//! use, and cleared.
//!
//! The process that makes such a folder locks it, and the kernel unlocks it whatever becomes of the
//! process. So a folder of that kind that is not locked has been left behind.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

/// So many names in a folder are looked at for what was left behind.
const MOST_LOOKED_AT: usize = 10_000;

/// So many folders are cleared away at once; the rest has to wait for the next time.
const MOST_CLEARED: usize = 64;

/// A folder that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "closing the file unlocks it")] File);

impl Held {
    /// Makes a folder at `path`, where there must be nothing, with these permissions less those
    /// that the umask takes, and holds it. Whoever clears at that very moment may have been
    /// quicker: see [`was_cleared`].
    pub fn make(path: &Path, mode: u32) -> io::Result<Held> {
        // Nobody else may open it, and so lock it, before it is held.
        DirBuilder::new().mode(0o700).create(path)?;
        let folder = open(path)?;
        // On a filesystem without locks this is another error, and nobody clears anything there.
        let locked = flock(&folder, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(rustix::io::Errno::WOULDBLOCK) {
            // Somebody took it, this moment, for left behind.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (held, named) = (folder.metadata()?, fs::symlink_metadata(path)?);
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        folder.set_permissions(Permissions::from_mode(mode & !umask()))?;
        Ok(Held(folder))
    }
}

/// The permissions that new files of this process are not given: asking for them in the usual way
/// would change them.
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok()).unwrap_or(0o022)
}

/// [`Held::make`] failed because the folder was taken for one left behind, or removed as such,
/// before it was held. Another name will do.
pub fn was_cleared(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotFound)
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    File::options().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// Whether a living process holds the folder. One that cannot be opened is held by nobody.
pub fn is_held(path: &Path) -> bool {
    let Ok(folder) = open(path) else { return false };
    flock(&folder, FlockOperation::NonBlockingLockShared)
        .is_err_and(|error| error == rustix::io::Errno::WOULDBLOCK)
}

/// Removes folders in `parent` that were made by [`Held::make`] for this user, and that no process
/// holds any more. `is_one` knows them by their names; what is `in_use` in another way stays.
/// Nothing is done where others could have given a folder such a name, and what cannot be removed
/// harms nobody.
pub fn clear(parent: &Path, is_one: impl Fn(&str) -> bool, in_use: impl Fn(&Path) -> bool) {
    let user = rustix::process::geteuid().as_raw();
    let is_safe = |data: fs::Metadata| {
        let (shared, sticky) = (data.mode() & 0o022 != 0, data.mode() & 0o1000 != 0);
        [0, user].contains(&data.uid()) && (sticky || !shared)
    };
    if !fs::metadata(parent).is_ok_and(is_safe) {
        return;
    }
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().take(MOST_LOOKED_AT);
    let ours = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(&is_one)
            && entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == user)
    });
    for path in ours.take(MOST_CLEARED).map(|entry| entry.path()) {
        let Ok(folder) = open(&path) else { continue };
        if folder.metadata().is_ok_and(|data| data.uid() == user)
            && flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok()
            && !in_use(&path)
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_cleared() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let [held, left, used, other] =
            ["kind-held", "kind-left", "kind-used", "other"].map(|name| place.path().join(name));
        let holder = Held::make(&held, 0o755).expect("a new folder");
        let mode = fs::metadata(&held).expect("it is there").mode() & 0o777;
        assert_eq!(mode, 0o755 & !umask());
        assert!(is_held(&held) && !is_held(&left) && !is_held(place.path()));
        for path in [&left, &used, &other] {
            drop(Held::make(path, 0o755).expect("a new folder"));
        }
        fs::write(left.join("file"), "content").expect("a writable folder");
        std::os::unix::fs::symlink(&other, place.path().join("kind-link")).expect("a link");
        let clear_all =
            || clear(place.path(), |name| name.starts_with("kind-"), |path| path == used);
        clear_all();
        assert!(held.exists() && !left.exists() && used.exists() && other.exists());
        drop(holder);
        clear_all();
        assert!(!held.exists());
    }

    #[test]
    fn nothing_is_cleared_where_others_could_have_named_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let left = place.path().join("left");
        drop(Held::make(&left, 0o755).expect("a new folder"));
        let shared = |mode| fs::set_permissions(place.path(), Permissions::from_mode(mode));
        shared(0o777).expect("it is ours");
        clear(place.path(), |_| true, |_| false);
        assert!(left.exists());
        shared(0o1777).expect("it is ours");
        clear(place.path(), |_| true, |_| false);
        assert!(!left.exists());
    }
}
