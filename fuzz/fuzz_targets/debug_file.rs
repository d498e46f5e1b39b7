//! The target `debug_file`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tlsheap_fuzz::debug_file::read(bytes);
});
