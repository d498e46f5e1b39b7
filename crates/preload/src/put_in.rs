//! Puts the recorder into an OpenSSL: through its setter, or, where there is none or it refuses, by
//! writing its variables.

use std::sync::atomic::{AtomicPtr, Ordering};

use contract::Outcome;
use recorder::{InstallError, OpensslNumber, Setter, function_at};

use crate::object::Object;
use crate::openssl::{LoadedVariables, Openssl};

/// What came of it.
pub(crate) struct PutIn {
    /// The OpenSSL's number, if it is recorded.
    pub number: Option<OpensslNumber>,
    pub outcome: Outcome,
    /// The places of its variables, where they were written.
    pub places: Option<[usize; 3]>,
}

impl PutIn {
    fn not(outcome: Outcome) -> PutIn {
        PutIn { number: None, outcome, places: None }
    }
}

/// Puts the recorder into the OpenSSL in `object`, under the number `again` if there is one.
pub(crate) fn put_in(
    openssl: &Openssl,
    object: &Object,
    again: Option<OpensslNumber>,
    objects: &[Object],
) -> Result<PutIn, InstallError> {
    let now = openssl.functions_now();
    let own = openssl.own_functions(now, objects);
    let number = match again {
        Some(number) => {
            number.begin(openssl.getter(), own);
            number
        }
        None => recorder::add_openssl(openssl.getter(), own)?,
    };
    let chained = now.pointers() != own.pointers();
    if chained {
        // They came before us, and OpenSSL goes on allocating with them.
        number.set_below(now);
    }
    if openssl.setter.is_some_and(|setter| takes(setter, number)) {
        let outcome = if chained { Outcome::Chained } else { Outcome::Recorded };
        return Ok(PutIn { number: Some(number), outcome, places: None });
    }
    let Some(variables) = openssl.variables(object) else {
        number.give_back();
        return Ok(PutIn::not(match openssl.setter {
            Some(_) => Outcome::Refused,
            None => Outcome::Unreachable,
        }));
    };
    write(&variables, number);
    let (number, places) = (Some(number), Some(variables.places));
    // What cannot be seen may have been allocated.
    if openssl.setter.is_none() && variables.has_allocated == Some(false) {
        return Ok(PutIn { number, outcome: Outcome::Recorded, places });
    }
    number.into_iter().for_each(OpensslNumber::has_allocated);
    Ok(PutIn { number, outcome: Outcome::Late, places })
}

/// Calls the setter.
fn takes(setter: usize, number: OpensslNumber) -> bool {
    // SAFETY: the address of the function of this name in an OpenSSL since 1.1.0, which has this
    // type.
    let Some(set) = (unsafe { function_at::<Setter>(setter) }) else { return false };
    // SAFETY: the setter of this OpenSSL. That no other thread allocates in it for the first time
    // right now is likely and not certain: nobody can promise it of a program that was not built
    // for this. At the start there is one thread; later an OpenSSL is found before whoever loaded
    // it has its first symbol. A thread that knows the library's address all the same may read one
    // of its three variables while it is stored: a word, the old function or the new one.
    unsafe { number.put_into(set) }.is_ok()
}

/// Puts the functions back that would be in the OpenSSL without the recorder, into its variables if
/// these are known. Whether the recorder is in it no more.
pub(crate) fn take_out(
    number: OpensslNumber,
    setter: Option<usize>,
    places: Option<[usize; 3]>,
    object: &Object,
) -> bool {
    let (hooks, below) = (number.hooks().pointers(), number.below());
    let Some(places) = places else {
        // Taken by the setter, and it takes others as long as ours are in it.
        let taken = setter.is_some_and(|setter| {
            // SAFETY: the address of the function of this name, which has this type.
            let set = unsafe { function_at::<Setter>(setter) };
            // SAFETY: the setter of this OpenSSL, and the functions that were in it before ours:
            // blocks of either come from one heap.
            set.is_some_and(|set| unsafe { set(below.malloc, below.realloc, below.free) } != 0)
        });
        return taken && !number.is_in_place();
    };
    // In the order in which they are called for a block: one that was counted is freed counted.
    for ((place, hook), below) in places.into_iter().zip(hooks).zip(below.pointers()) {
        if below.is_null() || !object.is_variable(place) {
            return false;
        }
        // SAFETY: as in `write`.
        let variable = unsafe { AtomicPtr::from_ptr(place as *mut *mut ()) };
        // What somebody else has put there stays.
        let order = (Ordering::AcqRel, Ordering::Acquire);
        let _ = variable.compare_exchange(hook, below, order.0, order.1);
    }
    true
}

/// Writes the hooks into the variables. Other threads may be allocating: free comes first, so that
/// no block that was counted is freed uncounted.
fn write(variables: &LoadedVariables, number: OpensslNumber) {
    let hooks = number.hooks().pointers();
    for (place, hook) in variables.places.into_iter().zip(hooks).rev() {
        // SAFETY: `loaded` has seen that this is an aligned variable in writable memory of an
        // object that is loaded, and that it holds one of OpenSSL's memory functions. OpenSSL is C
        // and reads it without an atomic; that such a read of an aligned word gives the old
        // function or the new one is the processor's promise, not the language's.
        unsafe { AtomicPtr::from_ptr(place as *mut *mut ()).store(hook, Ordering::Release) };
    }
}
