//! What the recorder says of the workload of handshakes with the distribution's OpenSSL, whose
//! stacks it reads through unwind tables, is what a plain counter of the same calls says.

mod counting;

use bench::openssl::Openssl;
use recorder::StackSource;

#[test]
fn both_counts_are_equal() {
    let openssl = match Openssl::distribution() {
        Ok(openssl) => openssl,
        Err(missing) => {
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            println!("skipped: {missing}");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    counting::compare(openssl, StackSource::best(), folder.path(), folder.path());
}
