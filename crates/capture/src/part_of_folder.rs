//! Files of a run folder, read. A folder may have been handed over: what is in it may be a link to
//! a device, a pipe, or larger than any that was ever written.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::CaptureError;

/// The largest file of JSON that is read, in bytes. A recording of ten thousand processes writes
/// some 20 MB.
pub const MAX_JSON_BYTES: u64 = 64 << 20;

/// The largest table of memory over time that is read, in bytes.
pub const MAX_TIMELINE_BYTES: u64 = 128 << 20;

/// Refuses what is no file; what is not there is for the reader to say.
pub(crate) fn has_to_be_a_file(path: &Path) -> Result<(), CaptureError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(CaptureError::NotAFile(path.to_owned())),
        _ => Ok(()),
    }
}

/// Reads a file of text that is not larger than `limit`.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, CaptureError> {
    has_to_be_a_file(path)?;
    // A pipe that has come since would be waited for.
    let at_once = OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = File::options().read(true).custom_flags(at_once.bits() as i32).open(path);
    let file = open.map_err(CaptureError::reading(path))?;
    let mut text = String::new();
    // One byte more tells that it is larger; what is no UTF-8 is said by the reading.
    file.take(limit + 1).read_to_string(&mut text).map_err(CaptureError::reading(path))?;
    if text.len() as u64 > limit {
        return Err(CaptureError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tempfile::TempDir;

    use super::*;
    use crate::Capture;
    use crate::folder::{HEAP, RUN};

    #[test]
    fn links_to_devices_and_pipes_are_refused_at_once() {
        let place = TempDir::new().unwrap();
        let record = place.path().join(RUN);
        symlink("/dev/zero", &record).unwrap();
        let error = read_text(&record, 100).unwrap_err().to_string();
        assert_eq!(error, format!("{} is not a regular file", record.display()));
        // The profile of a folder comes first.
        let heap = place.path().join(HEAP);
        mkfifoat(CWD, &heap, Mode::RWXU).unwrap();
        let error = Capture::open(place.path()).unwrap_err().to_string();
        assert_eq!(error, format!("{} is not a regular file", heap.display()));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let place = TempDir::new().unwrap();
        let file = place.path().join(RUN);
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_text(&file, 10).unwrap(), "0123456789");
        let error = read_text(&file, 9).unwrap_err().to_string();
        assert_eq!(error, format!("{} is too large: at most 9 bytes are read", file.display()));
    }
}
