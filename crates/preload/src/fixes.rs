//! Fixes from outside, for `tlsheap what-if`: settings for every connection that a program makes.
//!
//! ```text
//! reach ─┬─► slots ──► stand_ins: SSL_new ──────► settings of the connection
//!        └─► jump ───► stand_ins: SSL_CTX_new ──► settings of the context, which its
//!                                                 connections inherit
//! ```
//!
//! Whoever calls `SSL_new` of a shared OpenSSL gets there through a slot of its own. With fixes
//! wanted, those slots lead here: the connection is made by OpenSSL, and then given the settings.
//! Calls inside an object that has OpenSSL linked into it have no slots. There a jump is written
//! over the beginning of `SSL_CTX_new`, whose work `SSL_CTX_new_ex` does as well. Without the
//! variable, nothing of this happens. What was reached, and what was not and why, is written to
//! the report.

mod jump;
mod openssl;
mod report;
mod settings;
mod slots;
mod stand_ins;

use std::sync::OnceLock;

use contract::{Fix, environment};

use crate::exclusive::Exclusive;
use crate::fixes::openssl::{MOST, Openssl, Way};
use crate::fixes::report::Report;
use crate::object::Object;

/// What is wanted; none without the variable.
static WANTED: OnceLock<Wanted> = OnceLock::new();

/// The OpenSSLs that are reached. Stand-ins know theirs by its place.
static REACHED: [OnceLock<Openssl>; MOST] = [const { OnceLock::new() }; MOST];

/// Objects that were looked into for an OpenSSL of their own.
static SEEN: Exclusive<Vec<Object>> = Exclusive::none();

struct Wanted {
    fixes: Vec<Fix>,
    report: Report,
}

/// Reads what is wanted: programs overwrite their environment. Says whether it is anything.
pub(crate) fn begin() -> bool {
    let Ok(names) = std::env::var(environment::FIXES) else { return false };
    let known = names.split(',').filter_map(Fix::from_name);
    let fixes: Vec<Fix> = known.filter(|fix| fix.reaches_from_outside()).collect();
    if fixes.is_empty() {
        return false;
    }
    WANTED.set(Wanted { fixes, report: Report::from_environment() }).is_ok()
}

/// Reaches every OpenSSL in `objects`, if anything is wanted. Those whose program headers are in
/// `unused` are known not to have run yet.
pub(crate) fn reach(objects: &[Object], unused: &[usize]) {
    let Some(wanted) = WANTED.get() else { return };
    let objects: Vec<&Object> = objects.iter().filter(|object| !object.is_own()).collect();
    slots::lead(&objects);
    for object in unseen(&objects) {
        if is_led(object) {
            continue;
        }
        match Openssl::linked_into(object) {
            Ok(Some(openssl)) => {
                let unused = unused.contains(&object.headers);
                if let Err(why) = put_jump(object, &openssl, unused) {
                    wanted.report.not_reached(object, Way::Jump, why);
                }
            }
            Ok(None) => {}
            Err(why) => wanted.report.not_reached(object, Way::Jump, why),
        }
    }
}

/// Those that are new since the last look. A library that was unloaded and is back at its place is
/// new too: it has its own code again.
fn unseen<'a>(objects: &[&'a Object]) -> Vec<&'a Object> {
    let mut new = Vec::new();
    SEEN.with(|seen| {
        let seen = seen.get_or_insert_default();
        seen.retain(|known| objects.iter().any(|object| object.is_same_as(known)));
        let is_new = |object: &&&Object| !seen.iter().any(|known| known.is_same_as(object));
        new = objects.iter().filter(is_new).copied().collect();
        seen.extend(new.iter().map(|object| (*object).clone()));
    });
    new
}

/// Calls from other objects into this one are led already.
fn is_led(object: &Object) -> bool {
    let reached = REACHED.iter().filter_map(OnceLock::get);
    reached.filter(|openssl| openssl.way == Way::Slots).any(|it| object.holds_code(it.new, 1))
}

fn put_jump(object: &Object, openssl: &Openssl, unused: bool) -> Result<(), &'static str> {
    let start = openssl.new;
    let at = keep(openssl).ok_or("there are too many OpenSSLs in the process")?;
    let to = stand_ins::context_new(at);
    // SAFETY: `linked_into` has seen that so many bytes are this function's own, and the stand-in
    // does what the function does. `put` lets nobody be inside it.
    unsafe { jump::put(object, start, to, unused) }
}

/// Where the OpenSSL is kept from now on; `None` when there is no place left.
fn keep(openssl: &Openssl) -> Option<usize> {
    let known = |at: &usize| REACHED[*at].get().is_some_and(|known| known.is_same_as(openssl));
    if let Some(at) = (0..MOST).find(known) {
        return Some(at);
    }
    // Several threads may be at it.
    (0..MOST).find(|at| REACHED[*at].set(openssl.clone()).is_ok())
}
