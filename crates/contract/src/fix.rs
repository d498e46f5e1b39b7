//! The fixes that `tlsheap what-if` tries.

/// A change of settings that may save memory.
///
/// ```
/// use contract::Fix;
///
/// let names: Vec<&str> = Fix::ALL.into_iter().map(Fix::name).collect();
/// assert_eq!(names[0], "release-buffers");
/// assert!(!Fix::SharedContext.reaches_from_outside());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fix {
    /// Record buffers are freed whenever they are empty (SSL_MODE_RELEASE_BUFFERS).
    ReleaseBuffers,
    /// Records are not compressed, by option (SSL_OP_NO_COMPRESSION).
    NoCompression,
    /// Records are not compressed, since OpenSSL's global stack of methods is emptied.
    EmptyCompressionMethods,
    /// All connections share one SSL_CTX, and with it one trust store.
    SharedContext,
    /// All contexts share one trust store.
    SharedStore,
    /// Keys are exchanged with X25519 only, without ML-KEM.
    NoMlkem,
    /// Records have at most 4,096 bytes (max_send_fragment).
    SmallFragments,
    /// The context's cache keeps no sessions.
    NoSessionCache,
    /// TLS 1.3 sends no session tickets (num_tickets 0).
    NoTickets,
    /// All threads share one heap of the C library's (MALLOC_ARENA_MAX).
    OneArena,
    /// The C library's heaps give free memory at their ends back early (MALLOC_TRIM_THRESHOLD_).
    EarlyTrim,
}

impl Fix {
    /// Every fix, in the order in which they are listed for users.
    pub const ALL: [Fix; 11] = [
        Fix::ReleaseBuffers,
        Fix::NoCompression,
        Fix::EmptyCompressionMethods,
        Fix::SharedContext,
        Fix::SharedStore,
        Fix::NoMlkem,
        Fix::SmallFragments,
        Fix::NoSessionCache,
        Fix::NoTickets,
        Fix::OneArena,
        Fix::EarlyTrim,
    ];

    /// The word on the command line, in [`FIXES`](crate::environment::FIXES) and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Fix::ReleaseBuffers => "release-buffers",
            Fix::NoCompression => "no-compression",
            Fix::EmptyCompressionMethods => "empty-compression-methods",
            Fix::SharedContext => "shared-context",
            Fix::SharedStore => "shared-store",
            Fix::NoMlkem => "no-mlkem",
            Fix::SmallFragments => "small-fragments",
            Fix::NoSessionCache => "no-session-cache",
            Fix::NoTickets => "no-tickets",
            Fix::OneArena => "one-arena",
            Fix::EarlyTrim => "early-trim",
        }
    }

    /// The fix with this name.
    pub fn from_name(name: &str) -> Option<Fix> {
        Fix::ALL.into_iter().find(|fix| fix.name() == name)
    }

    /// The variable of the environment that it is, and its value: a setting of the C library's
    /// allocator, which no OpenSSL has to be reached for.
    pub const fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Fix::OneArena => Some(("MALLOC_ARENA_MAX", "1")),
            Fix::EarlyTrim => Some(("MALLOC_TRIM_THRESHOLD_", "65536")),
            _ => None,
        }
    }

    /// Whether the preloaded library can give the setting to a program's connections. What
    /// connections have of their own, only the program itself can let them share.
    pub const fn reaches_from_outside(self) -> bool {
        !matches!(self, Fix::SharedContext | Fix::SharedStore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fix_has_its_own_name() {
        for fix in Fix::ALL {
            assert_eq!(Fix::from_name(fix.name()), Some(fix));
        }
        assert_eq!(Fix::from_name("no-such-fix"), None);
    }
}
