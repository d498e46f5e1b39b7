//! The library as a file where the process lives, for a process without `/proc`: its loader is told
//! that path, and the file is removed at once.
//!
//! Whoever could put another file in the place of this one would have the process run it. So it lies
//! in a new folder of this user's with a name that nobody guesses, below folders in which nobody
//! else can rename: each one on the way, from the process's root on, belongs to root, to the
//! process's user or to this one, and others may not write there, or not what is not theirs (the
//! sticky bit). Links are followed nowhere.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use contract::attach::LIBRARY;
use rustix::fs::{
    Access, AtFlags, Mode, OFlags, Stat, StatVfsMountFlags, accessat, fchmod, fstat, fstatvfs,
    mkdirat, open, openat, unlinkat,
};
use rustix::rand::{GetRandomFlags, getrandom};

/// Where it may be, the best first.
const PLACES: [&str; 6] = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib", "/"];

/// As much room there has to be, in bytes: the library has less.
const ROOM: u64 = 16 << 20;

/// A folder of the process's in which the library can be put.
#[derive(Debug)]
pub(crate) struct Place {
    folder: OwnedFd,
    path: &'static str,
}

impl Place {
    /// The first that will do; or why none does, in a sentence without its end.
    pub(crate) fn of(pid: u32, users: &[u64]) -> Result<Place, String> {
        let root = Path::new("/proc").join(pid.to_string()).join("root");
        // The kernel's link.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(&root, flags, Mode::empty()).map_err(|error| error.to_string())?;
        Place::below(&root, &owners(pid, users))
    }

    fn below(root: &OwnedFd, owners: &[u64]) -> Result<Place, String> {
        let mut refused = Vec::new();
        for path in PLACES {
            match folder(root, path, owners) {
                Ok(folder) => return Ok(Place { folder, path }),
                Err(why) => refused.push(format!("{path} {why}")),
            }
        }
        Err(refused.join(", "))
    }

    /// Puts the library there.
    pub(crate) fn put(&self, library: &[u8]) -> io::Result<Placed<'_>> {
        let mut random = [0; 16];
        getrandom(&mut random, GetRandomFlags::empty())?;
        let name = format!(".tlsheap-{:032x}", u128::from_ne_bytes(random));
        mkdirat(&self.folder, &name, Mode::RWXU)?;
        // From here on it is removed whatever happens.
        let placed = Placed { place: self, name };
        let own = openat(&self.folder, &placed.name, LISTED, Mode::empty())?;
        if fstat(&own)?.st_uid != rustix::process::geteuid().as_raw() {
            // The process's user has put another one there, who may, and need not be helped.
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = openat(&own, LIBRARY, new | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(library)?;
        // Whatever this process's mask is: the process may be another user's.
        fchmod(&file, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
        fchmod(&own, Mode::RWXU | Mode::XGRP | Mode::XOTH)?;
        Ok(placed)
    }
}

/// The library's file, until this ends.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    place: &'a Place,
    name: String,
}

impl Placed<'_> {
    /// Its path, as the process sees it.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}/{LIBRARY}", self.place.path.trim_end_matches('/'), self.name)
    }
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if let Ok(own) = openat(&self.place.folder, &self.name, LISTED, Mode::empty()) {
            let _ = unlinkat(&own, LIBRARY, AtFlags::empty());
        }
        let _ = unlinkat(&self.place.folder, &self.name, AtFlags::REMOVEDIR);
    }
}

/// To be looked at and gone through.
const FOLDER: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const LISTED: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder at `path`, from `root` on; or what speaks against it.
fn folder(root: &OwnedFd, path: &str, owners: &[u64]) -> Result<OwnedFd, String> {
    let mut folder = openat(root, ".", FOLDER, Mode::empty()).map_err(cannot)?;
    may_be_gone_through(&folder, owners)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        folder = openat(&folder, part, FOLDER, Mode::empty()).map_err(cannot)?;
        may_be_gone_through(&folder, owners)?;
    }
    let system = fstatvfs(&folder).map_err(cannot)?;
    if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err("is read-only".to_owned());
    }
    if system.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("is mounted with noexec".to_owned());
    }
    if system.f_bavail.saturating_mul(system.f_frsize) < ROOM {
        return Err("has no room left".to_owned());
    }
    accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(cannot)?;
    Ok(folder)
}

fn cannot(error: rustix::io::Errno) -> String {
    match error {
        rustix::io::Errno::NOENT => "is not there".to_owned(),
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => "is no folder".to_owned(),
        rustix::io::Errno::ACCESS => "may not be written to".to_owned(),
        error => format!("cannot be used ({error})"),
    }
}

