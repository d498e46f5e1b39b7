//! The memory of the processes beside the TLS library's: what rules about it look at.

/// What is known of the processes' memory altogether.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Resident bytes that are in no file, not made to be shared and not the recorder's.
    pub resident_bytes: u64,
    /// The part of it that the allocators keep in whole pages without a block in them.
    pub free_pages_bytes: u64,
    /// The same after the connections of the capture were closed, where that was seen.
    pub after_close: Option<AfterClose>,
    /// Who asked for what is resident, without the TLS library: the most first.
    pub resident: Vec<Holder>,
    /// Who asked for what each further connection added to it; empty where too few came.
    pub grown: Vec<Holder>,
    /// Who asked for most, resident or not, made to be shared or not.
    pub requested: Vec<Holder>,
}

/// Memory after the connections of the capture were closed, in the words of [`Whole`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AfterClose {
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Whole free pages of them.
    pub free_pages_bytes: u64,
}

/// A function that asked for memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Its name.
    pub function: String,
    /// Functions that lead there and tell its story, outermost first, and perhaps itself.
    pub through: Vec<String>,
    /// Bytes, in all or for each connection.
    pub bytes: f64,
    /// Blocks; `None` where they were not counted.
    pub blocks: Option<f64>,
}

impl Holder {
    /// One of its functions has one of these names, or begins so where a `*` ends the name.
    pub fn passes(&self, names: &[&str]) -> bool {
        let mut all = self.through.iter().chain([&self.function]);
        all.any(|function| super::holding::is_one_of(function, names))
    }
}
