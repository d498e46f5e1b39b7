//! OpenSSL's own allocation functions, which every stack of an OpenSSL allocation begins with.

/// The functions that hand a request on to the allocator, in every OpenSSL from 1.0.2 to 4.0.
/// The one that asked for the memory is their caller.
pub const ALLOCATION_WRAPPERS: [&str; 25] = [
    "CRYPTO_aligned_alloc",
    "CRYPTO_aligned_alloc_array",
    "CRYPTO_calloc",
    "CRYPTO_clear_realloc",
    "CRYPTO_clear_realloc_array",
    "CRYPTO_dbg_malloc",
    "CRYPTO_dbg_realloc",
    "CRYPTO_malloc",
    "CRYPTO_malloc_array",
    "CRYPTO_malloc_locked",
    "CRYPTO_memdup",
    "CRYPTO_realloc",
    "CRYPTO_realloc_array",
    "CRYPTO_realloc_clean",
    "CRYPTO_remalloc",
    "CRYPTO_secure_calloc",
    "CRYPTO_secure_malloc",
    "CRYPTO_secure_malloc_array",
    "CRYPTO_secure_zalloc",
    "CRYPTO_strdup",
    "CRYPTO_strndup",
    "CRYPTO_zalloc",
    "default_malloc_ex",
    "default_malloc_locked_ex",
    "default_realloc_ex",
];

/// Whether `function` is one of OpenSSL's allocation wrappers. The suffixes that compilers put on
/// clones of a function (`.part.0`, `.constprop.1`) and linkers on versions (`@@OPENSSL_3.0.0`)
/// do not count.
pub fn is_allocation_wrapper(function: &str) -> bool {
    let name = function.split(['.', '@']).next().unwrap_or(function);
    ALLOCATION_WRAPPERS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_nothing_twice() {
        assert!(ALLOCATION_WRAPPERS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn wrappers_are_known_with_their_suffixes_and_nothing_else_is() {
        assert!(is_allocation_wrapper("CRYPTO_malloc"));
        assert!(is_allocation_wrapper("CRYPTO_zalloc.part.0"));
        assert!(is_allocation_wrapper("CRYPTO_strdup@@OPENSSL_3.0.0"));
        assert!(!is_allocation_wrapper("CRYPTO_new_ex_data"));
        assert!(!is_allocation_wrapper("CRYPTO_THREAD_lock_new"));
        assert!(!is_allocation_wrapper("zlib_zalloc"));
        assert!(!is_allocation_wrapper(""));
    }
}
