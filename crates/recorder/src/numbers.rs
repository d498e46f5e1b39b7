//! The numbers by which the OpenSSLs of a process are told apart.

/// OpenSSLs of one process that can be told apart. Two are known to happen.
pub const MOST_OPENSSLS: usize = 8;

/// An array of what the function makes for each of them.
macro_rules! one_for_each_openssl {
    ($make:ident) => {
        [
            $make::<0>(),
            $make::<1>(),
            $make::<2>(),
            $make::<3>(),
            $make::<4>(),
            $make::<5>(),
            $make::<6>(),
            $make::<7>(),
        ]
    };
}
pub(crate) use one_for_each_openssl;
