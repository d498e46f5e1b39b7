//! The target `perf_map`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tlsheap_fuzz::perf_map::read(bytes);
});
