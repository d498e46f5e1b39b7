//! What a thread does that was stopped at a safe point: system calls, and functions on a stack of
//! ours; and everything is put back.

use std::io;
use std::time::{Duration, Instant};

use crate::error::AttachError;
use crate::safe_point::SafePoint;
use crate::target::Target;
use crate::tracee::{Registers, Stop, Until};

/// A thread at our work.
pub(crate) struct Injection<'a> {
    target: &'a Target,
    point: SafePoint,
    vectors: Vec<u8>,
    mask: u64,
    /// Our memory in the process; 0 while there is none.
    scratch: u64,
    /// Where the thread's `errno` is, and what was there.
    error: Option<(u64, Vec<u8>)>,
    processor: Duration,
    is_back: bool,
}

/// Our memory: a page that nobody may touch, to which functions return; some for what they are told;
/// and the stack.
const GUARD: u64 = 0x1000;
const ROOM: u64 = 0x10_0000;
const STACK: u64 = 0x10_0000;
const SCRATCH: u64 = GUARD + ROOM + STACK;

/// How long a function may take: it may wait for a lock, and for its turn on a busy machine.
const LONGEST_CALL: Duration = Duration::from_secs(30);
/// How long a single system call may take, none of which waits for anything.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// Signals that a thread gets from what it does itself cannot be blocked.
const OF_ITSELF: [i32; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

impl<'a> Injection<'a> {
    /// Takes the thread into service. Whatever fails, it is as it was.
    pub(crate) fn begin(
        target: &'a Target,
        point: SafePoint,
    ) -> Result<Injection<'a>, AttachError> {
        let pid = target.pid;
        let step = |step| move |source| AttachError::Step { pid, step, source };
        let vectors = point.tracee.vectors().map_err(step("to read its vector registers"))?;
        // That they can be put back is seen before there is need to.
        let refused = step("to write its vector registers");
        point.tracee.set_vectors(&vectors).map_err(refused)?;
        let mask = point.tracee.mask().map_err(step("to read its signal mask"))?;
        let processor = processor_time(pid, point.tracee.thread);
        let mut injection = Injection {
            target,
            point,
            vectors,
            mask,
            scratch: 0,
            error: None,
            processor,
            is_back: false,
        };
        let blocked = OF_ITSELF.iter().fold(u64::MAX, |mask, signal| mask & !(1 << (signal - 1)));
        injection.point.tracee.set_mask(blocked).map_err(step("to block its signals"))?;
        let access = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64;
        let map = [0, SCRATCH, access, flags, u64::MAX, 0];
        let scratch = injection.system_call(libc::SYS_mmap, map, "to map memory")?;
        injection.scratch = scratch;
        let guard = [scratch, GUARD, libc::PROT_NONE as u64, 0, 0, 0];
        injection.system_call(libc::SYS_mprotect, guard, "to protect memory")?;
        Ok(injection)
    }

    /// The address in our memory where so many bytes lie from now on that were put there. `place` is
    /// the caller's to choose, below one megabyte.
    pub(crate) fn put(&self, place: u64, bytes: &[u8]) -> Result<u64, AttachError> {
        let at = self.room(place);
        let failed = |source| self.failed_step("to write to its memory", source);
        self.target.memory.write(at, bytes).map_err(failed)?;
        Ok(at)
    }

    /// The address of that place.
    pub(crate) fn room(&self, place: u64) -> u64 {
        self.scratch + GUARD + place
    }

    pub(crate) fn read(&self, address: u64, bytes: usize) -> Result<Vec<u8>, AttachError> {
        let failed = |source| self.failed_step("to read its memory", source);
        self.target.memory.read(address, bytes).map_err(failed)
    }

    /// Makes a system call.
    pub(crate) fn system_call(
        &mut self,
        number: i64,
        arguments: [u64; 6],
        step: &'static str,
    ) -> Result<u64, AttachError> {
        let registers = Registers {
            rip: self.point.call,
            rax: number as u64,
            rdi: arguments[0],
            rsi: arguments[1],
            rdx: arguments[2],
            r10: arguments[3],
            r8: arguments[4],
            r9: arguments[5],
            orig_rax: u64::MAX,
            ..self.point.registers
        };
        let after = self.stepped(&registers).map_err(|source| self.failed_step(step, source))?;
        let answer = after.rax as i64;
        if (-4095..0).contains(&answer) {
            let source = io::Error::from_raw_os_error(-answer as i32);
            return Err(self.failed_step(step, source));
        }
        Ok(after.rax)
    }

    fn stepped(&mut self, registers: &Registers) -> io::Result<Registers> {
        let tracee = &mut self.point.tracee;
        tracee.set_registers(registers)?;
        let until = Instant::now() + LONGEST_STEP;
        tracee.go_on(Until::Step, 0)?;
        loop {
            match tracee.wait(until)? {
                Some(Stop::Signal(libc::SIGTRAP)) => return tracee.registers(),
                // All of its process stops; this thread has not made its step.
                Some(Stop::Event) => tracee.go_on(Until::Step, 0)?,
                Some(Stop::Gone) => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
                _ => return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)),
            }
        }
    }

    /// Calls a function with up to three arguments, on a stack of ours.
    pub(crate) fn call(
        &mut self,
        function: u64,
        arguments: [u64; 3],
        step: &'static str,
    ) -> Result<u64, AttachError> {
        let pid = self.target.pid;
        let back = self.scratch + GUARD / 2;
        // Aligned as a function finds it that was called.
        let stack = self.scratch + SCRATCH - 64 - 8;
        let failed = |what: String| AttachError::Failed { pid, step, what };
        let put = self.target.memory.write(stack, &back.to_le_bytes());
        put.map_err(|source| self.failed_step(step, source))?;
        let [rdi, rsi, rdx] = arguments;
        let registers = Registers {
            rip: function,
            rsp: stack,
            rbp: 0,
            rax: 0,
            rdi,
            rsi,
            rdx,
            orig_rax: u64::MAX,
            // Forwards, and not step by step.
            eflags: self.point.registers.eflags & !0x500,
            ..self.point.registers
        };
        let tracee = &mut self.point.tracee;
        let mut go = || -> io::Result<Result<u64, String>> {
            tracee.set_registers(&registers)?;
            let until = Instant::now() + LONGEST_CALL;
            tracee.go_on(Until::Signal, 0)?;
            loop {
                match tracee.wait(until)? {
                    Some(Stop::Signal(signal)) => {
                        let now = tracee.registers()?;
                        if signal == libc::SIGSEGV && now.rip == back {
                            return Ok(Ok(now.rax));
                        }
                        if OF_ITSELF.contains(&signal) || signal == libc::SIGSYS {
                            return Ok(Err(format!("got signal {signal} at {:#x}", now.rip)));
                        }
                        tracee.go_on(Until::Signal, 0)?;
                    }
                    Some(Stop::Gone) => return Ok(Err("has ended with its thread".to_owned())),
                    Some(_) => tracee.go_on(Until::Signal, 0)?,
                    None => {
                        let _ = tracee.halt(Instant::now() + Duration::from_secs(1))?;
                        let seconds = LONGEST_CALL.as_secs();
                        return Ok(Err(format!("has not come back within {seconds} s")));
                    }
                }
            }
        };
        let answer = go();
        answer.map_err(|source| self.failed_step(step, source))?.map_err(failed)
    }

    /// Remembers the thread's `errno`, of which `place` is the function that says where it is.
    pub(crate) fn keep_error(&mut self, place: u64) -> Result<(), AttachError> {
        let at = self.call(place, [0; 3], "the C library")?;
        self.error = Some((at, self.read(at, 4)?));
        Ok(())
    }

    /// Puts everything back, and lets the thread go on. Returns how long it was at our work, and how
    /// much processor time that took.
    pub(crate) fn end(mut self) -> (Duration, Duration) {
        self.put_back();
        let now = processor_time(self.target.pid, self.point.tracee.thread);
        let (since, processor) = (self.point.since, now.saturating_sub(self.processor));
        drop(self);
        (since.elapsed(), processor)
    }

    fn put_back(&mut self) {
        if std::mem::replace(&mut self.is_back, true) {
            return;
        }
        if let Some((at, bytes)) = &self.error {
            let _ = self.target.memory.write(*at, bytes);
        }
        if self.scratch != 0 {
            let unmap = [self.scratch, SCRATCH, 0, 0, 0, 0];
            // Should it stay, it is two megabytes that nobody uses.
            let _ = self.system_call(libc::SYS_munmap, unmap, "to unmap memory");
        }
        // What was read can be written, unless the thread is gone.
        let tracee = &mut self.point.tracee;
        let _ = tracee.set_vectors(&self.vectors);
        let _ = tracee.set_mask(self.mask);
        // The step's, or that of the page that nobody may touch.
        tracee.forget_signal();
        // The other registers come with the end of `point`.
    }

    pub(crate) fn failed_step(&self, step: &'static str, source: io::Error) -> AttachError {
        AttachError::Step { pid: self.target.pid, step, source }
    }
}

impl Drop for Injection<'_> {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// The processor time that a thread has used.
pub(crate) fn processor_time(pid: u32, thread: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"));
    let text = text.unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
