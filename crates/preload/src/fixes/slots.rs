//! Leads the slots through which objects call `SSL_new` of a shared OpenSSL.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::dynamic_symbols::DynamicSymbols;
use crate::fixes::openssl::{MOST, Openssl, Way};
use crate::fixes::reached::{keep, reached};
use crate::fixes::stand_ins;
use crate::imports::slots;
use crate::object::Object;
use crate::page;

/// Leads every slot for `SSL_new` in `objects` to the stand-in for its OpenSSL.
pub(super) fn lead(objects: &[&Object]) {
    let own = |object: &Object| DynamicSymbols::of(object)?.function(c"SSL_new");
    let libraries: Vec<(&Object, usize)> =
        objects.iter().filter_map(|object| Some((*object, own(object)?))).collect();
    if libraries.is_empty() {
        return;
    }
    for object in objects {
        for slot in slots(object, c"SSL_new") {
            let Some(there) = object.read::<usize>(slot) else { continue };
            // Not resolved yet, a slot leads back into its own object: to the only one that there
            // is, or to nobody knows which.
            let mut meant = libraries.iter().filter(|(_, new)| *new == there);
            let found = meant.next().or(match libraries.as_slice() {
                [only] if object.holds_code(there, 1) => Some(only),
                _ => None,
            });
            let Some((library, new)) = found else { continue };
            let is_it = |known: &Openssl| known.way == Way::Slots && known.new == *new;
            let known = (0..MOST).find(|at| reached(*at).is_some_and(is_it));
            // What it calls itself is led once somebody else calls it: a program that asks `dlsym`
            // is reached in the other way.
            let others = !std::ptr::eq(*object, *library);
            let at = known.or_else(|| keep(&Openssl::shared(library, objects).filter(|_| others)?));
            if let Some(at) = at {
                put(object, slot, stand_ins::new(at));
            }
        }
    }
}

/// Stores `address` in the slot, which the loader may have made read-only.
fn put(object: &Object, slot: usize, address: usize) -> bool {
    if !slot.is_multiple_of(align_of::<usize>()) || !object.holds(slot, size_of::<usize>()) {
        return false;
    }
    let page = page::size();
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
