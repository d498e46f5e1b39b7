//! The addresses of one process: which module each lies in, and what it is called there.

use foldhash::{HashMap, HashMapExt};
use ledger::Module;

use super::frame::SymbolFrame;
use super::lookup::Symbols;
use crate::{Function, Line, Location, LocationId, Mapping, MappingId, Profile};

/// The modules of one process, ready for lookups.
pub struct AddressSpace<'a> {
    symbols: &'a mut Symbols,
    pid: Option<u32>,
    /// In order of their start addresses.
    modules: Vec<&'a Module>,
    found: Found,
    /// Answers that hold for this process alone.
    own: HashMap<(u64, AddressKind), LocationId>,
}

/// Answers for the profile that is being built: of addresses in code, for which every process gets
/// the same that has the same [`code`].
#[derive(Debug, Default)]
pub(crate) struct Found {
    locations: HashMap<(u64, AddressKind), LocationId>,
    mappings: HashMap<u64, MappingId>,
}

/// What an address on a stack points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressKind {
    /// The instruction after a call. The call itself, whose line is wanted, ends one byte before:
    /// after a call that never returns, even another function may begin there.
    Return,
    /// The instruction itself.
    Exact,
}

impl Symbols {
    /// The addresses of a process with these modules, to be named by these symbols. Only where it
    /// is known which process that is can code in no module be given a name.
    pub fn address_space<'a>(
        &'a mut self,
        pid: Option<u32>,
        modules: &'a [Module],
    ) -> AddressSpace<'a> {
        AddressSpace::new(self, pid, modules, Found::default())
    }

    /// The same, with answers of another process that has the same [`code`], for the same profile.
    pub(crate) fn address_space_with<'a>(
        &'a mut self,
        pid: Option<u32>,
        modules: &'a [Module],
        found: Found,
    ) -> AddressSpace<'a> {
        AddressSpace::new(self, pid, modules, found)
    }
}

impl<'a> AddressSpace<'a> {
    fn new(
        symbols: &'a mut Symbols,
        pid: Option<u32>,
        modules: &'a [Module],
        found: Found,
    ) -> AddressSpace<'a> {
        let mut modules: Vec<&Module> =
            modules.iter().filter(|module| module.start < module.end).collect();
        modules.sort_by_key(|module| (module.start, module.end));
        AddressSpace { symbols, pid, modules, found, own: HashMap::new() }
    }

    /// The symbols, and the answers for the next process with the same code.
    pub(crate) fn leave(self) -> (&'a mut Symbols, Found) {
        (self.symbols, self.found)
    }

    /// The location of `address` in `profile`, named as far as the modules allow. All calls on
    /// one address space must be for the same profile: handles are remembered.
    pub fn location(
        &mut self,
        profile: &mut Profile,
        address: u64,
        kind: AddressKind,
    ) -> LocationId {
        let key = (address, kind);
        if let Some(id) = self.found.locations.get(&key).or_else(|| self.own.get(&key)) {
            return *id;
        }
        let location = self.look_up(profile, address, kind);
        let id = profile.location(location);
        let answers = if self.is_code(address) { &mut self.found.locations } else { &mut self.own };
        answers.insert(key, id);
        id
    }

    /// Puts the program's own file into a profile in which nothing else is yet: readers of pprof
    /// take the first mapping for the program. The kernel puts the program below its libraries.
    pub(crate) fn program_first(&mut self, profile: &mut Profile) {
        let is_code = |module: &&&Module| module.executable && !is_memory(&module.path);
        let first = self.modules.iter().find(is_code).copied();
        if let Some(module) = first.filter(|_| profile.mappings().len() == 0) {
            self.mapping(profile, module);
        }
    }

    /// Whether every process with the same [`code`] gets the same answer.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        [address, address.saturating_sub(1)].into_iter().all(|address| {
            let module = self.module_at(address);
            module.is_some_and(|module| module.executable && !is_memory(&module.path))
        })
    }

    /// Answers `id` for `address` from now on.
    #[cfg(test)]
    pub(crate) fn remember(&mut self, address: u64, kind: AddressKind, id: LocationId) {
        self.own.insert((address, kind), id);
    }

    fn look_up(&mut self, profile: &mut Profile, address: u64, kind: AddressKind) -> Location {
        let instruction = match kind {
            AddressKind::Return => address.saturating_sub(1),
            AddressKind::Exact => address,
        };
        let in_a_file = self.module_at(instruction).filter(|module| !is_memory(&module.path));
        let Some(module) = in_a_file else {
            let frame = self.symbols.outside(self.pid, instruction);
            return Location { mapping: None, address, lines: lines(profile, frame.as_slice()) };
        };
        let mapping = self.mapping(profile, module);
        let file_offset = (instruction - module.start).saturating_add(module.file_offset);
        let frames = self.symbols.frames(&module.path, file_offset);
        Location { mapping: Some(mapping), address, lines: lines(profile, &frames) }
    }

    fn module_at(&self, address: u64) -> Option<&'a Module> {
        let after = self.modules.partition_point(|module| module.start <= address);
        let module = self.modules[after.checked_sub(1)?];
        (address < module.end).then_some(module)
    }

    fn mapping(&mut self, profile: &mut Profile, module: &Module) -> MappingId {
        if let Some(id) = self.found.mappings.get(&module.start) {
            return *id;
        }
        // The file's name without its folder: profiles are passed on, and a folder tells of the
        // machine and its user, not of the program. The build id finds the file.
        let file = module.path.rsplit('/').next().unwrap_or(&module.path).to_owned();
        let id = profile.mapping(Mapping {
            start: module.start,
            end: module.end,
            file_offset: module.file_offset,
            file,
            build_id: self.symbols.build_id(&module.path),
        });
        self.found.mappings.insert(module.start, id);
        id
    }
}

/// The modules with code in them. Others differ between a process and its children: each has a
/// ledger of its own.
pub(crate) fn code(modules: &[Module]) -> impl Iterator<Item = &Module> {
    modules.iter().filter(|module| module.executable)
}

/// What has the form of a file and is none that could be read: a compiler of the program's own has
/// put its code there (JIT), in a memfd.
fn is_memory(path: &str) -> bool {
    path.starts_with("/memfd:")
}

fn lines(profile: &mut Profile, frames: &[SymbolFrame]) -> Vec<Line> {
    let mut line = |frame: &SymbolFrame| Line {
        function: profile.function(Function {
            name: frame.name.clone(),
            system_name: frame.system_name.clone(),
            file: frame.file.clone(),
        }),
        line: frame.line,
    };
    frames.iter().map(&mut line).collect()
}
