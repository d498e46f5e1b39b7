//! Keeps objects from being unloaded by another thread while they are looked at.
//!
//! A look may come while an object's constructor runs, in the middle of the program's own call of
//! `dlopen`: from a name that the constructor looks up, for example. To open an object again that
//! is loaded loads nothing, but where nobody has opened it before, since others need it, the loader
//! runs the constructors that it has not run yet: before those that were to come first, or in the
//! middle of one. So an object is opened only where none that was loaded before it needs it: whoever
//! keeps that one keeps it too. The one whose loading is under way was opened by the program, and
//! stands before all that it needs.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_void};
use std::os::unix::ffi::OsStrExt;

use crate::dlclose;
use crate::dynamic_section::texts;
use crate::object::{self, Object};

/// References to objects, which the loader counts.
pub(crate) struct Pins(Vec<*mut c_void>);

impl Pins {
    /// Pins those of `objects` that are still there; they are in the order in which they were
    /// loaded. The loader's lock is taken, as `dlsym` takes it: nothing else may be held.
    pub(crate) fn on(objects: &[Object]) -> Pins {
        let mut pins = Pins(Vec::new());
        if objects.is_empty() {
            return pins;
        }
        let links = Links::now();
        let mut kept = HashSet::new();
        for object in objects {
            if kept.contains(&object.headers) {
                continue;
            }
            if let Some(handle) = open_again(object) {
                pins.0.push(handle);
                links.add_kept_by(object.headers, &mut kept);
            }
        }
        pins
    }
}

/// A further reference to an object; `None` where it is gone.
fn open_again(object: &Object) -> Option<*mut c_void> {
    let path = CString::new(object.path.as_os_str().as_bytes()).ok()?;
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: a C string. Nothing is loaded that is not there, and no constructor runs before its
    // time, as is said above.
    let handle = unsafe { libc::dlopen(path.as_ptr(), flags) };
    (!handle.is_null()).then_some(handle)
}

/// Who needs whom, among all that is loaded. Objects are known by where their headers are.
#[derive(Default)]
struct Links {
    by_name: HashMap<Vec<u8>, usize>,
    needed: HashMap<usize, Vec<Vec<u8>>>,
}

impl Links {
    /// Read where no object can be unloaded.
    fn now() -> Links {
        const DT_SONAME: usize = 14;
        /// What an object needs, and what stands in for it in a part or in all.
        const NEEDED: [usize; 3] = [1, 0x7fff_fffd, 0x7fff_ffff];

        let mut links = Links::default();
        object::each(&mut |object, _| {
            let path = object.path.as_os_str().as_bytes();
            let last = object.path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
            let own = [path.to_vec(), last.to_vec()].into_iter().chain(texts(&object, DT_SONAME));
            for name in own {
                // Who is found first is the one that was loaded first.
                links.by_name.entry(name).or_insert(object.headers);
            }
            let needed = NEEDED.iter().flat_map(|tag| texts(&object, *tag)).collect();
            links.needed.insert(object.headers, needed);
        });
        links
    }

    /// Adds an object, and all that it needs, and that those do.
    fn add_kept_by(&self, object: usize, kept: &mut HashSet<usize>) {
        let mut rest = vec![object];
        while let Some(object) = rest.pop() {
            if kept.insert(object) {
                let needed = self.needed.get(&object).into_iter().flatten();
                rest.extend(needed.filter_map(|name| self.by_name.get(name)));
            }
        }
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

    #[test]
    fn what_is_loaded_is_pinned_and_what_is_not_is_not() {
        let (mut objects, _) = object::loaded();
        objects.retain(|object| object.path.display().to_string().contains("/libc.so"));
        assert_eq!(Pins::on(&objects).0.len(), 1);
        objects[0].path = "/no/such/library.so".into();
        assert_eq!(Pins::on(&objects).0.len(), 0);
    }

    #[test]
    fn what_one_before_needs_is_kept_by_that() {
        let (objects, _) = object::loaded();
        // The program, which stands first, needs the C library, and that the loader.
        assert_eq!(Pins::on(&objects[..1]).0.len(), 0, "it has no file that the loader knows");
        let links = Links::now();
        let mut kept = HashSet::new();
        links.add_kept_by(objects[0].headers, &mut kept);
        let by_name = |part: &str| {
            let is_meant = |it: &&Object| it.path.display().to_string().contains(part);
            objects.iter().find(is_meant).map(|object| object.headers)
        };
        let (library, loader) = (by_name("/libc.so"), by_name("/ld-linux"));
        assert!(kept.contains(&library.unwrap()) && kept.contains(&loader.unwrap()));
        let mut of_library = objects.clone();
        of_library.retain(|it| [library, loader].contains(&Some(it.headers)));
        of_library.sort_by_key(|it| Some(it.headers) != library);
        assert_eq!(Pins::on(&of_library).0.len(), 1);
    }
}