fn may_be_gone_through(folder: impl AsFd, owners: &[u64]) -> Result<(), String> {
    speaks_against(&fstat(folder).map_err(cannot)?, owners).map_or(Ok(()), Err)
}

fn speaks_against(data: &Stat, owners: &[u64]) -> Option<String> {
    let (owner, mode) = (u64::from(data.st_uid), data.st_mode);
    if !owners.contains(&owner) {
        return Some(format!("belongs to user {owner}, who could exchange the library"));
    }
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Some("can be renamed in by others".to_owned());
    }
    (mode & 0o001 == 0).then(|| "cannot be reached by every user".to_owned())
}

/// Who may exchange what the process runs: root, root of the process's own user namespace, its users
/// and this process's.
fn owners(pid: u32, users: &[u64]) -> Vec<u64> {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap_or_default();
    let own = u64::from(rustix::process::geteuid().as_raw());
    users.iter().copied().chain([0, own]).chain(root_of(&map)).collect()
}

/// Who root of a user namespace is here, by its `uid_map`: lines of its first user, the one that
/// this is here, and how many there are.
fn root_of(map: &str) -> Option<u64> {
    map.lines().find_map(|line| {
        let numbers: Vec<u64> =
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [0, _, _]).then(|| numbers[1])
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A process's root with these folders, and who may own them.
    fn root(folders: &[(&str, u32)]) -> (tempfile::TempDir, OwnedFd, Vec<u64>) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, mode) in [("", 0o755)].iter().chain(folders) {
            let folder = root.path().join(path);
            fs::create_dir_all(&folder).expect("a new folder");
            fs::set_permissions(&folder, fs::Permissions::from_mode(*mode)).expect("it is ours");
        }
        let opened = open(root.path(), FOLDER, Mode::empty()).expect("it is there");
        (root, opened, owners(std::process::id(), &[]))
    }

    #[test]
    fn the_library_is_put_where_nobody_can_exchange_it_and_nothing_stays() {
        let folders = [("tmp", 0o777), ("var", 0o755), ("var/tmp", 0o1777)];
        let (folder, opened, owners) = root(&folders);
        let place = Place::below(&opened, &owners).expect("there is one");
        assert_eq!(place.path, "/var/tmp");
        let placed = place.put(b"\x7fELF").expect("there is room");
        let there = folder.path().join(placed.path().trim_start_matches('/'));
        assert_eq!(fs::read(&there).expect("it is there"), b"\x7fELF");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode(&there) & 0o777, 0o444);
        assert_eq!(mode(there.parent().expect("a folder")) & 0o777, 0o711);
        drop(placed);
        let left = fs::read_dir(folder.path().join("var/tmp")).expect("it is ours").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn this_process_has_a_root() {
        let own = Place::of(std::process::id(), &[]);
        // What speaks against it depends on the machine; that it could be looked at does not.
        assert!(own.is_ok() || own.is_err_and(|why| why.contains("/tmp ")));
    }

    #[test]
    fn each_folder_that_will_not_do_is_named_with_the_reason() {
        let (folder, opened, owners) = root(&[("run", 0o700), ("dev", 0o775), ("dev/shm", 0o755)]);
        symlink("/run", folder.path().join("tmp")).expect("nothing is there");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let why = folder_of(&opened, &owners);
        assert_eq!(why[0], "/tmp is no folder");
        assert_eq!(why[1], "/var/tmp is not there");
        assert_eq!(why[2], "/dev/shm can be renamed in by others");
        assert_eq!(why[3], "/run cannot be reached by every user");
        // The root itself.
        assert_eq!(why.len(), 5);
        let strangers = Place::below(&opened, &[u64::MAX]).expect_err("it is nobody's");
        assert!(strangers.contains("who could exchange the library"), "{strangers}");
    }

    fn folder_of(root: &OwnedFd, owners: &[u64]) -> Vec<String> {
        let refused = |path| folder(root, path, owners).err().map(|why| format!("{path} {why}"));
        PLACES.into_iter().filter_map(refused).collect()
    }

    #[test]
    fn root_of_a_user_namespace_is_somebody_here() {
        assert_eq!(root_of("         0     100000      65536\n"), Some(100_000));
        assert_eq!(root_of("1000 1000 1\n0 5 1\n"), Some(5));
        assert_eq!(root_of("1000 1000 1\n"), None);
    }
}
