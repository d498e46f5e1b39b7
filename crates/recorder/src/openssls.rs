//! The OpenSSLs that the hooks were put into: a process may hold several.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use crate::heap::{FreeFn, Getter, MallocFn, ReallocFn, Setter};
use crate::hooks;
use crate::install::InstallError;

/// OpenSSLs that can be told apart. Two in one process are known to happen.
const MOST: usize = 32;

/// Where each one's getter is; the first `USED` entries, of which the newest may still be NULL.
static GETTERS: [AtomicPtr<()>; MOST] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST];
static USED: AtomicUsize = AtomicUsize::new(0);

/// Puts the hooks into one OpenSSL.
///
/// # Safety
///
/// `set` and `get` are those of one OpenSSL (1.1.0 or newer) of this process, and no other thread
/// is calling `set`. The heap below the hooks is published.
pub(crate) unsafe fn hook(set: Setter, get: Option<Getter>) -> Result<(), InstallError> {
    // SAFETY: the caller's promise that this is CRYPTO_set_mem_functions; ours keep its contract.
    let taken = unsafe { set(Some(hooks::malloc), Some(hooks::realloc), Some(hooks::free)) };
    if taken == 0 {
        return Err(InstallError::Refused);
    }
    if let Some(get) = get
        && let Some(place) = GETTERS.get(USED.fetch_add(1, Ordering::AcqRel))
    {
        place.store(get as *mut (), Ordering::Release);
    }
    Ok(())
}

/// Every OpenSSL that can be asked still calls the hooks.
pub(crate) fn all_in_place() -> bool {
    let used = USED.load(Ordering::Acquire).min(MOST);
    GETTERS[..used].iter().map(|place| place.load(Ordering::Acquire)).all(|get| {
        // SAFETY: what `hook` stored: a getter, or NULL, which is None.
        let get = unsafe { std::mem::transmute::<*mut (), Option<Getter>>(get) };
        get.is_none_or(calls_the_hooks)
    })
}

fn calls_the_hooks(get: Getter) -> bool {
    let (mut malloc, mut realloc, mut free) = (None, None, None);
    // SAFETY: the getter that `hook` was promised; it stores three function pointers.
    unsafe {
        get(&raw mut malloc, &raw mut realloc, &raw mut free);
    }
    malloc.map(|f: MallocFn| f as usize) == Some(hooks::malloc as *const () as usize)
        && realloc.map(|f: ReallocFn| f as usize) == Some(hooks::realloc as *const () as usize)
        && free.map(|f: FreeFn| f as usize) == Some(hooks::free as *const () as usize)
}
