//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::CaptureError;

/// Writes `bytes` to `path`: under a temporary name beside it, to the disk, then renamed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CaptureError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Writes a file with contents that `fill` writes piece by piece, whole or not at all.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), CaptureError> {
    let name = path.file_name().ok_or_else(|| CaptureError::NoFileName(path.to_owned()))?;
    let temporary =
        path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = write_and_rename(&temporary, path, fill);
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(CaptureError::writing(path))
}

fn write_and_rename(
    temporary: &Path,
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 16, File::create(temporary)?);
    content(&mut file)?;
    file.into_inner()?.sync_all()?;
    fs::rename(temporary, path)
}

/// Writes a secret: readable by its owner alone, and in place, since nobody reads half of it.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CaptureError> {
    use std::os::unix::fs::OpenOptionsExt;

    let open = || {
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    };
    open().map_err(CaptureError::writing(path))
}

/// Writes a value as indented JSON with a line end.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), CaptureError> {
    let mut json = serde_json::to_vec_pretty(value)
        .map_err(|error| CaptureError::writing(path)(error.into()))?;
    json.push(b'\n');
    write(path, &json)
}
