//! Fixes on the command line.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use contract::Fix;

/// Reads a fix from the command line, and lists all of them with what they do.
pub fn value_parser() -> impl TypedValueParser<Value = Fix> {
    let value = |fix: Fix| PossibleValue::new(fix.name()).help(help(fix));
    PossibleValuesParser::new(Fix::ALL.map(value))
        .map(|name| Fix::from_name(&name).expect("the possible values are the names of fixes"))
}

fn help(fix: Fix) -> &'static str {
    match fix {
        Fix::ReleaseBuffers => {
            "Record buffers are freed whenever they are empty (SSL_MODE_RELEASE_BUFFERS)"
        }
        Fix::NoCompression => "No record compression, by option (SSL_OP_NO_COMPRESSION)",
        Fix::EmptyCompressionMethods => {
            "No record compression, by emptying OpenSSL's global stack of methods"
        }
        Fix::SharedContext => "One SSL_CTX for all connections, and with it one trust store",
        Fix::SharedStore => "One trust store for all contexts",
        Fix::NoMlkem => "Key exchange with X25519 only, without ML-KEM",
        Fix::SmallFragments => "Records of at most 4,096 bytes (max_send_fragment)",
        Fix::NoSessionCache => "No sessions in the context's cache",
        Fix::NoTickets => "No session tickets in TLS 1.3 (num_tickets 0)",
        Fix::OneArena => "One heap of the C library's for all threads (MALLOC_ARENA_MAX=1)",
        Fix::EarlyTrim => {
            "Free memory at the end of its heaps given back early (MALLOC_TRIM_THRESHOLD_=65536)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_taken_on_the_command_line() {
        let names: Vec<_> = value_parser().possible_values().expect("they are listed").collect();
        assert_eq!(names.len(), Fix::ALL.len());
        let command =
            clap::Command::new("x").arg(clap::Arg::new("fix").value_parser(value_parser()));
        for fix in Fix::ALL {
            let read = command.clone().try_get_matches_from(["x", fix.name()]).expect("a fix");
            assert_eq!(read.get_one("fix"), Some(&fix));
        }
    }
}
