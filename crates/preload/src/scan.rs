//! Looks through the loaded objects for OpenSSLs and puts the recorder into each.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ledger::{Found, Outcome, Way};
use recorder::{Getter, Setter};

use crate::dynamic_symbols::DynamicSymbols;
use crate::object::{self, Changes, Object};
use crate::report::Report;
use crate::symbol_table;

/// What is looked for.
pub(crate) const SETTER: &CStr = c"CRYPTO_set_mem_functions";
const GETTER: &CStr = c"CRYPTO_get_mem_functions";
const VERSION: &CStr = c"OpenSSL_version";
/// OpenSSL has this function since 1.1.0. Before that, memory functions were given no file and
/// line, and must not be put in.
const SINCE_1_1: &CStr = c"CRYPTO_zalloc";

/// What the scan knows; there is one for the process.
struct State {
    report: Report,
    /// Program headers of the objects that were looked at.
    seen: Vec<usize>,
    /// Setters of the OpenSSLs that are recorded.
    recorded: Vec<usize>,
    subs: u64,
}

/// The state, for one thread at a time.
struct Shared {
    /// Kernel id of the thread that is at it.
    owner: AtomicU32,
    state: UnsafeCell<Option<State>>,
}

// SAFETY: `state` is touched only by the thread whose id is in `owner`.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared { owner: AtomicU32::new(0), state: UnsafeCell::new(None) };
/// The loader's counters at the last scan.
static ADDS: AtomicU64 = AtomicU64::new(0);
/// There is a state.
static READY: AtomicBool = AtomicBool::new(false);

/// The first scan.
pub(crate) fn begin(report: Report) {
    let state = State { report, seen: Vec::new(), recorded: Vec::new(), subs: 0 };
    SHARED.with(|shared| *shared = Some(state));
    READY.store(true, Ordering::Release);
    look_for_new();
}

/// Scans again if the loader has loaded anything since the last time.
pub(crate) fn look_for_new() {
    if !READY.load(Ordering::Acquire) || object::changes().adds == ADDS.load(Ordering::Acquire) {
        return;
    }
    // Outside the lock: a thread that holds the loader's lock may be waiting for ours.
    let (objects, changes) = object::loaded();
    SHARED.with(|state| {
        if let Some(state) = state {
            state.look_at(&objects, changes);
        }
    });
    recorder::note_new_modules();
    ADDS.fetch_max(changes.adds, Ordering::AcqRel);
}

/// Calls `with` with the report of this process.
pub(crate) fn with_report(with: impl FnOnce(&mut Report)) {
    SHARED.with(|state| {
        if let Some(state) = state {
            with(&mut state.report);
        }
    });
}

/// The OpenSSL with this setter has the recorder in it.
pub(crate) fn is_recorded(setter: usize) -> bool {
    let mut recorded = false;
    SHARED.with(|state| {
        recorded = state.as_ref().is_some_and(|state| state.recorded.contains(&setter));
    });
    recorded
}

/// In a forked child: a thread that was scanning is not there, and what it was changing cannot
/// be used.
pub(crate) unsafe extern "C" fn after_fork() {
    if SHARED.owner.load(Ordering::Relaxed) != 0 {
        READY.store(false, Ordering::Relaxed);
    }
}

/// What the object is called in reports.
pub(crate) fn name(object: &Object) -> String {
    let path = std::fs::canonicalize(&object.path).unwrap_or_else(|_| object.path.clone());
    path.display().to_string()
}

impl Shared {
    /// Calls `with` when no other thread is at the state. A thread that is at it already, and a
    /// child of a process in which one was, goes on without.
    fn with(&self, with: impl FnOnce(&mut Option<State>)) {
        // SAFETY: no argument, no effect.
        let own = unsafe { libc::gettid() } as u32;
        loop {
            match self.owner.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(owner) if owner == own => return,
                Err(owner) if is_gone(owner) => return,
                Err(_) => std::thread::yield_now(),
            }
        }
        // SAFETY: this thread is the owner.
        with(unsafe { &mut *self.state.get() });
        self.owner.store(0, Ordering::Release);
    }
}

/// The thread is not in this process.
fn is_gone(thread: u32) -> bool {
    // SAFETY: signal 0 is not sent; the call only asks whether the thread exists.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) != 0 }
}

impl State {
    fn look_at(&mut self, objects: &[Object], changes: Changes) {
        if changes.subs != self.subs {
            // An object may have come to the place of one that has gone.
            self.seen.clear();
            recorder::note_unloading();
            self.subs = changes.subs;
        }
        for object in objects {
            if !self.seen.contains(&object.headers) {
                self.seen.push(object.headers);
                self.look_into(object);
            }
        }
        if changes.subs == 0 {
            // A getter may be gone once objects are.
            recorder::check_in_place();
        }
    }

    fn look_into(&mut self, object: &Object) {
        if object.is_own() {
            return;
        }
        let Some(openssl) = exported(object).or_else(|| in_symbol_table(object)) else { return };
        if self.recorded.contains(&openssl.setter) {
            return;
        }
        if openssl.since_1_1.is_none() {
            let name = name(object);
            self.report.problem(format!("{name} has an OpenSSL older than 1.1.0: not recorded"));
            return;
        }
        let hooked = openssl.hook();
        if hooked {
            self.recorded.push(openssl.setter);
        }
        self.report.found(Found {
            object: name(object),
            version: openssl.version(),
            way: openssl.way,
            outcome: if hooked { Outcome::Recorded } else { Outcome::Refused },
        });
    }
}

/// Addresses of the functions of one OpenSSL.
struct Openssl {
    way: Way,
    setter: usize,
    getter: Option<usize>,
    version: Option<usize>,
    since_1_1: Option<usize>,
}

fn exported(object: &Object) -> Option<Openssl> {
    let symbols = DynamicSymbols::of(object)?;
    Some(Openssl {
        way: Way::Exported,
        setter: symbols.function(SETTER)?,
        getter: symbols.function(GETTER),
        version: symbols.function(VERSION),
        since_1_1: symbols.function(SINCE_1_1),
    })
}

fn in_symbol_table(object: &Object) -> Option<Openssl> {
    let names = [SETTER, GETTER, VERSION, SINCE_1_1].map(CStr::to_bytes);
    let [setter, getter, version, since_1_1] = symbol_table::functions(object, names)?;
    Some(Openssl { way: Way::SymbolTable, setter: setter?, getter, version, since_1_1 })
}

impl Openssl {
    /// Puts the recorder in; `false` when this OpenSSL does not take it.
    fn hook(&self) -> bool {
        // SAFETY: addresses of the functions with these names in an OpenSSL since 1.1.0, which
        // have these types.
        let (set, get) = unsafe {
            (
                std::mem::transmute::<usize, Setter>(self.setter),
                self.getter.map(|getter| std::mem::transmute::<usize, Getter>(getter)),
            )
        };
        // SAFETY: both are of one OpenSSL. Another thread that uses it for the first time right
        // now is possible only for a library that was loaded moments ago, whose loader has not
        // yet come back with its first symbol.
        unsafe { recorder::hook(set, get) }.is_ok()
    }

    /// What it says of itself; a text in its data, without any initialisation.
    fn version(&self) -> String {
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
