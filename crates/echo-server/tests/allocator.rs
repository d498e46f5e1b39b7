//! jemalloc is the allocator, with heap profiling at hand and switched off.

use std::hint::black_box;

use tikv_jemalloc_ctl::{raw, thread};

#[test]
fn rust_and_openssl_allocate_in_jemalloc() {
    // Of this thread alone: the process's other threads come and go.
    let allocated = thread::allocatedp::read().unwrap();
    let before = allocated.get();
    let rust = black_box(vec![1_u8; 50 << 20]);
    assert!(allocated.get() - before >= 50 << 20);

    let before = allocated.get();
    // SAFETY: an allocation of some size, written nowhere and freed once, by the same allocator.
    let openssl = unsafe { black_box(echo_server::openssl_heap().malloc)(50 << 20) };
    assert!(!openssl.is_null());
    assert!(allocated.get() - before >= 50 << 20);
    // SAFETY: allocated above.
    unsafe { (echo_server::openssl_heap().free)(openssl) };
    drop(rust);
}

#[test]
fn heap_profiling_can_be_switched_on_and_is_off() {
    // SAFETY: the types are those that jemalloc documents for these names, which end with a NUL.
    let (possible, active, sample): (bool, bool, usize) = unsafe {
        (
            raw::read(b"opt.prof\0").unwrap(),
            raw::read(b"prof.active\0").unwrap(),
            raw::read(b"prof.lg_sample\0").unwrap(),
        )
    };
    assert_eq!((possible, active, sample), (true, false, 17));
}

#[test]
fn a_size_is_rounded_up_as_the_analysis_says() {
    // SAFETY: sizes above zero and no flags; the function only calculates.
    let usable = |bytes: u64| unsafe { tikv_jemalloc_sys::nallocx(bytes as usize, 0) } as u64;
    for bytes in (1..100_000).chain([1 << 20, (1 << 20) + 1, 123_456_789]) {
        assert_eq!(analysis::size_class::usable(bytes), usable(bytes), "{bytes}");
    }
}
