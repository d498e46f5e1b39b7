//! What is written of a capture as JSON in its folder, and read again: typed both ways.

pub mod account;
pub mod comparison;
pub mod counts;
pub mod heap;
pub mod memory;
pub mod recorder;
pub mod recording;
pub mod resident;
pub mod run;
pub mod scale;
pub mod what_if;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::CaptureError;
use crate::part_of_folder::{MAX_JSON_BYTES, read_text};

/// A record that is `what`, as "a run", of this version of its shape, out of the text of a file.
pub(crate) fn parse_json<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    what: &'static str,
    schema: u32,
) -> Result<T, CaptureError> {
    let value = parse_value(text, path)?;
    let found = value["schema"].as_u64();
    if found != Some(u64::from(schema)) {
        return Err(CaptureError::Schema {
            path: path.to_owned(),
            what,
            expected: schema,
            found: found.map_or("none".to_owned(), |found| found.to_string()),
        });
    }
    serde_json::from_value(value)
        .map_err(|source| CaptureError::Shape { path: path.to_owned(), source })
}

/// Reads a file of JSON.
pub(crate) fn read_json(path: &Path) -> Result<String, CaptureError> {
    read_text(path, MAX_JSON_BYTES)
}

/// JSON, whatever it says.
pub(crate) fn parse_value(text: &str, path: &Path) -> Result<Value, CaptureError> {
    serde_json::from_str(text).map_err(|source| CaptureError::Json {
        path: path.to_owned(),
        what: "not JSON",
        source,
    })
}
