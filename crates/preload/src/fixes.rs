//! Fixes from outside, for `tlsheap what-if`: settings for every connection that a program makes.
//!
//! Whoever calls `SSL_new` of a shared OpenSSL gets there through a slot of its own. With fixes
//! wanted, those slots lead here: the connection is made by OpenSSL, and then given the settings.
//! Without the variable, nothing of this happens. A program with OpenSSL linked into it, or one
//! that asks `dlsym` for the function, is not reached, and nothing is reported.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::fs::File;
use std::io::Write;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::dynamic_symbols::DynamicSymbols;
use crate::imports::slots;
use crate::object::Object;

/// The variable that names the fixes, with commas between.
pub const FIXES: &str = "TLSHEAP_FIXES";

/// The variable that names a file, to which a line is added when a process makes its first
/// connection with the fixes.
pub const REPORT: &str = "TLSHEAP_FIXES_REPORT";

/// What is wanted; none without the variable.
static WANTED: OnceLock<Wanted> = OnceLock::new();

/// The OpenSSL whose connections are fixed.
static OPENSSL: OnceLock<Openssl> = OnceLock::new();

static REPORTED: AtomicBool = AtomicBool::new(false);

struct Wanted {
    fixes: Vec<Fix>,
    report: Option<PathBuf>,
}

/// One setting of a connection, as OpenSSL's headers number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fix {
    ReleaseBuffers,
    NoCompression,
    EmptyCompressionMethods,
    NoMlkem,
    SmallFragments,
    NoSessionCache,
    NoTickets,
}

impl Fix {
    fn named(name: &str) -> Option<Fix> {
        Some(match name {
            "release-buffers" => Fix::ReleaseBuffers,
            "no-compression" => Fix::NoCompression,
            "empty-compression-methods" => Fix::EmptyCompressionMethods,
            "no-mlkem" => Fix::NoMlkem,
            "small-fragments" => Fix::SmallFragments,
            "no-session-cache" => Fix::NoSessionCache,
            "no-tickets" => Fix::NoTickets,
            _ => return None,
        })
    }
}

type Ssl = c_void;
type New = unsafe extern "C" fn(*mut c_void) -> *mut Ssl;
type Control = unsafe extern "C" fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long;
type SetOptions = unsafe extern "C" fn(*mut Ssl, u64) -> u64;
type SetTickets = unsafe extern "C" fn(*mut Ssl, usize) -> c_int;
type Methods = unsafe extern "C" fn() -> *mut c_void;
type Empty = unsafe extern "C" fn(*mut c_void);

/// Functions of one OpenSSL; those of libcrypto may be another object's.
struct Openssl {
    new: New,
    control: Control,
    control_context: Control,
    set_options: SetOptions,
    /// Since 1.1.1.
    set_tickets: Option<SetTickets>,
    compression_methods: Option<Methods>,
    empty_stack: Option<Empty>,
    /// Only counts how many slots lead here, for those who look with a debugger.
    slots: AtomicUsize,
}

const SSL_CTRL_MODE: c_int = 33;
const SSL_MODE_RELEASE_BUFFERS: c_long = 0x10;
const SSL_CTRL_SET_SESS_CACHE_MODE: c_int = 44;
const SSL_SESS_CACHE_OFF: c_long = 0;
const SSL_CTRL_SET_MAX_SEND_FRAGMENT: c_int = 52;
const SMALL: c_long = 4_096;
const SSL_CTRL_SET_GROUPS_LIST: c_int = 92;
const GROUPS: &CStr = c"X25519:P-256";
const SSL_OP_NO_COMPRESSION: u64 = 1 << 17;

/// Reads what is wanted: programs overwrite their environment.
pub(crate) fn begin() {
    let Ok(names) = std::env::var(FIXES) else { return };
    let fixes: Vec<Fix> = names.split(',').filter_map(Fix::named).collect();
    if !fixes.is_empty() {
        let report = std::env::var_os(REPORT).map(PathBuf::from);
        let _ = WANTED.set(Wanted { fixes, report });
    }
}

