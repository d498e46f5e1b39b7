//! One thread of another process under `ptrace`: stopped, looked at, changed, let go.
//!
//! The kernel lets the tracing thread alone make these calls, and lets the traced one go when that
//! thread ends, as it is at that moment. So all of a visit is done by one thread.

use std::ffi::c_void;
use std::io;
use std::time::{Duration, Instant};

use libc::{c_int, c_long, c_uint, pid_t, user_regs_struct};

/// The registers of a thread, as the kernel gives them.
pub(crate) type Registers = user_regs_struct;

/// A thread that is traced by the calling thread.
#[derive(Debug)]
pub(crate) struct Tracee {
    pub thread: u32,
    stopped: bool,
    /// It is about to get this signal; 0 for none.
    signal: c_int,
}

/// Why a thread has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is about to make a system call.
    Entry,
    /// It has made one.
    Exit,
    /// It is about to get a signal.
    Signal(c_int),
    /// The kernel says something of the thread: what we have asked for, or that all of its process
    /// stops.
    Event,
    /// It is not there any more.
    Gone,
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the next signal or event.
    Signal,
    /// To the beginning or end of the next system call as well.
    Call,
    /// For one instruction.
    Step,
}

/// The note in which the kernel has the floating-point and vector registers.
const XSTATE: c_int = 0x202;
/// The kernel's number for the request that says which end of a system call it is.
const GET_SYSCALL_INFO: c_uint = 0x420e;
const GET_MASK: c_uint = 0x420a;
const SET_MASK: c_uint = 0x420b;
const SUSPEND_FILTER: c_int = 1 << 21;
/// What a stop for a system call is marked with.
const IN_CALL: c_int = 0x80;
/// How often a thread that is waited for is looked at.
const BETWEEN: Duration = Duration::from_micros(20);
/// So many looks come one after the other first.
const AT_ONCE: u32 = 200;

impl Tracee {
    /// Traces the thread, which runs on. With `suspend`, no system-call filter is in force for it
    /// meanwhile.
    pub(crate) fn seize(thread: u32, suspend: bool) -> io::Result<Tracee> {
        let options = libc::PTRACE_O_TRACESYSGOOD | if suspend { SUSPEND_FILTER } else { 0 };
        let tracee = Tracee { thread, stopped: false, signal: 0 };
        // SAFETY: no address; the options are a number.
        unsafe { tracee.ask(libc::PTRACE_SEIZE, 0, options as usize)? };
        Ok(tracee)
    }

    /// Has it stop, wherever it is, within some time, and returns what it has stopped for. A system
    /// call that has come back with "interrupted" for that is made again.
    pub(crate) fn halt(&mut self, until: Instant) -> io::Result<Option<Stop>> {
        // SAFETY: no arguments.
        unsafe { self.ask(libc::PTRACE_INTERRUPT, 0, 0)? };
        let stop = self.wait(until)?;
        if stop == Some(Stop::Event) {
            let registers = self.registers()?;
            let interrupted = registers.rax as i64 == -i64::from(libc::EINTR);
            let number = registers.orig_rax as i64;
            // What was closed is closed.
            if interrupted && number >= 0 && number != libc::SYS_close {
                self.set_registers(&begun_again(registers))?;
            }
        }
        Ok(stop)
    }

