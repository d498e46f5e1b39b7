//! What a process says of its OpenSSLs is read or refused, and once read, comes out the same when
//! it is written and read again.

use ledger::Coverage;

use crate::Answer;

/// Reads a coverage file.
pub fn read(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let Ok(coverage) = Coverage::parse("fuzzed", &text) else { return Answer::Refused };
    let names = coverage.openssl_names();
    assert!(names.len() <= coverage.openssls.len());
    let again = Coverage::parse("written", &coverage.to_text()).expect("our own writing is sound");
    assert_eq!(again, coverage);
    Answer::Read
}

/// A process with OpenSSLs of every kind, and a forked one with none.
pub fn seeds() -> Vec<Vec<u8>> {
    let of_many = "process\t4711\t/usr/sbin/nginx\n\
        openssl\t0\t/usr/lib/libcrypto.so.3\tOpenSSL 3.0.19 27 Jan 2026\texported\trecorded\n\
        openssl\t1\t/usr/lib/libcrypto.so.3\tOpenSSL 3.0.19 27 Jan 2026\tsymbol-table\tchained\n\
        openssl\t7\t/opt/node\t\tinstructions\tlate\n\
        openssl\t-\t/opt/other\t\tvariable-symbols\trefused\n\
        openssl\t-\t/opt/own\t\tvariable-instructions\treplaced\n\
        openssl\t-\t/opt/hidden\t\tnowhere\tunreachable\n\
        problem\tthe folder for ledgers is full\n";
    let forked = "process\t4712\t/usr/sbin/nginx\nforked\t4711\nprob";
    [of_many, forked].map(|text| text.as_bytes().to_vec()).into()
}
