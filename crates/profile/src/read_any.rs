//! Files of any format that we know, told apart by their content.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use crate::error::quote;
use crate::room::Room;
use crate::{Profile, ReadError, ValueType, dhat, folded, jemalloc_heap, pprof};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// How a ledger begins, in every version of its layout.
const LEDGER_MAGIC: &[u8] = b"tlsheap\0";

/// The formats, for error messages.
const EXPECTED: &str = "a pprof profile, a jemalloc heap dump (heap_v2), a file of DHAT, folded \
                        stacks, or a ledger of tlsheap";

/// What a file holds.
#[derive(Debug)]
pub enum Content {
    /// A profile, from whatever format.
    Profile(Profile),
    /// A ledger, unread: it is the caller's to take a [`ledger::Snapshot`] of it and to have its
    /// addresses named by [`crate::from_ledger()`].
    Ledger,
}

/// The beginning of a file that tells what it is.
const HEAD_BYTES: u64 = 1 << 16;

/// Reads the file at `path` in whatever format it is.
pub fn read_any(path: &Path) -> Result<Content, ReadError> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read_stream(file, &name),
        Err(source) => Err(ReadError::Io { name, source }),
    }
}

/// Reads standard input in whatever format it is. A ledger cannot be read like this: it has holes,
/// and its process may be writing to it.
pub fn read_standard_input() -> Result<Content, ReadError> {
    read_stream(io::stdin().lock(), "standard input")
}

fn read_stream(mut file: impl Read, name: &str) -> Result<Content, ReadError> {
    let unreadable = |source: io::Error| ReadError::Io { name: name.to_owned(), source };
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    // A ledger is large and mostly holes: reading it whole is not for us.
    if bytes.starts_with(LEDGER_MAGIC) {
        return Ok(Content::Ledger);
    }
    let mut rest = file.take(MAX_FILE_BYTES + 1 - bytes.len() as u64);
    let too_large = || ReadError::TooLarge {
        name: name.to_owned(),
        what: "in the file",
        limit: MAX_FILE_BYTES,
    };
    if let Some(format) = LongText::of(&bytes) {
        // Text that is not compressed never takes more than that.
        let room = Room::of_file(MAX_FILE_BYTES);
        let mut text = BufReader::new(Cursor::new(bytes).chain(rest));
        let profile = format.read(&mut text, name, room)?;
        if text.into_inner().into_inner().1.limit() == 0 {
            return Err(too_large());
        }
        return Ok(Content::Profile(profile));
    }
    rest.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    if pprof::is_gzip(&bytes) {
        let room = Room::of_file(bytes.len() as u64);
        let unpacked = pprof::unpack(&bytes, name)?.into_owned();
        // Nobody needs both.
        drop(bytes);
        return parse_unpacked(&unpacked, name, room);
    }
    parse_any(&bytes, name)
}

/// A text of which little is kept, so that it is read line by line.
#[derive(Clone, Copy)]
enum LongText {
    HeapDump,
    Folded,
}

impl LongText {
    /// What a file holds that begins like this, if it is such a text.
    fn of(head: &[u8]) -> Option<LongText> {
        if head.starts_with(b"heap_v2/") {
            return Some(LongText::HeapDump);
        }
        // The end of a line that is cut off here might make another format of it.
        let told = head.trim_ascii_start().contains(&b'\n')
            && known_stranger(head).is_none()
            && looks_like_text(head)
            && is_folded(first_line(head));
        told.then_some(LongText::Folded)
    }

    fn read(self, text: impl BufRead, name: &str, room: Room) -> Result<Profile, ReadError> {
        match self {
            LongText::HeapDump => jemalloc_heap::read(text, name),
            LongText::Folded => folded::read_within(text, name, samples(), room),
        }
    }
}

/// What a file of folded stacks counts: its format does not say.
fn samples() -> ValueType {
    ValueType { kind: "samples".into(), unit: "count".into() }
}

/// Reads content in whatever format it is. `name` is what errors call it. Folded stacks become
/// `samples/count`: their format does not say what they count.
pub fn parse_any(bytes: &[u8], name: &str) -> Result<Content, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Empty { name: name.to_owned(), expected: EXPECTED });
    }
    if bytes.starts_with(LEDGER_MAGIC) {
        return Ok(Content::Ledger);
    }
    if !pprof::is_gzip(bytes) {
        return parse_plain(bytes, name, Room::of_file(bytes.len() as u64));
    }
    let room = Room::of_file(bytes.len() as u64);
    parse_unpacked(&pprof::unpack(bytes, name)?, name, room)
}