    /// Its signal is of our doing: it does not get it.
    pub(crate) fn forget_signal(&mut self) {
        self.signal = 0;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Waits until it has stopped; `None` when it has not by then.
    pub(crate) fn wait(&mut self, until: Instant) -> io::Result<Option<Stop>> {
        let mut looks = 0;
        loop {
            let mut status = 0;
            let flags = libc::__WALL | libc::WNOHANG;
            // SAFETY: a place for the status.
            match unsafe { libc::waitpid(self.thread as pid_t, &raw mut status, flags) } {
                0 if Instant::now() >= until => return Ok(None),
                0 => {
                    looks += 1;
                    if looks < AT_ONCE {
                        std::thread::yield_now();
                    } else {
                        std::thread::sleep(BETWEEN);
                    }
                }
                found if found < 0 => return Err(io::Error::last_os_error()),
                _ => break Ok(Some(self.meaning(status)?)),
            }
        }
    }

    fn meaning(&mut self, status: c_int) -> io::Result<Stop> {
        self.stopped = libc::WIFSTOPPED(status);
        if !self.stopped {
            return Ok(Stop::Gone);
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP | IN_CALL {
            return self.end_of_call();
        }
        if status >> 16 != 0 {
            return Ok(Stop::Event);
        }
        self.signal = signal;
        Ok(Stop::Signal(signal))
    }

    fn end_of_call(&self) -> io::Result<Stop> {
        let mut answer = [0_u8; 128];
        let place = answer.as_mut_ptr() as usize;
        // SAFETY: the kernel writes at most as many bytes as are said.
        unsafe { self.ask(GET_SYSCALL_INFO, answer.len(), place)? };
        Ok(if answer[0] == 1 { Stop::Entry } else { Stop::Exit })
    }

    /// Goes on, and is given the signal, if it is not 0.
    pub(crate) fn go_on(&mut self, until: Until, signal: c_int) -> io::Result<()> {
        let request = match until {
            Until::Signal => libc::PTRACE_CONT,
            Until::Call => libc::PTRACE_SYSCALL,
            Until::Step => libc::PTRACE_SINGLESTEP,
        };
        // SAFETY: no address; a signal's number.
        unsafe { self.ask(request, 0, signal as usize)? };
        (self.stopped, self.signal) = (false, 0);
        Ok(())
    }

    pub(crate) fn registers(&self) -> io::Result<Registers> {
        // SAFETY: all-zero registers are valid numbers.
        let mut registers: Registers = unsafe { std::mem::zeroed() };
        // SAFETY: a place for the registers.
        unsafe { self.ask(libc::PTRACE_GETREGS, 0, (&raw mut registers) as usize)? };
        Ok(registers)
    }

    pub(crate) fn set_registers(&self, registers: &Registers) -> io::Result<()> {
        let place = std::ptr::from_ref(registers) as usize;
        // SAFETY: the kernel reads the registers there.
        unsafe { self.ask(libc::PTRACE_SETREGS, 0, place).map(drop) }
    }

    /// The floating-point and vector registers, all that this processor has: their size differs, and
    /// a part of them would be refused when they are put back.
    pub(crate) fn vectors(&self) -> io::Result<Vec<u8>> {
        let mut room = 16 << 10;
        loop {
            let mut bytes = vec![0_u8; room];
            let mut place =
                libc::iovec { iov_base: bytes.as_mut_ptr().cast::<c_void>(), iov_len: room };
            // SAFETY: the kernel writes no more than there is room, and says how much.
            unsafe {
                let place = (&raw mut place) as usize;
                self.ask(libc::PTRACE_GETREGSET, XSTATE as usize, place)?;
            }
            if place.iov_len < room {
                bytes.truncate(place.iov_len);
                return Ok(bytes);
            }
            room *= 2;
        }
    }

    pub(crate) fn set_vectors(&self, bytes: &[u8]) -> io::Result<()> {
        let place =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: the kernel reads so many bytes there.
        unsafe {
            let place = (&raw const place) as usize;
            self.ask(libc::PTRACE_SETREGSET, XSTATE as usize, place).map(drop)
        }
    }

    /// The signals that it blocks.
    pub(crate) fn mask(&self) -> io::Result<u64> {
        let mut mask = 0_u64;
        // SAFETY: a place for a mask of eight bytes.
        unsafe { self.ask(GET_MASK, size_of::<u64>(), (&raw mut mask) as usize)? };
        Ok(mask)
    }

    pub(crate) fn set_mask(&self, mask: u64) -> io::Result<()> {
        // SAFETY: the kernel reads a mask of eight bytes there.
        unsafe { self.ask(SET_MASK, size_of::<u64>(), (&raw const mask) as usize).map(drop) }
    }

    /// Lets it go.
    fn let_go(&mut self) {
        if !self.stopped {
            // One that does not stop is let go when this thread ends.
            let _ = self.halt(Instant::now() + Duration::from_secs(1));
        }
        if self.stopped {
            // SAFETY: no address; a signal's number.
            let _ = unsafe { self.ask(libc::PTRACE_DETACH, 0, self.signal as usize) };
        }
    }

    /// # Safety
    ///
    /// The address and the data are what the request asks for.
    unsafe fn ask(&self, request: c_uint, address: usize, data: usize) -> io::Result<c_long> {
        // SAFETY: the caller's promise.
        let answer = unsafe { libc::ptrace(request, self.thread as pid_t, address, data) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
    }
}

/// The registers with which a system call is made from its beginning, of a thread that is behind
/// the instruction for it.
pub(crate) fn begun_again(registers: Registers) -> Registers {
    Registers {
        rip: registers.rip.wrapping_sub(SYSCALL.len() as u64),
        rax: registers.orig_rax,
        // For the kernel: in no call, which it might make again.
        orig_rax: u64::MAX,
        ..registers
    }
}

/// The instruction that makes a system call.
pub(crate) const SYSCALL: [u8; 2] = [0x0f, 0x05];

impl Drop for Tracee {
    fn drop(&mut self) {
        self.let_go();
    }
}
