//! A library to preload into a program: puts the recorder into the program's OpenSSL, with the
//! judge of stacks above it. Now and then it writes how they compare, as JSON, into the folder
//! that the environment names; without one it does nothing.
//!
//! The OpenSSL has to be there from the start: linked, in the program's file, or preloaded too.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;

use bench::{hooks, oracle};
use finder::Elf;
use recorder::{Setter, StackSource};

/// Names the folder, where the ledger goes as well.
const FOLDER: &str = "TLSHEAP_ORACLE_FOLDER";
/// How often the verdict is written.
const EVERY: u64 = 10_000;

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

static PLACE: OnceLock<String> = OnceLock::new();

/// Without a judge the program runs on, and the test that preloads it waits in vain.
extern "C" fn construct() {
    let _ = std::panic::catch_unwind(|| {
        let Ok(folder) = std::env::var(FOLDER) else { return };
        let Some(set) = setter() else { return };
        let Ok(hooks) = hooks::recorder(StackSource::best(), Path::new(&folder)) else { return };
        let _ = PLACE.set(folder);
        oracle::tell_every(EVERY, tell);
        let hooks = oracle::above(hooks);
        // SAFETY: the setter of an OpenSSL that nobody has called yet; the hooks keep the
        // contracts of its functions.
        unsafe { set(Some(hooks.malloc), Some(hooks.realloc), Some(hooks.free)) };
    });
}

/// Whole or not at all.
fn tell() {
    let Some(folder) = PLACE.get().map(Path::new) else { return };
    let verdict = oracle::ledger_in(folder).and_then(|ledger| oracle::verdict(&ledger).ok());
    let Some(json) = verdict.and_then(|verdict| serde_json::to_vec(&verdict).ok()) else { return };
    let (new, whole) = (folder.join("verdict.new"), folder.join("verdict.json"));
    // Who waits for the verdict will wait for the next one.
    let _ = std::fs::write(&new, json).and_then(|()| std::fs::rename(new, whole));
}

/// `CRYPTO_set_mem_functions`: exported, or in the symbol table of the program's file.
fn setter() -> Option<Setter> {
    // SAFETY: a C string.
    let exported = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"CRYPTO_set_mem_functions".as_ptr()) };
    let address = if exported.is_null() { in_program()? } else { exported as usize };
    // SAFETY: the address of the function of this name, which has this type.
    Some(unsafe { std::mem::transmute::<usize, Setter>(address) })
}

fn in_program() -> Option<usize> {
    let file = std::fs::read("/proc/self/exe").ok()?;
    let setter = finder::find(&Elf::parse(&file).ok()?)?.setter?;
    let mut base = 0_usize;
    // SAFETY: the callback follows its type, and the pointer is to a live value.
    unsafe { libc::dl_iterate_phdr(Some(take_first), (&raw mut base).cast()) };
    Some(base + setter as usize)
}

/// The first object is the program itself.
unsafe extern "C" fn take_first(
    object: *mut libc::dl_phdr_info,
    _: usize,
    base: *mut c_void,
) -> c_int {
    // SAFETY: the loader passes a live object, and `in_program` a place for its address.
    unsafe { base.cast::<usize>().write((*object).dlpi_addr as usize) };
    1
}
