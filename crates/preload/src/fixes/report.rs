//! What became of the fixes: lines in a file that whoever asked for them reads.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use crate::fixes::openssl::{Openssl, Way};
use crate::fixes::settings::Fix;
use crate::object::Object;
use crate::scan::name;

/// The file, if one is wanted.
pub(super) struct Report {
    file: Option<PathBuf>,
}

impl Report {
    /// As the variable says.
    pub(super) fn from_environment() -> Report {
        Report { file: std::env::var_os(super::REPORT).map(PathBuf::from) }
    }

    /// The fix was given to a connection or context, or was not; the first time counts.
    pub(super) fn tried(&self, openssl: &Openssl, fix: Fix, result: Result<(), &'static str>) {
        let bit = 1 << fix as u32;
        if openssl.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let result = result.err().unwrap_or("applied");
            self.add(fix.name(), &openssl.object, openssl.way, result);
        }
    }

    /// Connections of the OpenSSL in `object` are not reached.
    pub(super) fn not_reached(&self, object: &Object, way: Way, why: &str) {
        self.add("-", &name(object), way, why);
    }

    fn add(&self, fix: &str, object: &str, way: Way, result: &str) {
        let Some(path) = &self.file else { return };
        let object = object.replace(['\t', '\n'], " ");
        let (pid, way) = (std::process::id(), way.in_words());
        let line = format!("{pid}\t{fix}\t{object}\t{way}\t{result}\n");
        let open = File::options().append(true).create(true).open(path);
        // Who asked for the fixes sees that the line is missing.
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
