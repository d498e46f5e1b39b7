//! One function at an address, and what stands in its place where there is no name.

/// One function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolFrame {
    /// The readable name.
    pub name: String,
    /// The name in the file.
    pub system_name: String,
    /// The source file, shortened by [`crate::source_path`]; empty when unknown.
    pub file: String,
    /// The source line; 0 when unknown.
    pub line: u32,
}

impl SymbolFrame {
    /// What stands for an address without a name: `libssl.so.3+0x1234`, with the address as the
    /// file's own tools understand it.
    pub(super) fn unnamed(path: &str, address: u64) -> SymbolFrame {
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = format!("{file}+{address:#x}");
        SymbolFrame { system_name: name.clone(), name, ..SymbolFrame::default() }
    }

    /// What stands for an address that lies in no file: code that was compiled while the program
    /// ran, and that nobody has named.
    pub(super) fn in_no_file() -> SymbolFrame {
        let name = "[JIT]".to_owned();
        SymbolFrame { system_name: name.clone(), name, ..SymbolFrame::default() }
    }
}
