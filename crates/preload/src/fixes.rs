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
mod reached;
mod report;
mod settings;
mod slots;
mod stand_ins;
mod wanted;

use crate::exclusive::Exclusive;
use crate::fixes::openssl::{MOST, Openssl, Way};
use crate::fixes::reached::{keep, reached};
use crate::object::Object;

pub(crate) use wanted::begin;

/// Objects that were looked into for an OpenSSL of their own.
static SEEN: Exclusive<Vec<Object>> = Exclusive::none();

/// Reaches every OpenSSL in `objects`, if anything is wanted. Those whose program headers are in
/// `unused` are known not to have run yet. One thread at a time may call it.
pub(crate) fn reach(objects: &[Object], unused: &[usize]) {
    let Some(wanted) = wanted::wanted() else { return };
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

/// The objects that are new since the last look. A library that was unloaded and is back at its
/// place is new too: it has its own code again.
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

/// Whether calls from other objects into this one are led already.
fn is_led(object: &Object) -> bool {
    let reached = (0..MOST).filter_map(reached);
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
