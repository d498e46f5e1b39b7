//! A thread, stopped where it can be made to do something else for a while: in a system call that is
//! made neither inside an allocator nor inside the loader, so that the thread has none of their
//! locks and has nothing of theirs half done.
//!
//! A thread that waits in such a call is taken there. Where all run, one is followed to its next such
//! call. The call is undone, so that the program does not see that it was interrupted:
//!
//! * one that was interrupted and that the kernel itself makes again is left to the kernel, which
//!   knows how long it had still to wait;
//! * one that would come back with "interrupted" (epoll_wait, and sockets with a time limit) is made
//!   again from its beginning, with the whole time that it was told;
//! * one that has not begun is begun.
//!
//! A signal handler may have interrupted an allocator: a thread with the frame of one on its stack is
//! not taken, unless its unwind tables lead from here to its first frame, and show that what looks
//! like one was left there by one that has returned, or that the handler has interrupted a function
//! that only waits.

use std::collections::HashMap;
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, Instant};

use crate::areas::Areas;
use crate::error::AttachError;
use crate::frames::{Frames, RESTORER};
use crate::target::Target;
use crate::tracee::{Registers, SYSCALL, Stop, Tracee, Until, begun_again};

/// A stopped thread.
#[derive(Debug)]
pub(crate) struct SafePoint {
    pub tracee: Tracee,
    /// What its registers are to be when it goes on.
    pub registers: Registers,
    /// The address of the instruction that makes a system call.
    pub call: u64,
    pub since: Instant,
}

/// As much of a stack is searched for the frame of a signal handler.
const STACK: usize = 1 << 20;

/// A running thread is followed for so long before another is tried.
const FOLLOWED: Duration = Duration::from_millis(200);
const FOLLOWED_AMONG_MANY: Duration = Duration::from_millis(20);

/// A shorter sleep may be that of an allocator's lock, in nanoseconds.
const SHORTEST_SLEEP: u64 = 10_000_000;

/// Where a thread may be stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Safe {
    Always,
    /// If its descriptor is of something that no loader reads.
    OnStream,
    /// If it takes long.
    IfLong,
    /// If the thread waits there already: to be late for it by a signal would be to wait for ever.
    OnceIn,
    Never,
}

/// Of the calls, those that wait. Futexes are not among them: allocators and the loader wait there.
fn safe(number: i64) -> Safe {
    match number {
        libc::SYS_epoll_wait
        | libc::SYS_epoll_pwait
        | libc::SYS_epoll_pwait2
        | libc::SYS_poll
        | libc::SYS_ppoll
        | libc::SYS_select
        | libc::SYS_pselect6
        | libc::SYS_accept
        | libc::SYS_accept4
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        | libc::SYS_wait4
        | libc::SYS_waitid
        | libc::SYS_rt_sigtimedwait => Safe::Always,
        libc::SYS_read | libc::SYS_write | libc::SYS_readv | libc::SYS_writev => Safe::OnStream,
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => Safe::IfLong,
        libc::SYS_pause | libc::SYS_rt_sigsuspend => Safe::OnceIn,
        _ => Safe::Never,
    }
}

impl SafePoint {
    /// Looks for one until then.
    pub(crate) fn find(target: &Target, until: Instant) -> Result<SafePoint, AttachError> {
        let pid = target.pid;
        let began = Instant::now();
        let frames = Frames::of(target);
        let sleep = Duration::from_micros(200);
        let mut search = Search { target, frames, handler: false, sleep };
        loop {
            let threads = threads(pid).map_err(|_| AttachError::NoProcess(pid))?;
            let ended = |error: io::Error| ended(target, error);
            if let Some(found) = search.among_waiting(&threads).map_err(ended)? {
                return Ok(found);
            }
            let each = if threads.len() > 1 { FOLLOWED_AMONG_MANY } else { FOLLOWED };
            for thread in &threads {
                let until = until.min(Instant::now() + each);
                if let Some(found) = search.by_following(*thread, until).map_err(ended)? {
                    return Ok(found);
                }
            }
            if Instant::now() >= until {
                return Err(AttachError::NoSafePoint {
                    pid,
                    seconds: began.elapsed().as_secs(),
                    threads: threads.len(),
                    in_handler: search.handler,
                });
            }
            std::thread::sleep(search.sleep);
        }
    }
}

