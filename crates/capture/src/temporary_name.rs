//! What files and folders are called while they are written.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

/// The longest part of a name that is kept in a temporary one, in bytes: a name may have 255.
const KEPT: usize = 200;

/// How often a name may turn out to be taken. One that nobody can know is never taken twice.
const TRIES: usize = 8;

/// A name that nobody can know before, and that tells whose it is:
/// `.NAME.tlsheap-0123456789abcdef`.
pub(crate) fn temporary_name(name: &str) -> String {
    // Its keys come from the kernel's random numbers.
    let random = RandomState::new().build_hasher().finish();
    format!("{}{random:016x}", beginning(name))
}

/// Whether `other` is a name that was made for `name`, now or by a process that was killed.
pub(crate) fn is_temporary(other: &str, name: &str) -> bool {
    let number = other.strip_prefix(&beginning(name));
    number.is_some_and(|it| it.len() == 16 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What all temporary names for one name begin with.
fn beginning(name: &str) -> String {
    let mut end = name.len().min(KEPT);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!(".{}.tlsheap-", &name[..end])
}

/// Makes something under a temporary name for `name`. `make` has to refuse a name that is taken.
pub(crate) fn made_under<T>(
    name: &str,
    mut make: impl FnMut(&str) -> io::Result<T>,
) -> io::Result<T> {
    for _ in 1..TRIES {
        match make(&temporary_name(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return outcome,
        }
    }
    make(&temporary_name(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_are_told_as_ours() {
        let names: BTreeSet<String> = (0..100).map(|_| temporary_name("run.json")).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|name| name.starts_with(".run.json.tlsheap-")));
        assert!(names.iter().all(|name| is_temporary(name, "run.json")));
        assert!(!is_temporary(".run.json.tlsheap-", "run.json") && !is_temporary("run", "run"));
    }

    #[test]
    fn long_names_leave_room() {
        let name = temporary_name(&"ö".repeat(127));
        assert!(name.len() <= 255 && name.starts_with(".ö"), "{name}");
    }

    #[test]
    fn a_name_that_is_taken_is_not_used() {
        let mut tried = 0;
        let made = made_under("x", |name| {
            tried += 1;
            if tried < 3 { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(name.to_owned()) }
        });
        assert!(made.unwrap().starts_with(".x.tlsheap-"));
        assert_eq!(tried, 3);
        assert!(made_under("x", |_| Err::<(), _>(io::ErrorKind::AlreadyExists.into())).is_err());
    }
}
