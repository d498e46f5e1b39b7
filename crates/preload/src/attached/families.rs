//! Whose slots for the malloc family, and for what maps memory, are led to the functions that count,
//! in a process that was attached to.
//!
//! Led are slots that hold the real function's address, or that the loader has not filled yet, of
//! every object but the allocator; and variables that began with such an address, as libraries have
//! them whose allocator can be changed. The C library leaves its own calls of malloc, realloc, calloc
//! and free to whoever comes first in everybody's search, through slots like those of others: what
//! `strdup` or `getline` ask for is counted.
//!
//! What cannot be led is said in [`UNSEEN`]. A program that has copied an address of ours while it
//! was recorded may call it for ever: those functions stay, and pass on.

use crate::malloc_family::{self, Named};
use crate::object::Object;

/// What is not seen of a process that is recorded as a whole from the midst of its life.
pub(super) const UNSEEN: &str = "of the whole process, what its loader asks malloc for itself, and what is asked for through \
     copies of malloc's address that were made before the attach, such as a library's settings for \
     its memory; and what a library that is loaded later asks for before dlopen has returned, or \
     before the next dlsym where the C library loads it for itself, or where it depends on who asks \
     which file it is (DT_RUNPATH, DT_RPATH, $ORIGIN, namespaces)";

/// The functions, and the object that has the real ones.
pub(super) struct Families {
    pub functions: Vec<Named>,
    allocator: Option<Object>,
}

impl Families {
    /// Gets ready to count; or says why that cannot be.
    pub(super) fn begin(objects: &[Object]) -> Result<Families, &'static str> {
        let allocator = malloc_family::begin_counting_late(objects)?;
        Ok(Families { functions: malloc_family::by_name(), allocator })
    }

    /// Whether the object is an allocator and nothing else: what it asks itself for is in what is
    /// asked of it.
    pub(super) fn is_allocator(&self, object: &Object) -> bool {
        let allocator = self.allocator.as_ref();
        allocator.is_some_and(|it| it.is_same_as(object)) && !is_c_library(object)
    }
}

/// Whether the object is the C library, as this library is bound to it.
pub(super) fn is_c_library(object: &Object) -> bool {
    object.holds(libc::__errno_location as *const () as usize, 1)
}
