//! Functions that call malloc for somebody else, so that their caller asked for the memory.

use crate::Frame;
use crate::allocator_frames::is_allocator;

/// Of the C library, of C++, and of programs that have one function for it.
const FUNCTIONS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "mmap",
    "mmap64",
    "mremap",
    "mprotect",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "strdup",
    "__strdup",
    "strndup",
    "__strndup",
    "_Znwm",
    "_Znam",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "g_malloc",
    "g_malloc0",
    "g_realloc",
    "g_strdup",
    "xmalloc",
    "xcalloc",
    "xrealloc",
    "xstrdup",
    "ngx_alloc",
    "ngx_calloc",
    "ngx_memalign",
    "zmalloc",
    "zcalloc",
    "zrealloc",
    "ztrymalloc_usable",
    "_PyMem_RawMalloc",
    "_PyMem_RawCalloc",
    "_PyMem_RawRealloc",
    "_PyObject_Malloc",
    "_PyObject_Calloc",
    "_PyObject_Realloc",
    "PyMem_RawMalloc",
    "PyMem_RawCalloc",
    "PyMem_RawRealloc",
    "PyMem_Malloc",
    "PyMem_Calloc",
    "PyMem_Realloc",
    "PyObject_Malloc",
    "PyObject_Calloc",
    "PyObject_Realloc",
    "_PyObject_New",
    "_PyObject_NewVar",
    "_PyObject_GC_New",
    "_PyObject_GC_NewVar",
    "_PyObject_GC_Malloc",
    "_PyObject_GC_Resize",
];

/// How names of such functions begin.
const BEGINNINGS: &[&str] = &[
    "operator new",
    "std::allocator",
    "std::__new_allocator",
    "__gnu_cxx::new_allocator",
    "__gnu_cxx::__alloc_traits",
];

/// Whether `frame` only hands a request on.
pub(crate) fn is_heap_wrapper(frame: &Frame<'_>) -> bool {
    FUNCTIONS.contains(&frame.function)
        || BEGINNINGS.iter().any(|beginning| frame.function.starts_with(beginning))
        || is_allocator(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_memory_is_told_from_who_hands_it_on() {
        let is = |function| is_heap_wrapper(&Frame { function, file: "", line: 0, address: 0 });
        assert!(is("operator new(unsigned long)") && is("strdup") && is("PyObject_Malloc"));
        assert!(is("_rjem_malloc") && is("std::allocator_traits<A>::allocate"));
        assert!(!is("PyByteArray_Resize") && !is("main") && !is("ngx_create_pool") && !is(""));
    }
}
