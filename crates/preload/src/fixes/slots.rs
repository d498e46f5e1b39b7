//! Leads the slots through which objects call `SSL_new` of a shared OpenSSL.

use crate::dynamic_symbols::DynamicSymbols;
use crate::fixes::openssl::{MOST, Openssl, Way};
use crate::fixes::reached::{keep, reached};
use crate::fixes::stand_ins;
use crate::imports::{put, slots};
use crate::object::Object;

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
