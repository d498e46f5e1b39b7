//! Refuses builds whose profiles would be wrong without a word: an OpenSSL without compression,
//! and Rust code without frame pointers.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    let left_out = env::var("DEP_OPENSSL_CONF").unwrap_or_default();
    if left_out.split(',').any(|word| word == "OPENSSL_NO_COMP") {
        println!(
            "cargo::error=this OpenSSL was built without compression (OPENSSL_NO_COMP), and the \
             configurations with zlib need it: build in the workspace, whose [patch.crates-io] \
             brings an OpenSSL with zlib, and unset OPENSSL_DIR and OPENSSL_NO_VENDOR"
        );
    }

    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !keeps_frame_pointers(&flags) {
        println!(
            "cargo::error=Rust code would be built without frame pointers, and stacks could not \
             be read: RUSTFLAGS in the environment, or building from another directory, replaces \
             .cargo/config.toml of the workspace; unset RUSTFLAGS and build from the workspace's \
             directory, or add -Cforce-frame-pointers=yes to RUSTFLAGS"
        );
    }
}

/// Whether the flags, as cargo joins them, switch frame pointers on.
fn keeps_frame_pointers(encoded_flags: &str) -> bool {
    // The last one counts, as it does for the compiler.
    encoded_flags
        .split(['\x1f', ' '])
        .filter_map(|flag| flag.trim_start_matches("-C").strip_prefix("force-frame-pointers"))
        .next_back()
        .is_some_and(|value| !matches!(value, "=no" | "=n" | "=off" | "=false"))
}
