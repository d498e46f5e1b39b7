//! Every file that was asked for so far, read once, and every answer given.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use ledger::Snapshot;

use super::debug_file::DebugFolders;
use super::elf::{Elf, ElfError};
use super::frame::SymbolFrame;
use super::module_file::read_module;
use super::perf_map::PerfMap;
use super::replaced::{DELETED, Replaced};
use crate::named::Alike;

/// The symbols of every file that was asked for so far, and every answer given. One value serves
/// any number of snapshots and processes.
#[derive(Default)]
pub struct Symbols {
    files: Vec<ModuleFile>,
    /// Where in `files` a path is.
    by_path: HashMap<String, usize>,
    /// By file and offset in it.
    answers: HashMap<(usize, u64), Arc<[SymbolFrame]>>,
    /// By process.
    perf_maps: HashMap<u32, PerfMap>,
    /// Files that are not those that a process has mapped.
    pub(super) replaced: Replaced,
    /// Stacks that were named already.
    pub(crate) alike: Alike,
    summary: Symbolisation,
}

/// How well addresses could be named: the caller prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Symbolisation {
    /// Addresses that got a name, each counted once for a file or process.
    pub resolved: u64,
    /// Distinct addresses in a module that got none.
    pub unresolved: u64,
    /// Lookups of addresses that lie in no module and no perf map. Processes that have the same
    /// code may ask once for all of them.
    pub outside: u64,
    /// The modules that could not be used, with the reason, by path.
    pub unusable_modules: BTreeMap<String, String>,
    /// The modules that were read but left addresses unnamed, with how many, by path.
    pub modules_without_names: BTreeMap<String, u64>,
}

/// What became of one module's file.
struct ModuleFile {
    /// `None` when it could not be used.
    elf: Option<Elf>,
    build_id: String,
}

impl Symbols {
    /// No file read yet.
    pub fn new() -> Symbols {
        Symbols::default()
    }

    /// Names the code that the process `pid` has compiled.
    pub fn add_perf_map(&mut self, pid: u32, map: PerfMap) {
        self.perf_maps.insert(pid, map);
    }

    /// Whether the process has compiled code that has names.
    pub(crate) fn has_perf_map(&self, pid: u32) -> bool {
        self.perf_maps.contains_key(&pid)
    }

    /// The process with its code where that of another lies that has the same, if one was named: so
    /// that both have the same stacks. Code that a process has compiled is its own, and it stays.
    pub(crate) fn laid_out_like_others<'a>(&self, snapshot: &'a Snapshot) -> Cow<'a, Snapshot> {
        if self.has_perf_map(snapshot.pid) {
            return Cow::Borrowed(snapshot);
        }
        self.alike.laid_out_like_others(snapshot)
    }

    /// What could be named up to now, and what could not.
    pub fn summary(&self) -> &Symbolisation {
        &self.summary
    }

    /// The build id of the file at `path` in hexadecimal; empty when it has none.
    pub(super) fn build_id(&mut self, path: &str) -> String {
        let file = self.file(path);
        self.files[file].build_id.clone()
    }

    /// The functions at `file_offset` of the file at `path`, innermost first.
    pub(super) fn frames(&mut self, path: &str, file_offset: u64) -> Arc<[SymbolFrame]> {
        let key = (self.file(path), file_offset);
        if let Some(answer) = self.answers.get(&key) {
            return Arc::clone(answer);
        }
        let file = &self.files[key.0];
        let address = file.elf.as_ref().and_then(|elf| elf.address_of(file_offset));
        let named = match (&file.elf, address) {
            (Some(elf), Some(address)) => elf.frames(address),
            _ => Vec::new(),
        };
        let answer: Arc<[SymbolFrame]> = if named.is_empty() {
            self.summary.unresolved += 1;
            if file.elf.is_some() {
                *self.summary.modules_without_names.entry(path.to_owned()).or_default() += 1;
            }
            [SymbolFrame::unnamed(path, address.unwrap_or(file_offset))].into()
        } else {
            self.summary.resolved += 1;
            named.into()
        };
        self.answers.insert(key, Arc::clone(&answer));
        answer
    }

    /// The function at an address of the process `pid` that lies in no module.
    pub(super) fn outside(&mut self, pid: Option<u32>, address: u64) -> Option<SymbolFrame> {
        let map = pid.and_then(|pid| self.perf_maps.get(&pid));
        if let Some(frame) = map.and_then(|map| map.frame(address)) {
            self.summary.resolved += 1;
            return Some(frame);
        }
        self.summary.outside += 1;
        pid.map(|_| SymbolFrame::in_no_file())
    }

    /// Where in `files` the file at `path` is; it is read when it is asked for first.
    fn file(&mut self, path: &str) -> usize {
        if let Some(at) = self.by_path.get(path) {
            return *at;
        }
        let elf = match load(path) {
            Ok(elf) => Some(elf),
            Err(error) => {
                self.summary.unusable_modules.insert(path.to_owned(), error.to_string());
                None
            }
        };
        let build_id = elf.as_ref().map_or_else(String::new, |elf| elf.build_id().to_owned());
        let at = self.files.len();
        self.files.push(ModuleFile { elf, build_id });
        self.by_path.insert(path.to_owned(), at);
        at
    }
}

fn load(path: &str) -> Result<Elf, ElfError> {
    // The kernel marks a file that was removed or replaced like this. What is at the path now, if
    // anything, is another file, and its names would be wrong.
    if path.ends_with(DELETED) {
        return Err(ElfError::Deleted);
    }
    let bytes = read_module(Path::new(path))?;
    let elf = Elf::parse(&bytes)?;
    drop(bytes);
    Ok(match DebugFolders::of_this_user().debug_file_of(&elf) {
        Some(debug) => elf.with_debug_file(debug),
        None => elf,
    })
}
