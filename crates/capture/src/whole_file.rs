//! Files that are written whole or not at all.
//!
//! A new file is made under a temporary name beside it, which nobody can know before, and which is
//! never that of a file or link which is there; when everything is on the disk, it takes its name,
//! and with it the place of a file or link of that name. So no link is ever followed. What is no
//! file, such as `/dev/stdout` or a pipe, keeps its place and is written to.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::CaptureError;
use crate::temporary_name::made_under;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Everybody whom the process's umask allows.
    All,
    /// Its owner alone.
    Owner,
}

/// Writes `bytes` to `path`: under a temporary name beside it, to the disk, then renamed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CaptureError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes a file with contents that `fill` writes piece by piece, whole or not at all.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), CaptureError> {
    write_for(Readers::All, path, fill)
}

/// Writes a secret: a new file, readable by its owner alone, whatever was in its place.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CaptureError> {
    write_for(Readers::Owner, path, |file| file.write_all(bytes))
}

/// Writes a value as indented JSON with a line end.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), CaptureError> {
    write_json_for(Readers::All, path, value)
}

/// Writes a value as [`write_json`] does, for these readers.
pub fn write_json_for(
    readers: Readers,
    path: &Path,
    value: &impl serde::Serialize,
) -> Result<(), CaptureError> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|error| CaptureError::writing(path)(error.into()))?;
    json.push(b'\n');
    write_for(readers, path, |file| file.write_all(&json))
}

fn write_for(
    readers: Readers,
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), CaptureError> {
    let name = path.file_name().ok_or_else(|| CaptureError::NoFileName(path.to_owned()))?;
    let written = match stream_at(path) {
        Some(stream) if readers == Readers::All => stream.and_then(|stream| {
            let mut stream = BufWriter::with_capacity(1 << 16, stream);
            fill(&mut stream)?;
            stream.flush()
        }),
        _ => write_and_rename(readers, path, &name.to_string_lossy(), fill),
    };
    written.map_err(CaptureError::writing(path))
}

/// What is at `path`, opened, if it is a device, a pipe or the like, or stands for one.
fn stream_at(path: &Path) -> Option<io::Result<File>> {
    let kind = fs::metadata(path).ok()?.file_type();
    // `/dev/stdout` is a file where the shell has made it one, and yet has to stay in its place.
    let is_the_systems = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder))
        && !path.starts_with("/dev/shm");
    let is_stream = !kind.is_dir() && (!kind.is_file() || is_the_systems);
    is_stream.then(|| open_stream(path))
}

fn open_stream(path: &Path) -> io::Result<File> {
    // To a pipe that nobody reads, opening would wait.
    let at_once = OFlags::NONBLOCK | OFlags::NOCTTY;
    let stream = File::options().write(true).custom_flags(at_once.bits() as i32).open(path)?;
    fcntl_setfl(&stream, fcntl_getfl(&stream)? - OFlags::NONBLOCK)?;
    Ok(stream)
}

fn write_and_rename(
    readers: Readers,
    path: &Path,
    name: &str,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mode = match readers {
        Readers::All => 0o666,
        Readers::Owner => 0o600,
    };
    let (mut unnamed, opened) = made_under(name, |temporary| {
        let temporary = path.with_file_name(temporary);
        let opened = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        Ok((Unnamed { temporary, named: false }, opened))
    })?;
    let mut writer = BufWriter::with_capacity(1 << 16, opened);
    fill(&mut writer)?;
    writer.into_inner()?.sync_all()?;
    fs::rename(&unnamed.temporary, path)?;
    unnamed.named = true;
    Ok(())
}

/// A file that has not got its name yet. Dropped like that, it is removed.
struct Unnamed {
    temporary: PathBuf,
    named: bool,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.named {
            // Best effort: there is nothing to be done about a file that cannot be removed.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tempfile::TempDir;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> =
            entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let place = TempDir::new().unwrap();
        let (victim, path) = (place.path().join("victim"), place.path().join("flame.svg"));
        fs::write(&victim, "precious").unwrap();
        // Where the file goes, and where an earlier version of this wrote it first.
        symlink(&victim, &path).unwrap();
        let guessed = place.path().join(format!(".flame.svg.{}", std::process::id()));
        symlink(&victim, &guessed).unwrap();
        write(&path, b"picture").unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert!(fs::symlink_metadata(&guessed).unwrap().is_symlink());
    }

    #[test]
    fn a_secret_does_not_keep_the_mode_of_what_was_there() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("identity.pem");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(place.path()), ["identity.pem"]);
    }

    #[test]
    fn a_file_that_could_not_be_written_is_named_with_its_cause_and_leaves_nothing() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("heap.pb.gz");
        fs::write(&path, "as it was").unwrap();
        let error = write_with(&path, |file| {
            file.write_all(&vec![7; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("no storage space"), "{cause}");
        assert_eq!(names(place.path()), ["heap.pb.gz"]);
        assert_eq!(fs::read(&path).unwrap(), b"as it was");
        let panicked = catch_unwind(AssertUnwindSafe(|| write_with(&path, |_| panic!("a bug"))));
        assert!(panicked.is_err());
        assert_eq!(names(place.path()), ["heap.pb.gz"]);
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_stays() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("folder");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"bytes").is_err());
        assert_eq!(names(place.path()), ["folder"]);
    }

    #[test]
    fn a_device_is_written_to_and_stays_one() {
        write(Path::new("/dev/null"), b"bytes").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let place = TempDir::new().unwrap();
        let pipe = place.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        assert!(write(&pipe, b"bytes").is_err(), "nobody reads it, and nobody waits");
        let error = write(Path::new("/dev/full"), b"bytes").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("No space left"), "{cause}");
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        assert!(matches!(write(Path::new("/"), b""), Err(CaptureError::NoFileName(_))));
    }
}
