//! Every stack of the distribution's OpenSSL is the compiler's unwinder's, also when connections
//! take turns at random on two threads, when a signal allocates on a stack of its own, and after
//! what is known of code has been forgotten.

mod judged;

use std::cell::Cell;
use std::ffi::c_int;
use std::sync::atomic::{AtomicPtr, Ordering};

use bench::handshakes::{Connection, Handshakes, write_identity};
use bench::openssl::Openssl;

/// Connections that take turns on each thread.
const CONNECTIONS: usize = 16;
/// Turns of each thread.
const TURNS: usize = 200;

/// What a signal handler allocates with.
static OPENSSL: AtomicPtr<Openssl> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_signal(_: c_int) {
    // SAFETY: stored before the handler was, and never freed.
    let openssl = unsafe { &*OPENSSL.load(Ordering::Acquire) };
    // SAFETY: the signal is raised between calls of OpenSSL.
    unsafe { (openssl.X509_STORE_free)((openssl.X509_STORE_new)()) };
}

#[test]
fn every_stack_is_the_unwinders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let Some(openssl) = judged::openssl(folder) else { return };
    OPENSSL.store(Box::leak(Box::new(openssl)), Ordering::Release);
    handle_on_a_stack_of_its_own();
    write_identity(folder).expect("a folder that can be written");

    std::thread::scope(|scope| {
        for seed in [1, 2] {
            scope.spawn(move || take_turns(&Handshakes::new(openssl, folder), seed));
        }
    });

    let verdict = judged::check(folder);
    assert!(verdict.truncated > 0, "the signal's own stack is not followed");
}

fn take_turns(handshakes: &Handshakes, seed: u64) {
    let stack = vec![0_u8; 256 * 1024];
    let alternate = libc::stack_t {
        ss_sp: stack.as_ptr().cast_mut().cast(),
        ss_flags: 0,
        ss_size: stack.len(),
    };
    // SAFETY: memory that outlives its use: it is given up below.
    assert_eq!(unsafe { libc::sigaltstack(&raw const alternate, std::ptr::null_mut()) }, 0);
    let random = Cell::new(seed);
    let mut connections: Vec<Option<Connection>> = (0..CONNECTIONS).map(|_| None).collect();
    for turn in 0..TURNS {
        random.set(random.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
        let connection = &mut connections[(random.get() >> 33) as usize % CONNECTIONS];
        if !connection.get_or_insert_with(|| handshakes.connect()).go_on() {
            *connection = None;
        }
        if turn % 50 == 25 {
            // SAFETY: the handler is installed.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        }
        if turn == TURNS / 2 {
            recorder::note_unloading();
        }
    }
    drop(connections);
    let off = libc::stack_t { ss_flags: libc::SS_DISABLE, ..alternate };
    // SAFETY: switches the stack off before its memory goes.
    assert_eq!(unsafe { libc::sigaltstack(&raw const off, std::ptr::null_mut()) }, 0);
}

fn handle_on_a_stack_of_its_own() {
    // SAFETY: an all-zero sigaction is an empty one; the handler is a function that does not
    // unwind.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
}
