//! The fixes that are wanted.

use std::sync::OnceLock;

use contract::{Fix, environment};

use crate::fixes::report::Report;

static WANTED: OnceLock<Wanted> = OnceLock::new();

/// What whoever started the program asks for.
pub(super) struct Wanted {
    pub fixes: Vec<Fix>,
    pub report: Report,
}

/// What is wanted; none without the variable.
pub(super) fn wanted() -> Option<&'static Wanted> {
    WANTED.get()
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
