//! Signals are the whole process's, so this has one of its own.

use echo_server::signal::stop_requested;

#[test]
fn either_signal_asks_the_program_to_stop() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for signal in [libc::SIGTERM, libc::SIGINT] {
            let stop = stop_requested().unwrap();
            // SAFETY: the signal is caught from the line above on, by a handler that returns.
            assert_eq!(unsafe { libc::raise(signal) }, 0);
            stop.await;
        }
    });
}
