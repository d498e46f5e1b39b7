//! Keeps objects from being unloaded by another thread while they are looked at.

use std::ffi::{CString, c_void};
use std::os::unix::ffi::OsStrExt;

use crate::dlclose;
use crate::object::Object;

/// References to objects, which the loader counts.
pub(crate) struct Pins(Vec<*mut c_void>);

impl Pins {
    /// Pins those of `objects` that are still there. The loader's lock is taken, as `dlsym` takes
    /// it: nothing else may be held.
    pub(crate) fn on(objects: &[Object]) -> Pins {
        let pin = |object: &Object| {
            let path = CString::new(object.path.as_os_str().as_bytes()).ok()?;
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
            // SAFETY: a C string; nothing is loaded that is not there, so no code runs.
            let handle = unsafe { libc::dlopen(path.as_ptr(), flags) };
            (!handle.is_null()).then_some(handle)
        };
        Pins(objects.iter().filter_map(pin).collect())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        for handle in self.0.drain(..) {
            // SAFETY: a handle that `on` was given, and that is not used any more.
            unsafe { dlclose::real(handle) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object;

    #[test]
    fn what_is_loaded_is_pinned_and_what_is_not_is_not() {
        let (mut objects, _) = object::loaded();
        objects.retain(|object| object.path.display().to_string().contains("/libc.so"));
        assert_eq!(Pins::on(&objects).0.len(), 1);
        objects[0].path = "/no/such/library.so".into();
        assert_eq!(Pins::on(&objects).0.len(), 0);
    }
}
