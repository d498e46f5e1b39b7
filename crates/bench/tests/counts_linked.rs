//! What the linked recorder says of the workload of handshakes is, for each file and line of
//! OpenSSL, what a plain counter of the same calls says.

mod counting;

use bench::openssl::Openssl;
use recorder::StackSource;

#[test]
fn both_counts_are_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (folder, ledger) = (folder.path(), folder.path().join("ledger"));
    counting::compare(Openssl::vendored(), StackSource::FramePointers, folder, &ledger);
}
