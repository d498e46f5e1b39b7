//! One OpenSSL in a loaded object: where its functions and variables are.

use std::ffi::{CStr, c_char, c_int};

use contract::{TlsLibrary, Way};
use finder::{Elf, Variables};
use recorder::{FreeFn, Getter, MallocFn, MemoryFunctions, ReallocFn, function_at};

use crate::dynamic_symbols::DynamicSymbols;
use crate::mapped_file::MappedFile;
use crate::object::Object;

/// What is looked for.
pub(crate) const SETTER: &CStr = c"CRYPTO_set_mem_functions";
pub(crate) const GETTER: &CStr = c"CRYPTO_get_mem_functions";
const VERSION: &CStr = c"OpenSSL_version";
type Version = unsafe extern "C" fn(c_int) -> *const c_char;
/// OpenSSL has this function since 1.1.0. Before that, memory functions were given no file and
/// line, and must not be put in.
const SINCE_1_1: &CStr = c"CRYPTO_zalloc";
/// OpenSSL's own memory functions.
const OWN: [&CStr; 3] = [c"CRYPTO_malloc", c"CRYPTO_realloc", c"CRYPTO_free"];

/// Bytes of each function that must be the same in the file and in memory.
const COMPARED: usize = 16;

/// Addresses of the functions of one OpenSSL.
pub(crate) struct Openssl {
    pub way: Way,
    pub setter: Option<usize>,
    pub getter: Option<usize>,
    pub since_1_1: bool,
    version_function: Option<usize>,
    /// The version that its file says, where it cannot be asked.
    version_text: Option<String>,
    own: [Option<usize>; 3],
    /// The variables that its setter writes, if they were found on the way to it.
    variables: Option<LoadedVariables>,
}

/// The variables of an OpenSSL in memory, which hold its own functions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadedVariables {
    /// Where those for malloc, realloc and free are.
    pub places: [usize; 3],
    /// It has allocated with its own functions; `None` when that cannot be seen.
    pub has_allocated: Option<bool>,
}

/// The TLS libraries in an object.
#[derive(Default)]
pub(crate) struct Libraries {
    pub openssl: Option<Openssl>,
    /// Those that are not OpenSSL, unless the object is OpenSSL's own.
    pub others: Vec<TlsLibrary>,
}

impl Libraries {
    /// What lies in `object`. One that exports an OpenSSL of our time is that library, and its file
    /// need not be looked at.
    pub(crate) fn of(object: &Object) -> Libraries {
        match exported(object) {
            Some(openssl) if openssl.since_1_1 => {
                Libraries { openssl: Some(openssl), others: Vec::new() }
            }
            exported => in_file(object, exported),
        }
    }
}

impl Openssl {
    /// The variables, as long as they hold OpenSSL's own functions, and those took memory from the
    /// allocator that ours take it from: blocks of OpenSSL's own come back through ours.
    pub(crate) fn variables(&self, object: &Object) -> Option<LoadedVariables> {
        if self.variables.is_some() {
            return self.variables;
        }
        let file = MappedFile::open(&object.path)?;
        let elf = Elf::parse(file.bytes()).ok()?;
        let found = finder::find(&elf).filter(|found| found.imports_heap)?;
        loaded(object, &elf, &finder::variables(&elf, &found)?, self.own)
    }

    /// Where the variables are, if they were found on the way.
    pub(crate) fn places(&self) -> Option<[usize; 3]> {
        self.variables.map(|variables| variables.places)
    }

    /// It allocates with its own functions.
    pub(crate) fn has_own_functions(&self, objects: &[Object]) -> bool {
        let now = self.functions_now();
        now.pointers() == self.own_functions(now, objects).pointers()
    }

    /// The functions that are in it now, as far as it can be asked.
    pub(crate) fn functions_now(&self) -> MemoryFunctions {
        let Some(getter) = self.getter() else { return MemoryFunctions::default() };
        // SAFETY: the getter of an OpenSSL that is loaded.
        unsafe { MemoryFunctions::of(getter) }
    }

    /// The OpenSSL's getter.
    pub(crate) fn getter(&self) -> Option<Getter> {
        // SAFETY: the address of the function of this name in an OpenSSL, which has this type.
        self.getter.and_then(|getter| unsafe { function_at::<Getter>(getter) })
    }

    /// The functions that it allocates with by itself, when those of `now` are in it.
    pub(crate) fn own_functions(
        &self,
        now: MemoryFunctions,
        objects: &[Object],
    ) -> MemoryFunctions {
        let now = now.pointers().map(|function| function as usize);
        let own = [0, 1, 2].map(|at| {
            match self.own[at] {
                // Of two OpenSSLs that both export them, the loader may have given this one the
                // functions of the other for its own.
                Some(own) if !is_named(now[at], OWN[at], objects) => own,
                // Without names nothing tells them from a program's.
                _ => now[at],
            }
        });
        // SAFETY: 0, which is None, or addresses of functions that are, or could be, in OpenSSL as
        // functions of these types.
        unsafe {
            MemoryFunctions {
                malloc: function_at::<MallocFn>(own[0]),
                realloc: function_at::<ReallocFn>(own[1]),
                free: function_at::<FreeFn>(own[2]),
            }
        }
    }

