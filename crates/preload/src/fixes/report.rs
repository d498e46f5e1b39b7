//! What became of the fixes: lines in a file of each process, in the folder for ledgers, where a
//! process can write whatever user it has become.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use contract::{Fix, FixLine, environment};

use crate::fixes::openssl::{Openssl, Way};
use crate::object::Object;

/// The folder of the files, if they are wanted.
pub(super) struct Report {
    folder: Option<PathBuf>,
}

impl Report {
    /// Beside the ledgers.
    pub(super) fn from_environment() -> Report {
        Report { folder: std::env::var_os(environment::LEDGER_FOLDER).map(PathBuf::from) }
    }

    /// The fix was given to a connection or context, or was not; the first time counts.
    pub(super) fn tried(&self, openssl: &Openssl, fix: Fix, result: Result<(), &'static str>) {
        let bit = 1 << fix as u32;
        if openssl.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.add(Some(fix), &openssl.object, openssl.way, result);
        }
    }

    /// Connections of the OpenSSL in `object` are not reached.
    pub(super) fn not_reached(&self, object: &Object, way: Way, why: &str) {
        self.add(None, &object.name(), way, Err(why));
    }

    fn add(&self, fix: Option<Fix>, object: &str, way: Way, result: Result<(), &str>) {
        let Some(folder) = &self.folder else { return };
        let (process, way) = (std::process::id(), way.in_words());
        let line = FixLine { process, fix, object, way, result }.to_string();
        // Others may put something there under this name: no link is followed, no pipe waited for.
        let careful = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let path = folder.join(format!("{process}-0.fixes"));
        let mut options = File::options();
        let open = options.append(true).create(true).mode(0o600).custom_flags(careful).open(path);
        // Who asked for the fixes sees that the line is missing.
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
