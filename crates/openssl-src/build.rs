//! Hands the place of zlib's headers to the library, and stops early, with the names of Debian's
//! packages, when a program that OpenSSL's build needs is missing.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let missing: Vec<&str> = [("perl", "perl"), ("make", "make"), ("cc", "gcc")]
        .into_iter()
        .filter(|(program, _)| Command::new(program).arg("--version").output().is_err())
        .map(|(_, package)| package)
        .collect();
    if !missing.is_empty() {
        println!(
            "cargo::error=OpenSSL is built from source and needs programs that are not installed; \
             on Debian or Ubuntu: apt-get install {}",
            missing.join(" ")
        );
        return;
    }
    match std::env::var("DEP_Z_INCLUDE") {
        Ok(include) => println!("cargo::rustc-env=TLSHEAP_ZLIB_INCLUDE={include}"),
        Err(_) => println!(
            "cargo::error=libz-sys did not say where zlib.h is (DEP_Z_INCLUDE is not set): \
             OpenSSL cannot be built with zlib"
        ),
    }
}
