//! Words of the coverage file, in which a process says what the recorder found in it: how an
//! OpenSSL was found, and what came of it.

/// How the problem of a process begins in which nothing could be counted, for want of a ledger. The
/// reason is behind it.
pub const NO_LEDGER: &str = "no ledger could be made: ";

/// How the problem of a process begins in which OpenSSL's memory alone is recorded, though all of it
/// was to be. The reason is behind it.
pub const NO_HEAP: &str = "what the program asks malloc for is not recorded: ";

/// How an OpenSSL was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Way {
    /// The object exports CRYPTO_set_mem_functions.
    Exported,
    /// CRYPTO_set_mem_functions is in the symbol table of the object's file.
    SymbolTable,
    /// CRYPTO_set_mem_functions was recognised by its instructions.
    Instructions,
    /// The variables that hold the functions are in the symbol table of the object's file.
    VariableSymbols,
    /// The variables that hold the functions were read out of OpenSSL's instructions.
    VariableInstructions,
    /// Not at all: there is an OpenSSL, and no way into it is known.
    Nowhere,
}

/// Whether an OpenSSL is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// Recorded from its first allocation on.
    Recorded,
    /// Recorded from its first allocation on, and the program's own memory functions are called
    /// below.
    Chained,
    /// Recorded since it was found. It had allocated before, and of those blocks nothing is known.
    Late,
    /// It was recorded since it was found, until the process was let go: its own functions are in it
    /// again.
    Detached,
    /// Not recorded: it had allocated before it was found, and then it takes no functions.
    Refused,
    /// Not recorded: the program has put functions of its own into it.
    Replaced,
    /// Not recorded: no way into it was found.
    Unreachable,
}

impl Way {
    /// Every way.
    pub const ALL: [Way; 6] = [
        Way::Exported,
        Way::SymbolTable,
        Way::Instructions,
        Way::VariableSymbols,
        Way::VariableInstructions,
        Way::Nowhere,
    ];

    /// The word in coverage files.
    pub const fn word(self) -> &'static str {
        match self {
            Way::Exported => "exported",
            Way::SymbolTable => "symbol-table",
            Way::Instructions => "instructions",
            Way::VariableSymbols => "variable-symbols",
            Way::VariableInstructions => "variable-instructions",
            Way::Nowhere => "nowhere",
        }
    }

    /// The way with this word in coverage files.
    pub fn from_word(word: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.word() == word)
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 7] = [
        Outcome::Recorded,
        Outcome::Chained,
        Outcome::Late,
        Outcome::Detached,
        Outcome::Refused,
        Outcome::Replaced,
        Outcome::Unreachable,
    ];

    /// Whether its allocations are counted, all of them or those since it was found.
    pub fn is_recorded(self) -> bool {
        matches!(self, Outcome::Recorded | Outcome::Chained | Outcome::Late | Outcome::Detached)
    }

    /// The word in coverage files.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Recorded => "recorded",
            Outcome::Chained => "chained",
            Outcome::Late => "late",
            Outcome::Detached => "detached",
            Outcome::Refused => "refused",
            Outcome::Replaced => "replaced",
            Outcome::Unreachable => "unreachable",
        }
    }

    /// The outcome with this word in coverage files.
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_what_was_written() {
        assert!(Way::ALL.into_iter().all(|way| Way::from_word(way.word()) == Some(way)));
        let is_read = |outcome: Outcome| Outcome::from_word(outcome.word()) == Some(outcome);
        assert!(Outcome::ALL.into_iter().all(is_read));
    }
}
