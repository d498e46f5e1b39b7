//! Where a recording's folder may be: where nobody but this user and root can put another library
//! in the place of ours, where programs may be loaded from, and where every user can go that a
//! recorded process becomes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

/// Room for the library and for the ledgers of a few processes, in bytes.
const ROOM: u64 = 16 << 20;

/// Where it may be, the best first: where the user says, then for root where only root can write,
/// then the system's folders for temporary files, which every user can reach.
pub fn candidates() -> Vec<PathBuf> {
    let said = std::env::var_os("TMPDIR").filter(|said| !said.is_empty());
    let mut places: Vec<PathBuf> = said.map(PathBuf::from).into_iter().collect();
    if rustix::process::geteuid().is_root() {
        places.extend(["/var/lib", "/run"].map(PathBuf::from));
    }
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

/// Where the user says it is to be, and why it cannot be there; `None` where it can.
pub fn refused() -> Option<String> {
    let said = PathBuf::from(std::env::var_os("TMPDIR").filter(|said| !said.is_empty())?);
    let said = said.canonicalize().unwrap_or(said);
    obstacle(&said).map(|why| format!("{}: {why}", said.display()))
}

/// Why it cannot be within `place`, a path without links.
pub fn obstacle(place: &Path) -> Option<String> {
    // The loader takes the first four for separators, and `$` for the start of a variable; it
    // knows no way to quote them.
    if place.to_str().is_none_or(|path| path.contains([':', ' ', '\t', '\n', '$'])) {
        let why = "the dynamic loader cannot preload from a path with a blank, : or $ in it";
        return Some(why.to_owned());
    }
    match place.metadata() {
        Err(_) => return Some("is not there".to_owned()),
        Ok(data) if !data.is_dir() => return Some("is no folder".to_owned()),
        Ok(_) => {}
    }
    if let Some(why) = place.ancestors().find_map(in_others_hands) {
        return Some(why);
    }
    if let Ok(at) = statvfs(place) {
        if at.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Some("is mounted with noexec".to_owned());
        }
        if at.f_bavail.saturating_mul(at.f_frsize) < ROOM {
            return Some("has no room left".to_owned());
        }
    }
    let open_to_all = |folder: &Path| folder.metadata().is_ok_and(|data| data.mode() & 0o001 != 0);
    if rustix::process::geteuid().is_root() && !place.ancestors().all(open_to_all) {
        let why = "not every user can reach it, and daemons become other users";
        return Some(why.to_owned());
    }
    None
}

/// Who but this user and root could rename what is in `folder`, and put something else there.
fn in_others_hands(folder: &Path) -> Option<String> {
    let Ok(data) = folder.metadata() else { return Some("is not there".to_owned()) };
    let shown = folder.display();
    let user = rustix::process::geteuid().as_raw();
    // Whom a folder belongs to can do everything in it, whatever its permissions are.
    if ![0, user].contains(&data.uid()) {
        let owner = data.uid();
        return Some(format!("{shown} belongs to user {owner}, who could exchange the library"));
    }
    let (writable, sticky) = (data.mode() & 0o022 != 0, data.mode() & 0o1000 != 0);
    (writable && !sticky).then(|| format!("others may rename what is in {shown}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    /// A folder in one that everybody can enter.
    fn nested() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().expect("a temporary folder");
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).expect("a new folder");
        for folder in [outer.path(), &inner] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("it is ours");
        }
        (outer, inner)
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_not_used() {
        for name in ["with blank", "with:colon", "with$dollar"] {
            let (outer, _) = nested();
            let place = outer.path().join(name);
            fs::create_dir(&place).expect("a new folder");
            assert!(obstacle(&place).is_some_and(|why| why.contains("dynamic loader")));
        }
    }

    #[test]
    fn a_folder_below_one_in_which_others_can_rename_is_not_used() {
        let (outer, inner) = nested();
        assert_eq!(obstacle(&inner), None);
        let make = |mode| fs::set_permissions(outer.path(), Permissions::from_mode(mode));
        for mode in [0o777, 0o775] {
            make(mode).expect("it is ours");
            let why = obstacle(&inner).expect("others can rename it");
            assert_eq!(why, format!("others may rename what is in {}", outer.path().display()));
        }
        // There, only its owner can.
        make(0o1777).expect("it is ours");
        assert_eq!(obstacle(&inner), None);
    }

    #[test]
    fn a_folder_below_another_users_is_not_used() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can give a folder to another user");
            return;
        }
        let (outer, inner) = nested();
        chown(outer.path(), Some(65_534), None).expect("root may");
        let why = obstacle(&inner).expect("another user's");
        assert!(why.contains("belongs to user 65534, who could exchange the library"), "{why}");
    }
}