    /// The version that the OpenSSL says of itself; a text in its data, without any initialisation.
    pub(crate) fn version(&self) -> String {
        // SAFETY: the address of the function of this name, which has this type.
        let function = |at| unsafe { function_at::<Version>(at) };
        let Some(version) = self.version_function.and_then(function) else {
            return self.version_text.clone().unwrap_or_default();
        };
        // SAFETY: 0 asks for the version, a C string that is never freed.
        let text = unsafe { version(0) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

fn exported(object: &Object) -> Option<Openssl> {
    let symbols = DynamicSymbols::of(object)?;
    Some(Openssl {
        way: Way::Exported,
        setter: Some(symbols.function(SETTER)?),
        getter: symbols.function(GETTER),
        since_1_1: symbols.function(SINCE_1_1).is_some(),
        version_function: symbols.function(VERSION),
        version_text: None,
        own: OWN.map(|name| symbols.function(name)),
        variables: None,
    })
}

/// What the object's file tells. It may have been replaced since it was loaded: what is not in
/// memory as it is in the file is not found.
fn in_file(object: &Object, exported: Option<Openssl>) -> Libraries {
    let file = MappedFile::open(&object.path);
    let Some(elf) = file.as_ref().and_then(|file| Elf::parse(file.bytes()).ok()) else {
        return Libraries { openssl: exported, others: Vec::new() };
    };
    let others = finder::other_libraries(&elf);
    let found = finder::find(&elf);
    // What exports the names of a fork is no OpenSSL.
    let openssl = found.map(|found| exported.unwrap_or_else(|| of_file(object, &elf, &found)));
    Libraries { openssl, others }
}

fn of_file(object: &Object, elf: &Elf, found: &finder::Openssl) -> Openssl {
    let function = |address: Option<u64>| address.and_then(|it| function(object, elf, it));
    let own = found.own.map(function);
    let variables = found.variables.and_then(|it| loaded(object, elf, &it, own));
    // As in `Openssl::variables`: there may be no blocks of its own allocator.
    let variables = variables.filter(|it| found.imports_heap || it.has_allocated == Some(false));
    let setter = function(found.setter);
    let way = if setter.is_none() && variables.is_none() { Way::Nowhere } else { found.way };
    Openssl {
        way,
        setter,
        getter: function(found.getter),
        since_1_1: found.since_1_1,
        version_function: function(found.version_function),
        version_text: finder::version(elf),
        own,
        variables,
    }
}

/// The function at `address` of the file where it is loaded, if it is the same there.
pub(crate) fn function(object: &Object, elf: &Elf, address: u64) -> Option<usize> {
    let code = elf.at(address, COMPARED)?;
    let loaded = object.base.wrapping_add(address as usize);
    (object.code(loaded, COMPARED)? == code).then_some(loaded)
}

/// The variables where they are loaded, if each holds OpenSSL's own function: one with its name, or
/// one that reads the variable.
fn loaded(
    object: &Object,
    elf: &Elf,
    variables: &Variables,
    own: [Option<usize>; 3],
) -> Option<LoadedVariables> {
    let places = variables.places.map(|place| object.base.wrapping_add(place as usize));
    for ((place, in_file), own) in places.into_iter().zip(variables.places).zip(own) {
        if !object.is_variable(place) {
            return None;
        }
        let now: usize = object.read(place)?;
        let address = now.wrapping_sub(object.base) as u64;
        let is_own = own == Some(now)
            || function(object, elf, address).is_some()
                && Variables::is_own_function(elf, address, in_file);
        if !is_own {
            return None;
        }
    }
    let allows = variables.allows.map(|place| object.base.wrapping_add(place as usize));
    let allows = allows.and_then(|place| object.read::<c_int>(place));
    Some(LoadedVariables { places, has_allocated: allows.map(|allows| allows == 0) })
}

/// The function at `address` is exported under `name`.
fn is_named(address: usize, name: &CStr, objects: &[Object]) -> bool {
    let object = objects.iter().find(|object| object.holds_code(address, 1));
    let symbols = object.and_then(DynamicSymbols::of);
    symbols.is_some_and(|symbols| symbols.function(name) == Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn a_function_is_taken_from_a_file_only_where_it_is_in_memory_too() {
        let (mut objects, _) = object::loaded();
        let program = &mut objects[0];
        let file = MappedFile::open(&program.path).expect("it can be read");
        let elf = Elf::parse(file.bytes()).expect("a program");
        let address = in_file as *const () as usize;
        let in_the_file = (address - program.base) as u64;
        assert_eq!(function(program, &elf, in_the_file), Some(address));
        program.base += 64;
        assert_eq!(function(program, &elf, in_the_file), None);
    }

    #[test]
    fn a_program_without_openssl_has_none() {
        let (objects, _) = object::loaded();
        assert!(objects.iter().all(|object| Libraries::of(object).openssl.is_none()));
    }
}
