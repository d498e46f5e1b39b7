//! The OpenSSL whose function a program reaches by its name.

use std::ffi::CStr;

use recorder::OpensslNumber;

use crate::dynamic_symbols::DynamicSymbols;
use crate::object::{self, Object};
use crate::scan;

/// The setter or getter that a program has called by its name.
pub(crate) enum Reached {
    /// The function of a recorded OpenSSL.
    Recorded(OpensslNumber),
    /// One at this address.
    Other(usize),
}

/// The function `name` of the OpenSSL that code at `caller` would reach without us: the loader
/// looks into what was loaded at the start, in that order, before it looks into what belongs to
/// the caller alone.
pub(crate) fn reached_from(caller: usize, name: &CStr) -> Option<Reached> {
    scan::look_for_new();
    let (objects, _) = object::loaded();
    let function = |object: &Object| {
        if object.is_own() { None } else { DynamicSymbols::of(object)?.function(name) }
    };
    let found = objects
        .iter()
        .take(scan::at_start())
        .find_map(function)
        .or_else(|| objects.iter().filter(|object| object.holds(caller, 1)).find_map(function))
        .or_else(|| objects.iter().find_map(function))?;
    let recorded = scan::recorded_function(found).map(|(number, _)| Reached::Recorded(number));
    Some(recorded.unwrap_or(Reached::Other(found)))
}
