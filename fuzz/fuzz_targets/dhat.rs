//! The target `dhat`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tlsheap_fuzz::dhat::read(bytes);
});
