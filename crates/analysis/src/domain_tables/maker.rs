//! How an object is told from the place that allocates its struct.

use std::ops::RangeInclusive;

use crate::object_kind::Object;

/// A function that makes an object: its struct first, and after it the struct's members.
pub(crate) struct Maker {
    pub(crate) object: Object,
    pub(crate) function: &'static str,
    pub(crate) file: &'static str,
}

/// An object that is told by the size of its struct, where many are allocated in one file, or where
/// the library's own functions have no names, because they are not exported.
pub(crate) struct Struct {
    pub(crate) object: Object,
    pub(crate) file: &'static str,
    /// The leaf's function, where it has a name.
    pub(crate) functions: &'static [&'static str],
    /// How large it is, in any version.
    pub(crate) bytes: RangeInclusive<i64>,
    pub(crate) asked: Asked,
}

/// Who asked for the struct.
pub(crate) enum Asked {
    /// Whoever it was.
    Anybody,
    /// This function, so many calls away from the leaf at most.
    Near(&'static str, usize),
    /// The same; or anybody where none of these calls has a name, as in a stripped program that the
    /// library is linked into: nothing else in that file is as large.
    NearIfNamed(&'static str, usize),
    /// Nobody who fills a field of a larger struct: the first name that is not in the table of what
    /// decodes does not begin with this one.
    NoneOf(&'static str),
}
