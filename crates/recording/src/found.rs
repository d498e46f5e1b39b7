//! How TLS libraries were found in a process and what came of it, in words.

use ledger::{Found, Other, Outcome, Way};

/// The way into an OpenSSL, in words.
pub fn way_in_words(way: Way) -> &'static str {
    match way {
        Way::Exported => "its setter is exported",
        Way::SymbolTable => "its setter is in the symbol table",
        Way::Instructions => "its setter was recognised by its code",
        Way::VariableSymbols => "its variables are in the symbol table",
        Way::VariableInstructions => "its variables were read out of its code",
        _ => "no way into it is known",
    }
}

/// How an OpenSSL was found and what came of it, in words.
pub fn describe(found: &Found) -> String {
    let way = way_in_words(found.way);
    match found.outcome {
        Outcome::Recorded => format!("recorded from its first allocation on ({way})"),
        Outcome::Chained => format!(
            "recorded from its first allocation on, above the program's own memory functions \
             ({way})"
        ),
        Outcome::Late => {
            format!("recorded since it was found; what it had allocated before is unknown ({way})")
        }
        Outcome::Detached => format!(
            "recorded from the attach on, until it was let go; what it had allocated before is \
             unknown ({way})"
        ),
        Outcome::Refused => {
            format!("not recorded: it had allocated memory before it was found ({way})")
        }
        Outcome::Replaced => {
            "not recorded: the program has put memory functions of its own into it".to_owned()
        }
        _ => format!("not recorded: {way}"),
    }
}

/// A TLS library that is not OpenSSL, in words.
pub fn describe_other(other: &Other) -> String {
    let Other { object, library } = other;
    format!("{} in {object} is not recorded: it {}", library.name(), library.obstacle())
}
