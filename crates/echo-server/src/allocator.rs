//! jemalloc, for Rust and for OpenSSL: one allocator under both, so that one set of statistics
//! covers the whole process.

use std::ffi::c_char;

use global_allocator::Recorded;
use tikv_jemallocator::Jemalloc;

/// Defined here rather than in a binary, so that every program with this server in it has it.
#[global_allocator]
pub(crate) static ALLOCATOR: Recorded<Jemalloc> = Recorded::over(Jemalloc);

/// jemalloc reads its options from this symbol before main. Heap profiling is compiled in and
/// costs nothing until `prof.active` is switched on; it then samples every 2^17 bytes.
// SAFETY: the name is the one that jemalloc, built with the prefix `_rjem_`, looks for, and the
// type is the `const char *` it declares: an `Option` of a reference has a pointer's layout, and
// the text ends with a NUL.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static OPTIONS: Option<&'static c_char> = Some(
    // SAFETY: a `c_char` is a byte, and jemalloc reads on to the NUL of the same literal.
    unsafe { &*OPTIONS_TEXT.as_ptr().cast::<c_char>() },
);

const OPTIONS_TEXT: &[u8] = b"prof:true,prof_active:false,lg_prof_sample:17\0";

/// jemalloc's functions, for the recorder to put OpenSSL's blocks into.
pub fn openssl_heap() -> recorder::Heap {
    recorder::Heap {
        malloc: tikv_jemalloc_sys::malloc,
        realloc: tikv_jemalloc_sys::realloc,
        free: tikv_jemalloc_sys::free,
    }
}