/// Leads every slot for `SSL_new` in `objects` here, if anything is wanted.
pub(crate) fn reach(objects: &[Object]) {
    if WANTED.get().is_none() {
        return;
    }
    let function = |object: &Object, name: &CStr| DynamicSymbols::of(object)?.function(name);
    // A program that has OpenSSL in itself exports it at times; its own calls have no slots.
    let mut openssls =
        objects.iter().filter(|object| !object.is_own() && function(object, c"SSL_new").is_some());
    let Some(library) = openssls.next() else { return };
    let Some(openssl) = OPENSSL.get().or_else(|| {
        let found = Openssl::find(library, objects)?;
        Some(OPENSSL.get_or_init(|| found))
    }) else {
        return;
    };
    for object in objects.iter().filter(|object| !object.is_own()) {
        for slot in slots(object, c"SSL_new") {
            let there: Option<usize> = object.read(slot);
            // Not resolved yet, a slot leads back into its own object; else to this OpenSSL or to
            // another, whose functions are not ours to call.
            let is_ours = there
                .is_some_and(|there| there == openssl.new as usize || object.holds_code(there, 1));
            if is_ours && lead(object, slot, new as *const () as usize) {
                openssl.slots.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Openssl {
    fn find(library: &Object, objects: &[Object]) -> Option<Openssl> {
        let own = DynamicSymbols::of(library)?;
        let anywhere = |name: &CStr| {
            own.function(name).or_else(|| {
                objects
                    .iter()
                    .filter(|object| !object.is_own())
                    .find_map(|object| DynamicSymbols::of(object)?.function(name))
            })
        };
        // SAFETY: addresses of the functions with these names in an OpenSSL, which have these
        // types since 1.1.0.
        unsafe {
            Some(Openssl {
                new: std::mem::transmute::<usize, New>(own.function(c"SSL_new")?),
                control: std::mem::transmute::<usize, Control>(own.function(c"SSL_ctrl")?),
                control_context: std::mem::transmute::<usize, Control>(
                    own.function(c"SSL_CTX_ctrl")?,
                ),
                set_options: std::mem::transmute::<usize, SetOptions>(
                    own.function(c"SSL_set_options")?,
                ),
                set_tickets: own
                    .function(c"SSL_set_num_tickets")
                    .map(|it| std::mem::transmute::<usize, SetTickets>(it)),
                compression_methods: own
                    .function(c"SSL_COMP_get_compression_methods")
                    .map(|it| std::mem::transmute::<usize, Methods>(it)),
                empty_stack: anywhere(c"OPENSSL_sk_zero")
                    .map(|it| std::mem::transmute::<usize, Empty>(it)),
                slots: AtomicUsize::new(0),
            })
        }
    }
}

/// Stores `address` in the slot, which the loader may have made read-only.
fn lead(object: &Object, slot: usize, address: usize) -> bool {
    if !slot.is_multiple_of(align_of::<usize>()) || !object.holds(slot, size_of::<usize>()) {
        return false;
    }
    // SAFETY: sysconf only reads.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.cast_unsigned() as usize;
    let start = slot & !(page - 1);
    let sealed = !object.is_variable(slot);
    let protect = |access: c_int| {
        // SAFETY: one page of the object's data, which stays readable throughout.
        unsafe { libc::mprotect(start as *mut c_void, page, access) == 0 }
    };
    if sealed && !protect(libc::PROT_READ | libc::PROT_WRITE) {
        return false;
    }
    // SAFETY: a slot of the object, aligned, and writable now. Another thread that calls through
    // it at this moment finds the one address or the other, and both are functions of this type.
    unsafe { &*(slot as *const AtomicUsize) }.store(address, Ordering::Release);
    if sealed {
        protect(libc::PROT_READ);
    }
    true
}

/// In place of `SSL_new`: the connection is OpenSSL's, the settings are ours.
unsafe extern "C" fn new(context: *mut c_void) -> *mut Ssl {
    // Slots lead here only once this is set.
    let Some(openssl) = OPENSSL.get() else { return std::ptr::null_mut() };
    let _ = catch_unwind(|| before(openssl, context));
    // SAFETY: the caller's argument, passed on.
    let made = unsafe { (openssl.new)(context) };
    if !made.is_null() {
        let _ = catch_unwind(|| after(openssl, made));
    }
    made
}

/// Settings of the context and of the process.
fn before(openssl: &Openssl, context: *mut c_void) {
    let Some(wanted) = WANTED.get() else { return };
    for fix in &wanted.fixes {
        match fix {
            Fix::NoSessionCache if !context.is_null() => {
                let (control, off) = (SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF);
                // SAFETY: a live context, and a control that takes a number.
                unsafe {
                    (openssl.control_context)(context, control, off, std::ptr::null_mut());
                }
            }
            Fix::EmptyCompressionMethods => {
                if let (Some(methods), Some(empty)) =
                    (openssl.compression_methods, openssl.empty_stack)
                {
                    // SAFETY: OpenSSL's own stack or NULL, which is passed over.
                    unsafe { empty(methods()) };
                }
            }
            _ => {}
        }
    }
}

/// Settings of the connection.
fn after(openssl: &Openssl, made: *mut Ssl) {
    let Some(wanted) = WANTED.get() else { return };
    let control = |number: c_int, value: c_long, pointer: *mut c_void| {
        // SAFETY: a live connection, and a control with the argument that it takes.
        unsafe { (openssl.control)(made, number, value, pointer) }
    };
    let nothing = std::ptr::null_mut();
    for fix in &wanted.fixes {
        match fix {
            Fix::ReleaseBuffers => {
                control(SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, nothing);
            }
            Fix::NoCompression => {
                // SAFETY: a live connection.
                unsafe { (openssl.set_options)(made, SSL_OP_NO_COMPRESSION) };
            }
            Fix::NoMlkem => {
                control(SSL_CTRL_SET_GROUPS_LIST, 0, GROUPS.as_ptr().cast_mut().cast());
            }
            Fix::SmallFragments => {
                control(SSL_CTRL_SET_MAX_SEND_FRAGMENT, SMALL, nothing);
            }
            Fix::NoTickets => {
                if let Some(set) = openssl.set_tickets {
                    // SAFETY: a live connection.
                    unsafe { set(made, 0) };
                }
            }
            Fix::NoSessionCache | Fix::EmptyCompressionMethods => {}
        }
    }
    if !REPORTED.swap(true, Ordering::Relaxed)
        && let Some(path) = &wanted.report
    {
        let line = format!("{}\n", std::process::id());
        let open = File::options().append(true).create(true).open(path);
        // Who asked for the fixes sees that the line is missing.
        let _ = open.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fix_has_its_own_name() {
        let names = [
            "release-buffers",
            "no-compression",
            "empty-compression-methods",
            "no-mlkem",
            "small-fragments",
            "no-session-cache",
            "no-tickets",
        ];
        let fixes: Vec<Option<Fix>> = names.into_iter().map(Fix::named).collect();
        assert!(fixes.iter().all(Option::is_some));
        assert_eq!(Fix::named("shared-context"), None);
    }
}
