//! How an object is told from the place that allocates its struct.

use crate::object_kind::Object;

/// One way to make an object: the leaf's function and file, and who must have called it.
pub(crate) struct Maker {
    pub(crate) object: Object,
    pub(crate) function: &'static str,
    pub(crate) file: &'static str,
    pub(crate) callers: Callers,
}

/// What the frames above the leaf must be.
pub(crate) enum Callers {
    /// Whatever they are.
    Any,
    /// Any number of `through`, then one that begins with `from`.
    Through { through: &'static [&'static str], from: &'static str },
}

/// One way to tell an object where functions have no names: its struct is by far the largest block
/// that its file allocates.
pub(crate) struct Unnamed {
    pub(crate) object: Object,
    pub(crate) file: &'static str,
    /// The least size of the struct in bytes, in any version.
    pub(crate) least_bytes: i64,
    /// How the exported function begins that asks for it; empty where any may.
    pub(crate) from: &'static str,
}
