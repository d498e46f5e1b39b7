//! One OpenSSL that fixes reach: the functions of it that settings need.

use std::ffi::{CStr, c_int, c_long, c_void};
use std::sync::atomic::AtomicU32;

use finder::Elf;
use recorder::{FunctionPointer, function_at};

use crate::dynamic_symbols::DynamicSymbols;
use crate::fixes::jump;
use crate::mapped_file::MappedFile;
use crate::object::Object;
use crate::openssl;

/// More OpenSSLs than any process has.
pub(crate) const MOST: usize = 8;

pub(super) type New = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
pub(super) type NewContext =
    unsafe extern "C" fn(*mut c_void, *const libc::c_char, *const c_void) -> *mut c_void;
pub(super) type Control = unsafe extern "C" fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long;
pub(super) type SetOptions = unsafe extern "C" fn(*mut c_void, u64) -> u64;
pub(super) type SetTickets = unsafe extern "C" fn(*mut c_void, usize) -> c_int;
pub(super) type Methods = unsafe extern "C" fn() -> *mut c_void;
pub(super) type Empty = unsafe extern "C" fn(*mut c_void);

/// How connections are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Slots through which others call `SSL_new`.
    Slots,
    /// A jump over `SSL_CTX_new`.
    Jump,
}

impl Way {
    /// The way as the report says it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Way::Slots => "the slots that lead to SSL_new",
            Way::Jump => "a jump over SSL_CTX_new",
        }
    }
}

/// Functions of one OpenSSL; those of libcrypto may be another object's. Which they are depends on
/// the way: those for a connection, or those for a context.
#[derive(Clone)]
pub(super) struct Openssl {
    pub way: Way,
    /// What the object is called.
    pub object: String,
    /// `SSL_new`, which the stand-in calls, or `SSL_CTX_new`, over which it lies.
    pub new: usize,
    /// `SSL_CTX_new_ex`, which the stand-in calls.
    pub new_context: Option<NewContext>,
    /// `SSL_ctrl` or `SSL_CTX_ctrl`.
    pub control: Option<Control>,
    /// `SSL_CTX_ctrl`.
    pub control_context: Option<Control>,
    /// `SSL_set_options` or `SSL_CTX_set_options`.
    pub set_options: Option<SetOptions>,
    /// `SSL_set_num_tickets` or `SSL_CTX_set_num_tickets`; since 1.1.1.
    pub set_tickets: Option<SetTickets>,
    /// `SSL_COMP_get_compression_methods`.
    pub compression_methods: Option<Methods>,
    /// `OPENSSL_sk_zero`.
    pub empty_stack: Option<Empty>,
    /// One bit for each fix that the report tells of.
    pub reported: std::sync::Arc<AtomicU32>,
}

/// What a context needs, in this order.
const OF_CONTEXTS: [&str; 7] = [
    "SSL_CTX_new",
    "SSL_CTX_new_ex",
    "SSL_CTX_ctrl",
    "SSL_CTX_set_options",
    "SSL_CTX_set_num_tickets",
    "SSL_COMP_get_compression_methods",
    "OPENSSL_sk_zero",
];

impl Openssl {
    /// The OpenSSL that `object` has in itself, if it has one that can be reached by a jump, or
    /// why it cannot.
    pub(super) fn linked_into(object: &Object) -> Result<Option<Openssl>, &'static str> {
        let Some(file) = MappedFile::open(&object.path) else { return Ok(None) };
        let Ok(elf) = Elf::parse(file.bytes()) else { return Ok(None) };
        let found = finder::functions(&elf, OF_CONTEXTS);
        let Some(new) = found[0] else { return Ok(None) };
        let [own, new_context, control, set_options, set_tickets, methods, empty] =
            found.map(|address| address.and_then(|it| openssl::function(object, &elf, it)));
        if !jump::ON_THIS_PROCESSOR {
            return Err("jumps are written for x86-64 only");
        }
        let own = own.ok_or("SSL_CTX_new is not in memory as it is in the file")?;
        let new_context =
            new_context.ok_or("there is no SSL_CTX_new_ex: OpenSSL is older than 3.0")?;
        if finder::room(&elf, new).is_none_or(|room| room < jump::BYTES as u64) {
            return Err("SSL_CTX_new is too short for a jump");
        }
        // SAFETY: addresses of the functions with these names in an OpenSSL since 3.0, which have
        // these types.
        unsafe {
            Ok(Some(Openssl {
                way: Way::Jump,
                object: object.name(),
                new: own,
                new_context: function_at(new_context),
                control: function(control),
                control_context: function(control),
                set_options: function(set_options),
                set_tickets: function(set_tickets),
                compression_methods: function(methods),
                empty_stack: function(empty),
                reported: std::sync::Arc::default(),
            }))
        }
    }

    /// The OpenSSL whose `SSL_new` others get from `library`.
    pub(super) fn shared(library: &Object, objects: &[&Object]) -> Option<Openssl> {
        let own = DynamicSymbols::of(library)?;
        let anywhere = |name: &CStr| {
            let elsewhere =
                || objects.iter().find_map(|object| DynamicSymbols::of(object)?.function(name));
            own.function(name).or_else(elsewhere)
        };
        // SAFETY: addresses of the functions with these names in an OpenSSL, which have these
        // types since 1.1.0.
        unsafe {
            Some(Openssl {
                way: Way::Slots,
                object: library.name(),
                new: own.function(c"SSL_new")?,
                new_context: None,
                control: function(own.function(c"SSL_ctrl")),
                control_context: function(own.function(c"SSL_CTX_ctrl")),
                set_options: function(own.function(c"SSL_set_options")),
                set_tickets: function(own.function(c"SSL_set_num_tickets")),
                compression_methods: function(own.function(c"SSL_COMP_get_compression_methods")),
                empty_stack: function(anywhere(c"OPENSSL_sk_zero")),
                reported: std::sync::Arc::default(),
            })
        }
    }

    /// Whether the two are one function of one object.
    pub(super) fn is_same_as(&self, other: &Openssl) -> bool {
        (self.way, self.new, &self.object) == (other.way, other.new, &other.object)
    }
}

/// # Safety
///
/// The address is that of a function of this type.
unsafe fn function<F: FunctionPointer>(address: Option<usize>) -> Option<F> {
    // SAFETY: the caller's promise.
    address.and_then(|it| unsafe { function_at(it) })
}
