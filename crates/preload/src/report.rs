//! The coverage file of this process: written when there is something to say, so that programs
//! without OpenSSL leave nothing behind.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use contract::Outcome;
use ledger::{Coverage, Found, Other};

use crate::object;

/// What is known of this process, and where that is written.
pub(crate) struct Report {
    folder: PathBuf,
    coverage: Coverage,
    /// The process that tells what is known when it is asked: nothing is written of it.
    told: Option<u32>,
    /// By which number that process is known to whom it is told.
    shown: Option<u32>,
    /// Where it is written, once it is.
    file: Option<PathBuf>,
}

impl Report {
    /// Nothing found yet. That of the `main` program is written at once.
    pub(crate) fn of_this_process(folder: &Path, main: bool) -> Report {
        let program = std::env::current_exe().ok().or_else(|| Some(object::started()?.to_owned()));
        let program = program.unwrap_or_default();
        let coverage = Coverage {
            pid: std::process::id(),
            program: program.display().to_string(),
            ..Coverage::default()
        };
        let mut report =
            Report { folder: folder.to_owned(), coverage, told: None, shown: None, file: None };
        if main {
            report.write_alone();
        }
        report
    }

    /// Nothing found yet in a process that was attached to, and that the tool knows by this number:
    /// what is found is told with [`Report::text`]. Its children's files are in the folder.
    pub(crate) fn told(folder: &Path, pid: u32) -> Report {
        let mut report = Report::of_this_process(folder, false);
        report.told = Some(report.coverage.pid);
        report.shown = Some(pid);
        report
    }

    /// The text of the coverage file.
    pub(crate) fn text(&self) -> String {
        let pid = self.shown.unwrap_or(self.coverage.pid);
        Coverage { pid, ..self.coverage.clone() }.to_text()
    }

    /// Whether something is recorded.
    pub(crate) fn has_anything_recorded(&self) -> bool {
        self.coverage.openssls.iter().any(|found| found.outcome.is_recorded())
    }

    /// Whether an OpenSSL with this number was found.
    pub(crate) fn knows(&self, number: u8) -> bool {
        self.coverage.openssls.iter().any(|found| found.number == Some(number))
    }

    /// An OpenSSL was found. One that is not recorded is worth a file: no ledger will tell of it.
    pub(crate) fn found(&mut self, found: Found) {
        let lost = !found.outcome.is_recorded();
        self.add(&found.line());
        self.coverage.openssls.push(found);
        if lost && self.file.is_none() {
            self.write_alone();
        }
    }

    /// Another TLS library was found, which no ledger will tell of.
    pub(crate) fn other(&mut self, other: Other) {
        if self.coverage.others.contains(&other) {
            return;
        }
        self.add(&other.line());
        self.coverage.others.push(other);
        if self.file.is_none() {
            self.write_alone();
        }
    }

    /// Something went wrong.
    pub(crate) fn problem(&mut self, sentence: String) {
        self.enter_process();
        self.add(&format!("problem\t{}\n", sentence.replace(['\t', '\n'], " ")));
        self.coverage.problems.push(sentence);
        if self.file.is_none() {
            self.write_alone();
        }
    }

    /// The outcome for a recorded OpenSSL has changed.
    pub(crate) fn changed(&mut self, number: u8, outcome: Outcome) {
        self.enter_process();
        let mut openssls = self.coverage.openssls.iter_mut();
        if let Some(found) = openssls.find(|found| found.number == Some(number)) {
            found.outcome = outcome;
        }
        // A line that was written says otherwise: the whole is written again.
        match self.file.take() {
            Some(file) => self.write(file),
            None if outcome.is_recorded() => {}
            None => self.write_alone(),
        }
    }

    /// The recorder began a ledger: the coverage goes beside it.
    pub(crate) fn ledger_begun(&mut self, ledger: &Path) {
        self.enter_process();
        let before = self.file.take();
        self.write(ledger.with_extension("coverage"));
        // What was written alone does not change any more, and would say something else in the end.
        match before {
            Some(alone) if self.file.is_some() && !alone.with_extension("ledger").exists() => {
                let _ = std::fs::remove_file(alone);
            }
            before => self.file = self.file.take().or(before),
        }
    }

    /// In a forked child, the file is the parent's.
    fn enter_process(&mut self) {
        let pid = std::process::id();
        if pid != self.coverage.pid {
            self.coverage.forked_from = Some(self.coverage.pid);
            self.coverage.pid = pid;
            (self.told, self.shown, self.file) = (None, None, None);
        }
    }

    fn write_alone(&mut self) {
        if self.told == Some(self.coverage.pid) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let name = format!("{}-{now}.coverage", self.coverage.pid);
        self.write(self.folder.join(name));
    }

    /// A folder that cannot be written to leaves the tool without this file, which it notices. A
    /// process that may not write as much leaves it empty, which says just that.
    fn write(&mut self, file: PathBuf) {
        let text = self.coverage.to_text();
        let fits = text.len() as u64 <= ledger_writer::largest_file();
        let open = File::options().write(true).create(true).truncate(true).mode(0o600).open(&file);
        let content = if fits { text.as_bytes() } else { b"" };
        if open.and_then(|mut to| to.write_all(content)).is_ok() {
            self.file = Some(file);
        }
    }

    fn add(&mut self, line: &str) {
        self.enter_process();
        if let Some(file) = &self.file {
            let written = std::fs::metadata(file).map_or(0, |of| of.len());
            if ledger_writer::largest_file() < written + line.len() as u64 {
                return;
            }
            // As in `write`.
            let open = File::options().append(true).open(file);
            let _ = open.and_then(|mut to| to.write_all(line.as_bytes()));
        }
    }
}
