//! The OpenSSLs that the hooks were put into: a process may hold several. Each has a number, and
//! with it a set of hooks of its own, so that they are told apart without asking anything.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::InstallError;
use crate::function::AtomicFn;
use crate::heap::{self, Getter, MemoryFunctions, Setter};
use crate::hooks::{BELOW, SETS};
use crate::numbers::MOST_OPENSSLS;
use crate::sampling;

/// One OpenSSL of this process: below [`MOST_OPENSSLS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpensslNumber(u8);

/// The getter of each one, where it is known.
static GETTERS: [AtomicFn<Getter>; MOST_OPENSSLS] = [const { AtomicFn::none() }; MOST_OPENSSLS];
/// Numbers given.
static USED: AtomicUsize = AtomicUsize::new(0);

/// A number for one more OpenSSL, of which `own` are the functions that it allocates with by
/// itself, as far as they are known, and `get` its `CRYPTO_get_mem_functions`. Its allocations are
/// counted once [`OpensslNumber::put_into`] or [`OpensslNumber::hooks`] has come into it.
///
/// One thread at a time calls this.
///
/// # Errors
///
/// When no recorder is installed, or there are too many OpenSSLs.
pub fn add_openssl(
    get: Option<Getter>,
    own: MemoryFunctions,
) -> Result<OpensslNumber, InstallError> {
    if heap::current().is_none() {
        return Err(InstallError::NotInstalled);
    }
    let next = |used| (used < MOST_OPENSSLS).then_some(used + 1);
    let number = USED
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
        .map_err(|_| InstallError::TooMany(MOST_OPENSSLS))?;
    let number = OpensslNumber(number as u8);
    number.begin(get, own);
    Ok(number)
}

/// Whether there is one.
pub(crate) fn is_any() -> bool {
    USED.load(Ordering::Acquire) > 0
}

impl OpensslNumber {
    /// The instance in [`ledger::Site::source`].
    pub fn get(self) -> u8 {
        self.0
    }

    /// The number of this value, if there can be one.
    pub fn new(number: u8) -> Option<OpensslNumber> {
        (usize::from(number) < MOST_OPENSSLS).then_some(OpensslNumber(number))
    }

    /// Begins anew with another OpenSSL, in place of one that has been unloaded: the two are not
    /// told apart.
    pub fn begin(self, get: Option<Getter>, own: MemoryFunctions) {
        BELOW[self.index()].begin(own);
        GETTERS[self.index()].store(get, Ordering::Release);
    }

    /// Puts the hooks into this OpenSSL.
    ///
    /// # Errors
    ///
    /// When OpenSSL refuses them.
    ///
    /// # Safety
    ///
    /// `set` is the `CRYPTO_set_mem_functions` of this OpenSSL (1.1.0 or newer), and no other
    /// thread is calling it or allocating in this OpenSSL for the first time.
    pub unsafe fn put_into(self, set: Setter) -> Result<(), InstallError> {
        let MemoryFunctions { malloc, realloc, free } = self.hooks();
        // SAFETY: the caller's promise; the hooks keep the contract of OpenSSL's own.
        if unsafe { set(malloc, realloc, free) } == 0 {
            return Err(InstallError::Refused);
        }
        Ok(())
    }

    /// The hooks for this OpenSSL.
    pub fn hooks(self) -> MemoryFunctions {
        match sampling::current() {
            None => SETS[self.index()],
            Some(_) => sampling::hooks::SETS[self.index()],
        }
    }

    /// Gives the number back; its hooks are in no OpenSSL.
    pub fn give_back(self) {
        let number = self.index();
        GETTERS[number].store(None, Ordering::Release);
        // Should another have been given meanwhile, this one stays unused.
        let _ = USED.compare_exchange(number + 1, number, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Does with the program's own functions what OpenSSL by itself would do if it were asked to
    /// take them, and returns whether it would: before its first allocation they are put below
    /// the hooks, after it they are refused. `None` leaves a function as it is.
    pub fn set_below(self, functions: MemoryFunctions) -> bool {
        BELOW[self.index()].set(functions)
    }

    /// The functions that would be in this OpenSSL without the recorder: the program's, or
    /// OpenSSL's own.
    pub fn below(self) -> MemoryFunctions {
        BELOW[self.index()].functions()
    }

    /// Notes that this OpenSSL allocated with its own functions before the hooks came into it.
    pub fn has_allocated(self) {
        BELOW[self.index()].close();
    }

    /// Whether OpenSSL still calls the hooks; also `true` when it cannot be asked. Its object must
    /// still be loaded.
    pub fn is_in_place(self) -> bool {
        let get = GETTERS[self.index()].load(Ordering::Acquire);
        get.is_none_or(|get| {
            // SAFETY: the getter of an OpenSSL that is loaded.
            let now = unsafe { MemoryFunctions::of(get) };
            now.pointers() == self.hooks().pointers()
        })
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Every OpenSSL that can be asked still calls the hooks.
pub(crate) fn all_in_place() -> bool {
    let used = USED.load(Ordering::Acquire) as u8;
    (0..used).all(|number| OpensslNumber(number).is_in_place())
}
