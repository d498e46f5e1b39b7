//! Stacks of an OpenSSL without frame pointers, the distribution's, while it parses certificates on
//! two threads: every one is the compiler's unwinder's.

mod judged;

use bench::roots;

#[test]
fn every_stack_is_the_unwinders() {
    if !roots::are_installed() {
        return judged::skip("ca-certificates");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(openssl) = judged::openssl(folder.path()) else { return };
    // Some 40,000 allocations each time.
    std::thread::spawn(move || roots::load(&openssl)).join().expect("it ends well");
    roots::load(&openssl);
    roots::load(&openssl);

    judged::check(folder.path());
}
