//! The target `jemalloc_heap`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tlsheap_fuzz::jemalloc_heap::read(bytes);
});
