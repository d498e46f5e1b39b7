//! Leads the slots of loaded objects to this library's functions: a library that was preloaded is
//! found first by everybody's search, and one that came late is found by nobody's.
//!
//! * `dlopen`, `dlsym` and `dlclose`: libraries come and go.
//! * `prctl`, `syscall`: the process shuts itself in, and the recorder must make no call any more
//!   that the filter may not know.
//! * `chroot`: children must have their ledgers before.
//! * Where the whole process is recorded, the malloc family and what maps memory (`families`).
//!
//! Every slot that was changed is kept, and gets what was in it back.

use std::collections::HashMap;
use std::ffi::CStr;

use super::families::{self, Families};
use crate::exclusive::Exclusive;
use crate::imports::{Import, Kind, Of, imports, put};
use crate::object::{self, Object};
use crate::pins::Pins;
use crate::{chroot, dlclose, dlopen, dlsym, sandbox, thread_attributes};

/// What is known of slots.
#[derive(Default)]
struct Slots {
    /// Objects that were looked at.
    seen: Vec<Object>,
    /// Slots that lead here, in the order in which they were led.
    led: Vec<Led>,
    /// Where the whole process is recorded.
    families: Option<Families>,
}

/// A slot that leads here.
struct Led {
    object: Object,
    slot: usize,
    /// What was in it, and is to be in it again.
    before: usize,
    stand_in: usize,
}

static SLOTS: Exclusive<Slots> = Exclusive::none();

/// A function, and what stands in for it.
struct StandIn {
    name: &'static CStr,
    address: usize,
    /// Where a slot has to lead for that; `None` where any may be led.
    real: Option<usize>,
}

/// Not the exported ones of these names: for those, this library itself would be given the C
/// library's. In the order in which they are led.
fn stand_ins(families: Option<&Families>) -> Vec<StandIn> {
    let any = |name, address| StandIn { name, address, real: None };
    let mut all = vec![
        any(c"dlsym", dlsym::stand_in as *const () as usize),
        any(c"dlclose", dlclose::stand_in as *const () as usize),
        any(c"prctl", sandbox::prctl_stand_in as *const () as usize),
        any(c"syscall", sandbox::syscall_stand_in as *const () as usize),
        any(c"chroot", chroot::stand_in as *const () as usize),
    ];
    // A stand-in of somebody else's goes on to the real one as it does by itself.
    all.extend(dlopen::address().map(|real| StandIn {
        name: c"dlopen",
        address: dlopen::stand_in as *const () as usize,
        real: Some(real),
    }));
    if let Some(families) = families {
        all.push(any(c"pthread_getattr_np", thread_attributes::stand_in as *const () as usize));
        all.extend(families.functions.iter().map(|named| StandIn {
            name: named.name,
            address: named.counted,
            real: Some(named.real),
        }));
    }
    all
}

/// From now on the malloc family is led as well.
pub(super) fn begin(families: Option<Families>) {
    SLOTS.with(|slots| slots.get_or_insert_default().families = families);
}

/// Leads the slots of those objects that were not looked at before.
pub(super) fn lead(objects: &[Object]) {
    SLOTS.with(|slots| slots.get_or_insert_default().lead(objects));
}

impl Slots {
    fn lead(&mut self, objects: &[Object]) {
        self.forget_unloaded(objects);
        let stand_ins = stand_ins(self.families.as_ref());
        let names: Vec<&CStr> = stand_ins.iter().map(|stand_in| stand_in.name).collect();
        let is_new = |object: &&Object| {
            !object.is_own() && !self.seen.iter().any(|known| known.is_same_as(object))
        };
        let new: Vec<&Object> = objects.iter().filter(is_new).collect();
        let found: Vec<(&Object, Vec<Import>)> = new
            .iter()
            .map(|object| {
                let of = if families::is_c_library(object) { Of::All } else { Of::Others };
                (*object, imports(object, &names, of))
            })
            .collect();
        let first = self.led.len();
        // Function by function, so that what is given by one object is taken back by all.
        for (at, stand_in) in stand_ins.iter().enumerate() {
            for (object, imports) in &found {
                for import in imports.iter().filter(|import| import.name == at) {
                    self.lead_one(object, *import, stand_in);
                }
            }
        }
        // The loader may have filled one for another thread at that moment.
        for led in &self.led[first..] {
            if led.object.read(led.slot) != Some(led.stand_in) {
                put(&led.object, led.slot, led.stand_in);
            }
        }
        self.seen.extend(new.into_iter().cloned());
    }

    /// Forgets objects that are not loaded any more, and those that were unloaded and have come back
    /// to their places: of these, no slot leads here.
    fn forget_unloaded(&mut self, objects: &[Object]) {
        let Slots { seen, led, .. } = self;
        let mut by_object: HashMap<usize, Vec<&Led>> = HashMap::new();
        for it in &*led {
            by_object.entry(it.object.headers).or_default().push(it);
        }
        seen.retain(|known| {
            let led = by_object.get(&known.headers).map_or(&[][..], Vec::as_slice);
            let now = objects.iter().find(|object| object.is_same_as(known));
            now.is_some_and(|now| {
                let leads_here = |it: &&Led| now.read(it.slot) == Some(it.stand_in);
                led.is_empty() || led.iter().any(leads_here)
            })
        });
        led.retain(|it| seen.iter().any(|known| known.is_same_as(&it.object)));
    }

    fn lead_one(&mut self, object: &Object, import: Import, stand_in: &StandIn) {
        let Some(before) = object.read::<usize>(import.slot) else { return };
        let is_unfilled = import.kind == Kind::Called && object.holds_code(before, 1);
        let is_meant = match stand_in.real {
            None => import.kind != Kind::Variable && !families::is_c_library(object),
            Some(real) => {
                let families = self.families.as_ref();
                !families.is_some_and(|it| it.is_allocator(object))
                    && (before == real || is_unfilled)
            }
        };
        if is_meant && put(object, import.slot, stand_in.address) {
            let (object, stand_in) = (object.clone(), stand_in.address);
            self.led.push(Led { object, slot: import.slot, before, stand_in });
        }
    }
}

/// Puts back what was in every slot, where the object is still loaded and the slot leads here.
pub(super) fn put_back() {
    let _pins = Pins::on(object::loaded().0.get(1..).unwrap_or_default());
    let (objects, _) = object::loaded();
    SLOTS.with(|slots| {
        // What gives comes before what takes back.
        for led in slots.take().unwrap_or_default().led.into_iter().rev() {
            let object = objects.iter().find(|object| object.is_same_as(&led.object));
            if let Some(object) = object
                && object.read(led.slot) == Some(led.stand_in)
            {
                put(object, led.slot, led.before);
            }
        }
    });
}
