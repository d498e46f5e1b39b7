//! Files of this process, made descriptors of the other: by a pair of sockets that is made there, of
//! which one end is taken from it. So it needs no file system in common with us, and no `/proc`.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::AttachError;
use crate::injection::Injection;

/// Hands the files over. Returns their descriptors in the process, which are closed when it becomes
/// another program.
pub(crate) fn hand_over(
    injection: &mut Injection,
    pid: u32,
    files: &[BorrowedFd],
) -> Result<Vec<i32>, AttachError> {
    let place = injection.room(PAIR);
    let kind = (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC) as u64;
    let pair = [libc::AF_UNIX as u64, kind, 0, place, 0, 0];
    injection.system_call(libc::SYS_socketpair, pair, "to make a pair of sockets")?;
    let pair = injection.read(place, 8)?;
    let [ours, theirs] = [&pair[..4], &pair[4..]]
        .map(|word| i32::from_le_bytes(word.try_into().expect("four bytes")));
    let sent = send(pid, ours, files);
    let received = match sent {
        Ok(()) => receive(injection, theirs, files.len()),
        Err(source) => Err(injection.failed_step("to hand it files", source)),
    };
    for descriptor in [ours, theirs] {
        close(injection, descriptor);
    }
    received
}

/// Closes a descriptor of the process's.
pub(crate) fn close(injection: &mut Injection, descriptor: i32) {
    // One that is not open any more is closed.
    let arguments = [descriptor as u64, 0, 0, 0, 0, 0];
    let _ = injection.system_call(libc::SYS_close, arguments, "to close a file");
}

/// Places in our memory there.
const PAIR: u64 = 0;
const MESSAGE: u64 = 64;
const PARTS: u64 = 128;
const BYTE: u64 = 160;
const CONTROL: u64 = 192;

/// Room for the descriptors of some files.
const MOST: usize = 4;
const HEADER: usize = size_of::<libc::cmsghdr>();
const CONTROL_BYTES: usize = HEADER + MOST * size_of::<i32>();

/// Sends the files through the end `descriptor` of the process's pair.
fn send(pid: u32, descriptor: i32, files: &[BorrowedFd]) -> io::Result<()> {
    let end = taken(pid, descriptor)?;
    let mut byte = [1_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // Aligned as its header.
    let mut control = [0_u64; CONTROL_BYTES.div_ceil(8)];
    // SAFETY: an all-zero header is an empty message.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = HEADER + size_of_val(files);
    let header = libc::cmsghdr {
        cmsg_len: HEADER + size_of_val(files),
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    let descriptors: Vec<i32> = files.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: room for the header and behind it for the descriptors, of which there are few.
    unsafe {
        assert!(files.len() <= MOST, "two files are handed over");
        control.as_mut_ptr().cast::<libc::cmsghdr>().write(header);
        let behind = control.as_mut_ptr().byte_add(HEADER).cast::<i32>();
        std::ptr::copy_nonoverlapping(descriptors.as_ptr(), behind, descriptors.len());
    }
    // SAFETY: a message whose parts are there.
    match unsafe { libc::sendmsg(end.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } {
        1 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor of the process's, as one of ours.
fn taken(pid: u32, descriptor: i32) -> io::Result<OwnedFd> {
    let own = |answer: i64| {
        // SAFETY: a new descriptor, or none.
        (answer >= 0).then(|| unsafe { OwnedFd::from_raw_fd(answer as i32) })
    };
    // SAFETY: numbers.
    let process = own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) });
    let process = process.ok_or_else(io::Error::last_os_error)?;
    // SAFETY: as above.
    let end = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), descriptor, 0) };
    own(end).ok_or_else(io::Error::last_os_error)
}

/// Has the process take what was sent.
fn receive(
    injection: &mut Injection,
    descriptor: i32,
    files: usize,
) -> Result<Vec<i32>, AttachError> {
    let byte = injection.put(BYTE, &[0])?;
    let parts = injection.put(PARTS, &words(&[byte, 1]))?;
    let control = injection.put(CONTROL, &[0; CONTROL_BYTES])?;
    // As `msghdr` has it: no name; the parts; the control data; no flags.
    let message = [0, 0, parts, 1, control, CONTROL_BYTES as u64, 0];
    let message = injection.put(MESSAGE, &words(&message))?;
    let flags = (libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT) as u64;
    let arguments = [descriptor as u64, message, flags, 0, 0, 0];
    injection.system_call(libc::SYS_recvmsg, arguments, "to take files")?;
    let control = injection.read(control, CONTROL_BYTES)?;
    let length = u64::from_le_bytes(control[..8].try_into().expect("eight bytes")) as usize;
    let descriptors = control.get(HEADER..length.min(CONTROL_BYTES)).unwrap_or_default();
    let word = |word: &[u8]| i32::from_le_bytes(word.try_into().expect("four bytes"));
    let descriptors: Vec<i32> = descriptors.chunks_exact(4).map(word).collect();
    if descriptors.len() == files {
        return Ok(descriptors);
    }
    for descriptor in descriptors {
        close(injection, descriptor);
    }
    let source = io::Error::from_raw_os_error(libc::EMFILE);
    Err(injection.failed_step("to take files", source))
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
