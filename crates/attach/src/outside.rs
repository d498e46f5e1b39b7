//! Whether every thread of a process has been seen outside of the library since it was told to end:
//! then nobody holds a piece of its memory any more, and it can be given back.
//!
//! A thread that waits is looked at: one that is in the library has a return address there on its
//! stack. One that runs is given time: no way through a hook takes as much of the processor, so that
//! who has used it since has left. Threads that are new never were inside, for no OpenSSL calls the
//! library any more.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::time::{Duration, Instant};

use contract::attach::LIBRARY;

use crate::areas::Areas;
use crate::injection::processor_time;
use crate::safe_point::threads;
use crate::target::Target;

/// As long they are looked at.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(2);
/// Who has used so much of the processor has left: a way through a hook takes microseconds of it,
/// and some thousand for the longest walk of a stack.
const LEFT: Duration = Duration::from_millis(100);
/// As much of a stack is searched.
const STACK: usize = 1 << 20;

/// Looks until all have been seen outside; `false` when one has not been.
pub(crate) fn all(target: &Target) -> bool {
    let pid = target.pid;
    let Ok(ids) = threads(pid) else { return false };
    let mut inside: BTreeMap<u32, Duration> =
        ids.into_iter().map(|thread| (thread, processor_time(pid, thread))).collect();
    let began = Instant::now();
    loop {
        let Ok(areas) = Areas::of(pid) else { return false };
        let Some(code) = areas.code_of(LIBRARY) else { return false };
        inside.retain(|thread, used| {
            let now = processor_time(pid, *thread);
            now < *used + LEFT && !is_outside(target, *thread, &areas, &code)
        });
        if inside.is_empty() {
            return true;
        }
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(BETWEEN);
    }
}

/// Whether the thread has ended, or waits with nothing of the library's on its stack.
fn is_outside(target: &Target, thread: u32, areas: &Areas, code: &Range<u64>) -> bool {
    let pid = target.pid;
    let place = format!("/proc/{pid}/task/{thread}/syscall");
    let Ok(before) = fs::read_to_string(&place) else { return true };
    let hexadecimal = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    // The call with its arguments, the stack and the instruction; or that it runs.
    let mut last = before.split_whitespace().rev().map(hexadecimal);
    let (Some(Some(instruction)), Some(Some(stack))) = (last.next(), last.next()) else {
        return false;
    };
    let Some(area) = areas.at(stack) else { return false };
    let room = (area.end - stack) as usize;
    let bytes = target.memory.read_some(stack, room.min(STACK));
    let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let is_free = room <= STACK
        && !code.contains(&instruction)
        && !words.into_iter().any(|it| code.contains(&it));
    // It may have gone on meanwhile.
    is_free && fs::read_to_string(&place).is_ok_and(|after| after == before)
}
