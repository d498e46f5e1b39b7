//! Opens files that others can put there too: ledgers, coverage files, maps of compiled code.
//!
//! The folder of a recording that root makes can be written to by every user that a recorded
//! process becomes, and `/tmp` by anybody. So a link is never followed, a pipe or a device never
//! waited for or read, and nothing read beyond a limit. What is wrong is said of the file's name
//! and kind alone: what lies in it may be somebody else's secret.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;

/// A regular file, open for reading.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// The user that it belongs to.
    pub owner: u32,
    path: PathBuf,
    most: u64,
}

/// Why a file is not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotOpened {
    /// The system refused.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a link, a pipe, a device, a socket or a folder.
    #[error("{} is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// It is a file of somebody else's, perhaps, which was given this name as well.
    #[error("{} has further names (hard links)", .0.display())]
    HasOtherNames(PathBuf),
    /// It has more bytes than a file of its kind can have.
    #[error("{} is larger than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// How many it may have.
        most: u64,
    },
}

/// Opens the file at `path`, which may have at most `most` bytes.
pub fn open(path: &Path, most: u64) -> Result<Opened, NotOpened> {
    let unreadable = |source| NotOpened::Unreadable { path: path.to_owned(), source };
    // Without NONBLOCK, opening a pipe waits until somebody writes into it; with NOCTTY, a
    // terminal does not become this process's own.
    let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = File::options().read(true).custom_flags(careful.bits() as i32).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // A link; a socket.
        Some(code)
            if [rustix::io::Errno::LOOP, rustix::io::Errno::NXIO]
                .iter()
                .any(|errno| errno.raw_os_error() == code) =>
        {
            NotOpened::NotRegular(path.to_owned())
        }
        _ => unreadable(error),
    })?;
    let data = file.metadata().map_err(unreadable)?;
    if !data.is_file() {
        return Err(NotOpened::NotRegular(path.to_owned()));
    }
    if data.nlink() > 1 {
        return Err(NotOpened::HasOtherNames(path.to_owned()));
    }
    if data.len() > most {
        return Err(NotOpened::TooLarge { path: path.to_owned(), most });
    }
    Ok(Opened { file, owner: data.uid(), path: path.to_owned(), most })
}

impl Opened {
    /// All that is in it, unless it has grown beyond the limit since.
    pub fn read(self) -> Result<Vec<u8>, NotOpened> {
        let Opened { file, path, most, .. } = self;
        let mut bytes = Vec::new();
        match file.take(most.saturating_add(1)).read_to_end(&mut bytes) {
            Err(source) => Err(NotOpened::Unreadable { path, source }),
            Ok(_) if bytes.len() as u64 > most => Err(NotOpened::TooLarge { path, most }),
            Ok(_) => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn only_a_regular_file_of_one_name_within_the_limit_is_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        fs::write(&file, "seven b").expect("a writable folder");
        let owner = fs::metadata(&file).expect("written").uid();
        let opened = open(&file, 7).expect("a regular file");
        assert_eq!(opened.owner, owner);
        assert_eq!(opened.read().expect("readable"), b"seven b");
        let refused = |path: &Path| open(path, 7).expect_err("refused").to_string();

        let link = folder.path().join("link");
        symlink(&file, &link).expect("a writable folder");
        let zero = folder.path().join("zero");
        symlink("/dev/zero", &zero).expect("a writable folder");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).expect("a socket");
        for path in [&link, &zero, &pipe, &socket, folder.path(), Path::new("/dev/zero")] {
            assert!(refused(path).ends_with("is not a regular file"), "{}", refused(path));
        }
        assert!(refused(&folder.path().join("nothing")).contains("No such file"));
        fs::write(&file, "eight by").expect("a writable folder");
        assert!(refused(&file).ends_with("is larger than 7 bytes"), "{}", refused(&file));
        fs::write(&file, "six by").expect("a writable folder");
        fs::hard_link(&file, folder.path().join("second")).expect("a writable folder");
        assert!(refused(&file).ends_with("has further names (hard links)"), "{}", refused(&file));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        fs::write(&file, "1234567").expect("a writable folder");
        let opened = open(&file, 7).expect("a regular file");
        fs::write(&file, "12345678").expect("a writable folder");
        assert!(matches!(opened.read(), Err(NotOpened::TooLarge { most: 7, .. })));
    }
}
