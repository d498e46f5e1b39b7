//! The target `what_if`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tlsheap_fuzz::what_if::read(bytes);
});
