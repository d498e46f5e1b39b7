//! TLS libraries that are not OpenSSL: their names, and why their memory is not recorded.

/// A TLS library that is not OpenSSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsLibrary {
    /// Google's fork of OpenSSL.
    Boringssl,
    /// Amazon's fork of BoringSSL.
    AwsLc,
    /// OpenBSD's fork of OpenSSL.
    Libressl,
    /// GNU's own.
    Gnutls,
    /// Mozilla's own.
    Nss,
    /// Written in Rust; its ciphers are those of another library.
    Rustls,
    /// Arm's, for small devices.
    Mbedtls,
    /// For small devices.
    Wolfssl,
    /// Amazon's own; its ciphers are those of another library.
    S2n,
    /// That of Go's standard library.
    Go,
}

/// What is known of a library.
struct Known {
    word: &'static str,
    name: &'static str,
    obstacle: &'static str,
}

impl TlsLibrary {
    /// Every library.
    pub const ALL: [TlsLibrary; 10] = [
        TlsLibrary::Boringssl,
        TlsLibrary::AwsLc,
        TlsLibrary::Libressl,
        TlsLibrary::Gnutls,
        TlsLibrary::Nss,
        TlsLibrary::Rustls,
        TlsLibrary::Mbedtls,
        TlsLibrary::Wolfssl,
        TlsLibrary::S2n,
        TlsLibrary::Go,
    ];

    /// The word in coverage files.
    pub const fn word(self) -> &'static str {
        self.known().word
    }

    /// The library with this word in coverage files.
    pub fn from_word(word: &str) -> Option<TlsLibrary> {
        TlsLibrary::ALL.into_iter().find(|library| library.word() == word)
    }

    /// The library's name, as its makers write it.
    pub const fn name(self) -> &'static str {
        self.known().name
    }

    /// Why its memory is not recorded, as the end of a sentence about it.
    pub const fn obstacle(self) -> &'static str {
        self.known().obstacle
    }

    const fn known(self) -> Known {
        let (word, name, obstacle) = match self {
            TlsLibrary::Boringssl => ("boringssl", "BoringSSL", "takes no memory functions"),
            TlsLibrary::AwsLc => {
                ("aws-lc", "AWS-LC", "takes memory functions, but does not tell them who calls")
            }
            TlsLibrary::Libressl => ("libressl", "LibreSSL", UNUSED),
            TlsLibrary::Gnutls => ("gnutls", "GnuTLS", UNUSED),
            TlsLibrary::Nss => ("nss", "NSS", "has allocators of its own"),
            TlsLibrary::Rustls => ("rustls", "rustls", SHARED),
            TlsLibrary::Mbedtls => ("mbedtls", "Mbed TLS", SHARED),
            TlsLibrary::Wolfssl => ("wolfssl", "wolfSSL", OTHERS),
            TlsLibrary::S2n => ("s2n-tls", "s2n-tls", OTHERS),
            TlsLibrary::Go => {
                ("go", "Go's crypto/tls", "has its memory from Go's runtime, which pprof shows")
            }
        };
        Known { word, name, obstacle }
    }
}

const UNUSED: &str = "takes memory functions without using them";
const SHARED: &str = "has its memory from where the rest of its program has it";
const OTHERS: &str = "takes memory functions of another kind than OpenSSL's";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_what_was_written() {
        let is_read = |library: TlsLibrary| TlsLibrary::from_word(library.word()) == Some(library);
        assert!(TlsLibrary::ALL.into_iter().all(is_read));
        assert_eq!(TlsLibrary::from_word("OpenSSL"), None);
    }
}
