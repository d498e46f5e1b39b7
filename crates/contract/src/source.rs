//! The code that asks for memory.

/// A kind of code that asks for memory of its own.
///
/// ```
/// use contract::Domain;
///
/// assert_eq!(Domain::Rust.word(), "rust");
/// assert_eq!(Domain::from_word("rust"), Some(Domain::Rust));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Domain {
    /// An OpenSSL, through its memory functions.
    #[default]
    Openssl = 0,
    /// Everybody else who calls the malloc family.
    Heap = 1,
    /// Whoever maps memory from the kernel, less what lies in it as blocks.
    Mapping = 2,
    /// Python, for its objects, where they are recorded one by one.
    Python = 3,
    /// The reference server's own Rust code.
    Rust = 4,
}

impl Domain {
    /// Every domain, in the order of their numbers.
    pub const ALL: [Domain; 5] =
        [Domain::Openssl, Domain::Heap, Domain::Mapping, Domain::Python, Domain::Rust];

    /// The value of the label [`DOMAIN`](crate::labels::DOMAIN).
    pub const fn word(self) -> &'static str {
        match self {
            Domain::Openssl => "openssl",
            Domain::Heap => "heap",
            Domain::Mapping => "mapping",
            Domain::Python => "python",
            Domain::Rust => "rust",
        }
    }

    /// The domain with this word.
    pub fn from_word(word: &str) -> Option<Domain> {
        Domain::ALL.into_iter().find(|domain| domain.word() == word)
    }

    /// The domain's number in a ledger.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The domain with this number in a ledger.
    pub fn from_number(number: u8) -> Option<Domain> {
        Domain::ALL.into_iter().find(|domain| domain.number() == number)
    }
}

/// The asker for a block: a domain, and which one of its kind in the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The kind of code.
    pub domain: Domain,
    /// The one that it is, where a process has several of a kind: they are numbered from 0 in the
    /// order in which they were found.
    pub instance: u8,
}

impl Source {
    /// The OpenSSL of this number.
    pub const fn openssl(instance: u8) -> Source {
        Source { domain: Domain::Openssl, instance }
    }

    /// Both in one number: the domain's above the instance.
    ///
    /// ```
    /// use contract::{Domain, Source};
    ///
    /// let third = Source { domain: Domain::Python, instance: 2 };
    /// assert_eq!(third.number(), 0x302);
    /// assert_eq!(Source::from_number(0x302), Some(third));
    /// assert_eq!(Source::from_number(0xff00), None, "no such domain");
    /// ```
    pub const fn number(self) -> u16 {
        (self.domain.number() as u16) << 8 | self.instance as u16
    }

    /// The source with this number.
    pub fn from_number(number: u16) -> Option<Source> {
        let [instance, domain] = number.to_le_bytes();
        Some(Source { domain: Domain::from_number(domain)?, instance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_is_read_from_its_word_and_from_its_number() {
        for domain in Domain::ALL {
            assert_eq!(Domain::from_word(domain.word()), Some(domain));
            assert_eq!(Domain::from_number(domain.number()), Some(domain));
        }
        assert_eq!(Domain::from_word("nobody"), None);
        assert_eq!(Domain::from_number(Domain::ALL.len() as u8), None);
    }
}
