//! What is recorded of a process.

/// Whose blocks are counted in a process, and from when on.
///
/// ```
/// use contract::{PeakOf, Scope};
///
/// assert_eq!(Scope::from_word("all"), Some(Scope::Everything));
/// assert_eq!(Scope::Everything.peak_of(), PeakOf::All);
/// assert_eq!(Scope::WithOpenssl.peak_of(), PeakOf::Openssl);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// What its OpenSSLs ask for.
    #[default]
    Openssl = 0,
    /// What everybody in it asks the malloc family and the kernel for, too, in every process.
    Everything = 1,
    /// The same, in processes in which an OpenSSL is asked for memory; the others are left out.
    WithOpenssl = 2,
    /// The same, and of a process that begins without an OpenSSL from the moment on at which one
    /// is asked for memory in it: a program that starts many others without one costs no more than
    /// it does by itself.
    FromOpenssl = 3,
}

/// Of what a ledger has the highest total, and all else as it was at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum PeakOf {
    /// Of all that is counted in it.
    #[default]
    All = 0,
    /// Of OpenSSL's memory: what the rest of the program does with its own does not hide it.
    Openssl = 1,
}

impl Scope {
    const ALL: [Scope; 4] =
        [Scope::Openssl, Scope::Everything, Scope::WithOpenssl, Scope::FromOpenssl];

    /// The value of the variable [`SCOPE`](crate::environment::SCOPE).
    pub const fn word(self) -> &'static str {
        match self {
            Scope::Openssl => "openssl",
            Scope::Everything => "all",
            Scope::WithOpenssl => "with-openssl",
            Scope::FromOpenssl => "from-openssl",
        }
    }

    /// The scope with this word.
    pub fn from_word(word: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// The scope with this number.
    pub fn from_number(number: u64) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| *scope as u64 == number)
    }

    /// Whether more is counted than OpenSSL's memory.
    pub const fn is_whole(self) -> bool {
        !matches!(self, Scope::Openssl)
    }

    /// Whether processes count in which no OpenSSL was asked for memory.
    pub const fn has_all_processes(self) -> bool {
        matches!(self, Scope::Everything)
    }

    /// What the highest total is of.
    pub const fn peak_of(self) -> PeakOf {
        match self {
            Scope::Openssl | Scope::Everything => PeakOf::All,
            Scope::WithOpenssl | Scope::FromOpenssl => PeakOf::Openssl,
        }
    }
}

impl PeakOf {
    /// What a ledger's number stands for; all but 1 are [`PeakOf::All`].
    pub const fn from_number(number: u32) -> PeakOf {
        if number == PeakOf::Openssl as u32 { PeakOf::Openssl } else { PeakOf::All }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_from_its_word_and_from_its_number() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.word()), Some(scope));
            assert_eq!(Scope::from_number(scope as u64), Some(scope));
        }
        assert_eq!((Scope::from_word("1"), Scope::from_number(4)), (None, None));
    }
}
