//! One OpenSSL in a loaded object: where its functions are, and how the recorder gets into it.

use std::ffi::{CStr, c_char, c_int};

use ledger::{Outcome, Way};
use recorder::{
    FreeFn, Getter, InstallError, MallocFn, MemoryFunctions, OpensslNumber, ReallocFn, Setter,
};

use crate::dynamic_symbols::DynamicSymbols;
use crate::object::Object;
use crate::symbol_table;

/// What is looked for.
pub(crate) const SETTER: &CStr = c"CRYPTO_set_mem_functions";
pub(crate) const GETTER: &CStr = c"CRYPTO_get_mem_functions";
const VERSION: &CStr = c"OpenSSL_version";
/// OpenSSL has this function since 1.1.0. Before that, memory functions were given no file and
/// line, and must not be put in.
const SINCE_1_1: &CStr = c"CRYPTO_zalloc";
/// OpenSSL's own memory functions.
const OWN: [&CStr; 3] = [c"CRYPTO_malloc", c"CRYPTO_realloc", c"CRYPTO_free"];

/// Addresses of the functions of one OpenSSL.
pub(crate) struct Openssl {
    pub way: Way,
    pub setter: usize,
    pub getter: Option<usize>,
    pub since_1_1: bool,
    version: Option<usize>,
    own: [Option<usize>; 3],
}

/// What came of putting the recorder in.
pub(crate) struct PutIn {
    /// The OpenSSL's number, if it is recorded.
    pub number: Option<OpensslNumber>,
    pub outcome: Outcome,
}

impl Openssl {
    /// The OpenSSL in `object`, if there is one.
    pub(crate) fn of(object: &Object) -> Option<Openssl> {
        exported(object).or_else(|| in_symbol_table(object))
    }

    /// Puts the recorder in, under the number `again` if there is one.
    pub(crate) fn put_recorder_in(
        &self,
        again: Option<OpensslNumber>,
        objects: &[Object],
    ) -> Result<PutIn, InstallError> {
        // SAFETY: addresses of the functions with these names in an OpenSSL since 1.1.0, which
        // have these types.
        let (set, get) = unsafe {
            (
                std::mem::transmute::<usize, Setter>(self.setter),
                self.getter.map(|getter| std::mem::transmute::<usize, Getter>(getter)),
            )
        };
        let now = self.functions_now();
        let own = self.own_functions(now, objects);
        let number = match again {
            Some(number) => {
                number.begin(get, own);
                number
            }
            None => recorder::add_openssl(get, own)?,
        };
        let chained = now.pointers() != own.pointers();
        if chained {
            // They came before us, and OpenSSL goes on allocating with them.
            number.set_below(now);
        }
        // SAFETY: the setter of this OpenSSL. Another thread that uses it for the first time right
        // now is possible only for a library that was loaded moments ago, whose loader has not
        // yet come back with its first symbol.
        if unsafe { number.put_into(set) }.is_err() {
            number.give_back();
            return Ok(PutIn { number: None, outcome: Outcome::Refused });
        }
        let outcome = if chained { Outcome::Chained } else { Outcome::Recorded };
        Ok(PutIn { number: Some(number), outcome })
    }

    /// It allocates with its own functions.
    pub(crate) fn has_own_functions(&self, objects: &[Object]) -> bool {
        let now = self.functions_now();
        now.pointers() == self.own_functions(now, objects).pointers()
    }

    /// The functions that are in it now, as far as it can be asked.
    fn functions_now(&self) -> MemoryFunctions {
        let Some(getter) = self.getter else { return MemoryFunctions::default() };
        // SAFETY: the address of the function of this name in an OpenSSL, which has this type.
        unsafe { MemoryFunctions::of(std::mem::transmute::<usize, Getter>(getter)) }
    }

    /// The functions that it allocates with by itself, when those of `now` are in it.
    fn own_functions(&self, now: MemoryFunctions, objects: &[Object]) -> MemoryFunctions {
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
                malloc: std::mem::transmute::<usize, Option<MallocFn>>(own[0]),
                realloc: std::mem::transmute::<usize, Option<ReallocFn>>(own[1]),
                free: std::mem::transmute::<usize, Option<FreeFn>>(own[2]),
            }
        }
    }

    /// What it says of itself; a text in its data, without any initialisation.
    pub(crate) fn version(&self) -> String {
        let Some(version) = self.version else { return String::new() };
        // SAFETY: the address of the function of this name, which has this type.
        let version = unsafe {
            std::mem::transmute::<usize, unsafe extern "C" fn(c_int) -> *const c_char>(version)
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
        setter: symbols.function(SETTER)?,
        getter: symbols.function(GETTER),
        version: symbols.function(VERSION),
        since_1_1: symbols.function(SINCE_1_1).is_some(),
        own: OWN.map(|name| symbols.function(name)),
    })
}

fn in_symbol_table(object: &Object) -> Option<Openssl> {
    let names = [SETTER, GETTER, VERSION, SINCE_1_1, OWN[0], OWN[1], OWN[2]].map(CStr::to_bytes);
    let [setter, getter, version, since_1_1, malloc, realloc, free] =
        symbol_table::functions(object, names)?;
    Some(Openssl {
        way: Way::SymbolTable,
        setter: setter?,
        getter,
        version,
        since_1_1: since_1_1.is_some(),
        own: [malloc, realloc, free],
    })
}

/// The function at `address` is exported under `name`.
fn is_named(address: usize, name: &CStr, objects: &[Object]) -> bool {
    let object = objects.iter().find(|object| object.holds_code(address, 1));
    let symbols = object.and_then(DynamicSymbols::of);
    symbols.is_some_and(|symbols| symbols.function(name) == Some(address))
}