impl SafePoint {
    /// Goes to the end of the call that it was about to make, and that is none now.
    fn leaves_call(&mut self) -> io::Result<bool> {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            self.tracee.go_on(Until::Call, 0)?;
            match self.tracee.wait(until)? {
                Some(Stop::Exit) => return Ok(true),
                Some(Stop::Event) => {}
                _ => return Ok(false),
            }
        }
    }
}

impl Drop for SafePoint {
    fn drop(&mut self) {
        if self.tracee.is_stopped() {
            // What was read can be written, unless the thread is gone.
            let _ = self.tracee.set_registers(&self.registers);
        }
    }
}

struct Search<'a> {
    target: &'a Target,
    frames: Frames<'a>,
    /// A thread was not taken for the frame of a handler on its stack.
    handler: bool,
    sleep: Duration,
}

impl Search<'_> {
    /// Takes a thread that waits, if there is one: in a call for the network first.
    fn among_waiting(&mut self, threads: &[u32]) -> io::Result<Option<SafePoint>> {
        let mut waiting: Vec<(u32, Safe)> = threads
            .iter()
            .filter_map(|thread| Some((*thread, safe(waits_in(self.target.pid, *thread)?))))
            .filter(|(_, safe)| *safe != Safe::Never)
            .collect();
        waiting.sort_by_key(|(_, safe)| *safe != Safe::Always);
        for (thread, _) in waiting {
            let Some(mut tracee) = self.seize(thread)? else { continue };
            let since = Instant::now();
            if tracee.halt(since + Duration::from_secs(1))? != Some(Stop::Event) {
                continue;
            }
            let registers = tracee.registers()?;
            // Before the instruction, where it is made again, or behind it.
            let again = registers.orig_rax == u64::MAX;
            let number = if again { registers.rax } else { registers.orig_rax };
            let call = registers.rip.wrapping_sub(if again { 0 } else { 2 });
            if self.is_call(call) && self.may_stop(number, &registers, true) {
                return Ok(Some(SafePoint { tracee, registers, call, since }));
            }
        }
        Ok(None)
    }

    /// Follows a running thread to the beginning of its next call that is safe.
    fn by_following(&mut self, thread: u32, until: Instant) -> io::Result<Option<SafePoint>> {
        // One that waits elsewhere would not come to any.
        if waits_in(self.target.pid, thread).is_some() {
            return Ok(None);
        }
        let Some(mut tracee) = self.seize(thread)? else { return Ok(None) };
        let mut stop = tracee.halt(until)?;
        loop {
            let signal = match stop {
                None | Some(Stop::Gone) => return Ok(None),
                Some(Stop::Signal(signal)) => signal,
                Some(Stop::Event | Stop::Exit) => 0,
                Some(Stop::Entry) => {
                    let since = Instant::now();
                    let registers = tracee.registers()?;
                    let call = registers.rip.wrapping_sub(2);
                    if self.is_call(call) && self.may_stop(registers.orig_rax, &registers, false) {
                        // Call -1, which does nothing, in its place.
                        tracee.set_registers(&Registers { orig_rax: u64::MAX, ..registers })?;
                        let registers = begun_again(registers);
                        let mut point = SafePoint { tracee, registers, call, since };
                        return Ok(point.leaves_call()?.then_some(point));
                    }
                    0
                }
            };
            if Instant::now() >= until {
                return Ok(None);
            }
            tracee.go_on(Until::Call, signal)?;
            stop = tracee.wait(until)?;
        }
    }

    fn seize(&self, thread: u32) -> io::Result<Option<Tracee>> {
        match Tracee::seize(thread, self.target.filtered) {
            Ok(tracee) => Ok(Some(tracee)),
            // It has ended this moment.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_call(&self, address: u64) -> bool {
        self.target.memory.read_some(address, 2) == SYSCALL
    }

    /// Whether a thread with these registers, which is in a system call or about to make one, may be
    /// stopped there.
    fn may_stop(&mut self, number: u64, registers: &Registers, is_in: bool) -> bool {
        let is_safe = match safe(number as i64) {
            Safe::Always => true,
            Safe::OnStream => self.is_stream(registers.rdi),
            Safe::IfLong => self.is_long(number as i64, registers),
            Safe::OnceIn => is_in,
            Safe::Never => false,
        };
        if !is_safe {
            return false;
        }
        let in_handler = self.is_in_handler(registers);
        self.handler |= in_handler;
        !in_handler
    }

    /// Whether the frame of a signal handler lies on the stack, and it is not known to have returned,
    /// or to have interrupted nothing of an allocator's or the loader's.
    fn is_in_handler(&mut self, registers: &Registers) -> bool {
        let (memory, stack) = (&self.target.memory, registers.rsp);
        let Ok(areas) = Areas::of(self.target.pid) else { return true };
        // On a stack that cannot be found nothing is known.
        let Some(area) = areas.at(stack) else { return true };
        let bytes = memory.read_some(stack, STACK.min((area.end - stack) as usize));
        let mut known = HashMap::new();
        let words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let has_frame = words.enumerate().any(|(at, word)| {
            let is_restorer = *known.entry(word).or_insert_with(|| {
                let is_code = areas.at(word).is_some_and(|area| area.executable);
                is_code && memory.read_some(word, RESTORER.len()) == RESTORER
            });
            is_restorer && is_frame(&bytes[at * 8..])
        });
        has_frame && !self.frames.lead_home(&areas, registers)
    }

    /// What comes from elsewhere, and not from a file: sockets, pipes, terminals, events.
    fn is_stream(&self, descriptor: u64) -> bool {
        let file = format!("/proc/{}/fd/{descriptor}", self.target.pid);
        let kind = fs::metadata(&file).map(|data| data.file_type());
        let is_stream =
            |kind: FileType| kind.is_socket() || kind.is_fifo() || kind.is_char_device();
        let link = fs::read_link(file).unwrap_or_default();
        kind.is_ok_and(is_stream) || link.as_os_str() == "anon_inode:[eventfd]"
    }

    fn is_long(&self, number: i64, registers: &Registers) -> bool {
        let of_clock = number == libc::SYS_clock_nanosleep;
        // Until a moment, and not for a time.
        if of_clock && registers.rsi != 0 {
            return true;
        }
        let place = if of_clock { registers.rdx } else { registers.rdi };
        let word = |at| self.target.memory.word(at).unwrap_or(0);
        word(place) > 0 || word(place + 8) >= SHORTEST_SLEEP
    }
}

/// Whether what begins with the address of a restorer is a frame as the kernel makes it: behind it the
/// context that was interrupted, with its flags first, no successor, and its stack.
fn is_frame(frame: &[u8]) -> bool {
    let word =
        |at: usize| frame.get(at..at + 8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let (Some(flags), Some(link), Some(stack)) = (word(8), word(16), word(168)) else {
        // It goes on beyond what was read.
        return true;
    };
    flags < 16 && link == 0 && stack != 0
}

/// The system call in which a thread waits; `None` when it runs.
fn waits_in(pid: u32, thread: u32) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The threads, the first one first.
pub(crate) fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let mut threads: Vec<u32> = fs::read_dir(format!("/proc/{pid}/task"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    threads.sort_by_key(|thread| (*thread != pid, *thread));
    Ok(threads)
}

fn ended(target: &Target, source: io::Error) -> AttachError {
    let pid = target.pid;
    match source.raw_os_error() {
        Some(libc::ESRCH | libc::ECHILD) => AttachError::NoProcess(pid),
        _ => AttachError::Step { pid, step: "to stop one of its threads", source },
    }
}
