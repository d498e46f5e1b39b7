//! What is known of a domain's code.

use super::maker::{Maker, Struct};

/// What is known of a domain's code. An empty table says that nothing is.
pub(crate) struct DomainTables {
    /// The category of its memory, where no source path says more: that of all of it, or of what
    /// none of its `functions` claims.
    pub(crate) category: Option<&'static str>,
    /// Which category a source path belongs to: lines of prefix, functions, category and a note.
    pub(crate) paths: &'static str,
    /// Which category a function belongs to whose file is not known: lines of the beginning of its
    /// name and the category.
    pub(crate) functions: &'static str,
    /// The functions that make objects.
    pub(crate) makers: &'static [Maker],
    /// The objects that are told by their sizes.
    pub(crate) structs: &'static [Struct],
    /// What may lie between the allocation of a struct and the function that asked for it.
    pub(crate) decoding: &'static [&'static str],
}

/// Nothing is known.
pub(super) static UNKNOWN: DomainTables = DomainTables {
    category: None,
    paths: "",
    functions: "",
    makers: &[],
    structs: &[],
    decoding: &[],
};
