//! The text of a dump.

use std::io::BufRead;

use super::dump::{DumpedStack, HeapDump, Sampled};
use super::maps;
use crate::ReadError;
use crate::text_lines::TextLines;

/// How a dump begins.
pub(crate) const HEADER: &str = "heap_v2/";

/// The line before the process's mappings.
const MAPPED_LIBRARIES: &str = "MAPPED_LIBRARIES:";

/// More frames than any sampler records; jemalloc keeps 128.
const MOST_FRAMES: usize = 4096;

/// Reads a dump without scaling or naming anything. `name` is what errors call the file.
pub fn parse(text: impl BufRead, name: &str) -> Result<HeapDump, ReadError> {
    let mut lines = TextLines::of(text, name);
    if !lines.advance()? {
        let expected = "a jemalloc heap dump (heap_v2)";
        return Err(ReadError::Empty { name: name.to_owned(), expected });
    }
    let period = lines
        .line()
        .trim()
        .strip_prefix(HEADER)
        .and_then(number)
        .ok_or_else(|| lines.malformed("`heap_v2/` and the sampling period"))?;
    let mut dump = HeapDump { period, ..HeapDump::default() };
    let mut part = Part::Totals;
    while lines.advance()? {
        let line = lines.line().trim();
        if line.is_empty() {
            continue;
        }
        if line == MAPPED_LIBRARIES {
            part.finish(&lines)?;
            part = Part::Mappings;
            continue;
        }
        match part {
            Part::Mappings => {
                let module =
                    maps::module(line).map_err(|()| lines.malformed("a line of /proc/PID/maps"))?;
                dump.modules.extend(module);
            }
            _ if line.starts_with('@') => {
                part.finish(&lines)?;
                let addresses = addresses(line)
                    .ok_or_else(|| lines.malformed("`@` and hexadecimal addresses"))?;
                dump.stacks.push(DumpedStack { addresses, ..DumpedStack::default() });
                part = Part::StackBegun;
            }
            Part::Totals | Part::StackBegun | Part::StackCounted => {
                let (thread, inuse, alloc) = counts(line)
                    .ok_or_else(|| lines.malformed("`thread: blocks: bytes [blocks: bytes]`"))?;
                // The threads' lines only split up what all of them have together.
                if let (Part::StackBegun, "t*", Some(stack)) =
                    (part, thread, dump.stacks.last_mut())
                {
                    (stack.inuse, stack.alloc) = (inuse, alloc);
                    part = Part::StackCounted;
                }
            }
        }
    }
    part.finish(&lines)?;
    Ok(dump)
}

/// Where in the dump a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The counts over all stacks.
    Totals,
    /// After a stack's addresses.
    StackBegun,
    /// After a stack's counts over all threads.
    StackCounted,
    /// After `MAPPED_LIBRARIES:`.
    Mappings,
}

impl Part {
    /// The part ends: a stack must have its counts by then.
    fn finish(self, lines: &TextLines<'_, impl BufRead>) -> Result<(), ReadError> {
        if self == Part::StackBegun {
            return Err(lines.error("a line `t*: …` with the counts of the stack", "none".into()));
        }
        Ok(())
    }
}

fn addresses(line: &str) -> Option<Vec<u64>> {
    let addresses: Option<Vec<u64>> = line
        .strip_prefix('@')?
        .split_ascii_whitespace()
        .map(|word| {
            let digits = word.strip_prefix("0x")?;
            if digits.starts_with('+') {
                return None;
            }
            u64::from_str_radix(digits, 16).ok()
        })
        .collect();
    addresses.filter(|addresses| addresses.len() <= MOST_FRAMES)
}

/// `t3: 12: 6496 [0: 0]` as the thread, what is in use, and what was ever allocated.
fn counts(line: &str) -> Option<(&str, Sampled, Sampled)> {
    let (thread, rest) = line.split_once(':')?;
    let (inuse, alloc) = rest.split_once('[')?;
    Some((thread.trim(), sampled(inuse)?, sampled(alloc.trim().strip_suffix(']')?)?))
}

fn sampled(text: &str) -> Option<Sampled> {
    let (blocks, bytes) = text.split_once(':')?;
    let (blocks, bytes) = (number(blocks.trim())?, number(bytes.trim())?);
    // Bytes in no block would be scaled by a division by zero.
    (blocks > 0 || bytes == 0).then_some(Sampled { blocks, bytes })
}

fn number(text: &str) -> Option<u64> {
    // `parse` would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
