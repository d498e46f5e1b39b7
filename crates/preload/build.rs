//! Links the library so that it is never unloaded, and refuses builds without frame pointers: the
//! hooks find their caller's registers through their own.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // OpenSSL may call the hooks until the very end of the process.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");

    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    // The last one counts, as it does for the compiler.
    let kept = flags
        .split(['\x1f', ' '])
        .filter_map(|flag| flag.trim_start_matches("-C").strip_prefix("force-frame-pointers"))
        .next_back()
        .is_some_and(|value| !matches!(value, "=no" | "=n" | "=off" | "=false"));
    if !kept {
        println!(
            "cargo::error=the preload library would be built without frame pointers, and stacks \
             could not be read: RUSTFLAGS in the environment, or building from another directory, \
             replaces .cargo/config.toml of the workspace; unset RUSTFLAGS and build from the \
             workspace's directory, or add -Cforce-frame-pointers=yes to RUSTFLAGS"
        );
    }
}
