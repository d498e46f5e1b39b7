//! Functions and source lines out of DWARF.
//!
//! The sections are read into memory and handed to addr2line's `Context`, not to its `Loader`:
//! the loader maps the file, so that a file cut short meanwhile would kill the tool, and it opens
//! whatever other files the debug information names.

use std::sync::Arc;

use addr2line::{Context, LookupContinuation, LookupResult};
use gimli::{DW_LANG_Rust, Dwarf, EndianArcSlice, RunTimeEndian, SectionId};
use object::{Object, ObjectSection};

use crate::source_path;
use crate::symbols::frame::SymbolFrame;
use crate::symbols::readable_name::readable_name;
use crate::symbols::rust_module;

type Section = EndianArcSlice<RunTimeEndian>;

/// The largest section that is unpacked or read, in bytes.
const MAX_SECTION_BYTES: u64 = 4 << 30;

/// How many functions may be inlined into one another at an address; real ones stay below 50.
const MAX_INLINED: usize = 256;

/// A file's DWARF, indexed by address.
pub(super) struct DebugInformation {
    context: Context<Section>,
}

impl DebugInformation {
    /// The debug information of `file`; `None` when it has none or it cannot be understood.
    pub(super) fn of(file: &object::File<'_>) -> Option<DebugInformation> {
        file.section_by_name(SectionId::DebugInfo.name())?;
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let load = |id: SectionId| {
            let bytes: Arc<[u8]> = section(file, id.name()).into();
            Ok::<_, gimli::Error>(Section::new(bytes, endian))
        };
        let context = Context::from_dwarf(Dwarf::load(load).ok()?).ok()?;
        Some(DebugInformation { context })
    }

    /// The functions at `address`, innermost first.
    pub(super) fn frames(&self, address: u64) -> Vec<SymbolFrame> {
        // addr2line adds 1 to it; no instruction can begin there anyway.
        if address == u64::MAX {
            return Vec::new();
        }
        let mut lookup = self.context.find_frames(address);
        let found = loop {
            match lookup {
                LookupResult::Output(found) => break found,
                // Debug information in a second file (split DWARF) is done without.
                LookupResult::Load { continuation, .. } => {
                    lookup = continuation.resume(None);
                }
            }
        };
        let mut frames = Vec::new();
        let Ok(mut found) = found else { return frames };
        while let Ok(Some(frame)) = found.next() {
            let mut named = SymbolFrame::default();
            if let Some(location) = frame.location {
                named.file =
                    location.file.map(source_path::of_debug_information).unwrap_or_default();
                named.line = location.line.unwrap_or(0);
            }
            if let Some(function) = &frame.function
                && let Ok(raw) = function.raw_name()
            {
                named.name = readable_name(&raw, function.language);
                if function.language == Some(DW_LANG_Rust) && *raw == named.name {
                    named.name = rust_module::qualified(&named.name, &named.file);
                }
                named.system_name = raw.into_owned();
            }
            frames.push(named);
            if frames.len() == MAX_INLINED {
                break;
            }
        }
        frames
    }
}

/// The content of a section; empty when there is none, or none that can be unpacked.
fn section(file: &object::File<'_>, name: &str) -> Vec<u8> {
    let Some(section) = file.section_by_name(name) else { return Vec::new() };
    let Ok(data) = section.compressed_data() else { return Vec::new() };
    if data.uncompressed_size > MAX_SECTION_BYTES {
        return Vec::new();
    }
    data.decompress().map(std::borrow::Cow::into_owned).unwrap_or_default()
}
