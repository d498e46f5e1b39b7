//! Leads the slots of loaded objects to this library's stand-ins for functions by whose calls it
//! notices what it has to: a library that was preloaded is found first by everybody's search, and one
//! that came late is found by nobody's.
//!
//! * `dlsym` and `dlclose`: libraries come and go.
//! * `prctl`, `syscall`: the process shuts itself in, and the recorder must make no call any more
//!   that the filter may not know.
//! * `chroot`: children must have their ledgers before.
//!
//! Every slot that was changed is kept, and gets what was in it back.

use std::ffi::{CStr, c_void};

use crate::exclusive::Exclusive;
use crate::imports::{put, slots};
use crate::object::{self, Object};
use crate::pins::Pins;
use crate::{chroot, dlclose, dlsym, sandbox};

/// A slot that leads here.
struct Led {
    object: Object,
    slot: usize,
    /// What was in it, and is to be in it again.
    before: usize,
    stand_in: usize,
}

static LED: Exclusive<Vec<Led>> = Exclusive::none();

/// The functions, and what stands in for them. Not the exported ones of these names: for those,
/// this library itself would be given the C library's.
fn stand_ins() -> [(&'static CStr, *const c_void); 5] {
    [
        (c"dlsym", dlsym::stand_in as *const c_void),
        (c"dlclose", dlclose::stand_in as *const c_void),
        (c"prctl", sandbox::prctl_stand_in as *const c_void),
        (c"syscall", sandbox::syscall_stand_in as *const c_void),
        (c"chroot", chroot::stand_in as *const c_void),
    ]
}

/// Leads the slots of those objects that were not led before.
pub(super) fn lead(objects: &[Object]) {
    LED.with(|led| {
        let led = led.get_or_insert_default();
        for object in objects.iter().filter(|object| !object.is_own()) {
            if led.iter().any(|known| known.object.is_same_as(object)) {
                continue;
            }
            for (name, stand_in) in stand_ins() {
                for slot in slots(object, name) {
                    let Some(before) = object.read::<usize>(slot) else { continue };
                    let stand_in = stand_in as usize;
                    if put(object, slot, stand_in) {
                        led.push(Led { object: object.clone(), slot, before, stand_in });
                    }
                }
            }
        }
    });
}

/// Puts back what was in every slot, where the object is still loaded and the slot leads here.
pub(super) fn put_back() {
    let _pins = Pins::on(object::loaded().0.get(1..).unwrap_or_default());
    let (objects, _) = object::loaded();
    LED.with(|led| {
        for led in led.take().unwrap_or_default() {
            let object = objects.iter().find(|object| object.is_same_as(&led.object));
            if let Some(object) = object
                && object.read(led.slot) == Some(led.stand_in)
            {
                put(object, led.slot, led.before);
            }
        }
    });
}
