//! Running out of file descriptors. The limit is the whole process's, so this has one of its own.

mod harness;

use std::fs::File;

use harness::{Running, check_echo, read_welcome};

#[test]
fn a_server_without_descriptors_waits_for_some_and_goes_on() {
    let server = Running::standard("tls13");
    server.await_event("listening tls13");
    let limits = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
    // SAFETY: the pointer is to a live value that the call only reads.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) }, 0);

    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // The one that is given back goes to the client, so none is left for the server's end.
    taken.pop().unwrap();
    let tcp = server.tcp();
    server.await_event("accept failed");
    drop(taken);

    let mut stream = server.client(None).connect(tcp).unwrap();
    read_welcome(&mut stream);
    check_echo(&mut stream, 100);
    stream.shutdown().unwrap();
    let totals = server.stop();
    assert_eq!((totals.handshakes, totals.errors), (1, vec![]));
}
