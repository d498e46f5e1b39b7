//! What became of the fixes: lines in a file that whoever asked for them reads.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use contract::{Fix, FixLine, environment};

use crate::fixes::openssl::{Openssl, Way};
use crate::object::Object;

/// The file, if one is wanted.
pub(super) struct Report {
    file: Option<PathBuf>,
}

impl Report {
    /// The report that the variable asks for.
    pub(super) fn from_environment() -> Report {
        Report { file: std::env::var_os(environment::FIXES_REPORT).map(PathBuf::from) }
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
        let Some(path) = &self.file else { return };
        let (process, way) = (std::process::id(), way.in_words());
        let line = FixLine { process, fix, object, way, result }.to_string();
        let open = File::options().append(true).create(true).open(path);
        // Who asked for the fixes sees that the line is missing.
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