/// What was in a compressed file with this room.
fn parse_unpacked(bytes: &[u8], name: &str, room: Room) -> Result<Content, ReadError> {
    if looks_like_text(bytes) && !bytes.is_empty() {
        return parse_plain(bytes, name, room);
    }
    pprof::read_unpacked(bytes, name, room).map(Content::Profile)
}

fn parse_plain(bytes: &[u8], name: &str, room: Room) -> Result<Content, ReadError> {
    if let Some(format) = LongText::of(bytes) {
        return format.read(bytes, name, room).map(Content::Profile);
    }
    if dhat::begins_like_one(bytes) {
        return dhat::read_within(bytes, name, room).map(Content::Profile);
    }
    let found = match known_stranger(bytes) {
        Some(stranger) => stranger.to_owned(),
        None if looks_like_text(bytes) => {
            let line = first_line(bytes);
            if is_folded(line) {
                return folded::read_within(bytes, name, samples(), room).map(Content::Profile);
            }
            format!("a text that begins with {}", quote(line))
        }
        None if begins_like_pprof(bytes) => {
            return pprof::read(bytes, name).map(Content::Profile);
        }
        None => format!("unknown content that begins with the bytes {:02x?}", head(bytes)),
    };
    Err(ReadError::Foreign { name: name.to_owned(), expected: EXPECTED, found })
}

/// What heaptrack has recorded, before and after it was unpacked, and the way out.
const HEAPTRACK: &str = "a recording of heaptrack: `heaptrack_print FILE -F stacks.txt \
                         --flamegraph-cost-type peak` makes folded stacks of it";
const ZSTD: &str = "a file compressed with zstd; if heaptrack has recorded it, `heaptrack_print FILE \
                    -F stacks.txt --flamegraph-cost-type peak` makes folded stacks of it";

/// Its versions, in hexadecimal: `v 10400 3`.
fn is_heaptrack(line: &str) -> bool {
    let mut words = line.split(' ');
    let number = |word: Option<&str>| word.is_some_and(|it| u32::from_str_radix(it, 16).is_ok());
    words.next() == Some("v")
        && number(words.next())
        && words.next().is_none_or(|word| number(Some(word)))
        && words.next().is_none()
}

/// Files that are often handed over by mistake.
fn known_stranger(bytes: &[u8]) -> Option<&'static str> {
    let signatures: [(&[u8], &str); 8] = [
        (b"\x7fELF", "a program or library (ELF)"),
        (b"\x89PNG", "a picture (PNG)"),
        (b"PK\x03\x04", "a zip file"),
        (b"\x28\xb5\x2f\xfd", ZSTD),
        (b"\xfd7zXZ", "a file compressed with xz"),
        (b"heap_v", "a jemalloc heap dump of another version"),
        (b"heap profile:", "a heap profile of gperftools"),
        (b"SQLite format 3", "a database (SQLite)"),
    ];
    let by_signature = signatures.iter().find(|(start, _)| bytes.starts_with(start));
    by_signature.map(|(_, what)| *what).or_else(|| {
        let text = bytes.trim_ascii_start();
        if is_heaptrack(first_line(bytes)) {
            return Some(HEAPTRACK);
        }
        match text.first()? {
            b'{' | b'[' if looks_like_text(bytes) && !is_folded(first_line(bytes)) => {
                Some("a JSON text")
            }
            b'<' if looks_like_text(bytes) && !is_folded(first_line(bytes)) => {
                Some("an HTML or SVG page")
            }
            _ => None,
        }
    })
}

fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(8)]
}

/// Whether the content is text: UTF-8 without control characters, as far as its beginning shows.
fn looks_like_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut where the beginning ends.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

/// The first line that is not blank.
fn first_line(bytes: &[u8]) -> &str {
    let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(line).unwrap_or_default().trim_end()
}

fn is_folded(line: &str) -> bool {
    line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<i64>().is_ok())
}

/// A message of pprof's begins with one of its fields; writers start with the sample types.
fn begins_like_pprof(bytes: &[u8]) -> bool {
    const LENGTH_DELIMITED: u8 = 2;
    bytes.first().is_some_and(|key| key & 7 == LENGTH_DELIMITED && (1..=6).contains(&(key >> 3)))
}

#[cfg(test)]
mod tests;
