//! The fixes: each one a change of settings.

use clap::ValueEnum;
use echo_server::Configuration;
use echo_server::configuration::{
    Buffers, Compression, Context, LARGEST_FRAGMENT, Protocol, SessionCache, TrustStore,
};

/// A change of settings that may save memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fix {
    /// Record buffers are freed whenever they are empty (SSL_MODE_RELEASE_BUFFERS)
    ReleaseBuffers,
    /// No record compression, by option (SSL_OP_NO_COMPRESSION)
    NoCompression,
    /// No record compression, by emptying OpenSSL's global stack of methods
    EmptyCompressionMethods,
    /// One SSL_CTX for all connections, and with it one trust store
    SharedContext,
    /// One trust store for all contexts
    SharedStore,
    /// Key exchange with X25519 only, without ML-KEM
    NoMlkem,
    /// Records of at most 4,096 bytes (max_send_fragment)
    SmallFragments,
    /// No sessions in the context's cache
    NoSessionCache,
    /// No session tickets in TLS 1.3 (num_tickets 0)
    NoTickets,
}

impl Fix {
    /// All of them, in the order in which they are told.
    pub const ALL: [Fix; 9] = [
        Fix::ReleaseBuffers,
        Fix::NoCompression,
        Fix::EmptyCompressionMethods,
        Fix::SharedContext,
        Fix::SharedStore,
        Fix::NoMlkem,
        Fix::SmallFragments,
        Fix::NoSessionCache,
        Fix::NoTickets,
    ];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
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
        }
    }

    /// The findings of `diagnose` that it removes: together they predict what it saves.
    pub fn findings(self) -> &'static [&'static str] {
        match self {
            Fix::ReleaseBuffers => &["record-buffers-kept"],
            Fix::NoCompression => &["compression-negotiated", "compression-allowed"],
            Fix::EmptyCompressionMethods => &["compression-negotiated"],
            Fix::SharedContext => &["context-per-connection", "trust-store-parsed-again"],
            Fix::SharedStore => &["trust-store-parsed-again"],
            Fix::NoMlkem => &["mlkem-key-kept"],
            Fix::SmallFragments | Fix::NoTickets => &[],
            Fix::NoSessionCache => &["session-cache-filling"],
        }
    }

    /// Whether the preloaded library can give the setting to a program's connections, or why not.
    pub fn reaches_from_outside(self) -> Result<(), &'static str> {
        match self {
            Fix::SharedContext | Fix::SharedStore => {
                Err("only the program itself can share what its connections have of their own")
            }
            _ => Ok(()),
        }
    }

    /// The configuration with the fix, or why it cannot be applied.
    pub fn apply(self, to: &Configuration) -> Result<Configuration, &'static str> {
        let mut fixed = to.clone();
        match self {
            Fix::ReleaseBuffers => {
                unless(to.buffers == Buffers::Released, "buffers are released already")?;
                fixed.buffers = Buffers::Released;
            }
            Fix::NoCompression => {
                unless(to.compression == Compression::Off, "compression is off already")?;
                fixed.compression = Compression::Off;
            }
            Fix::EmptyCompressionMethods => {
                unless(to.compression == Compression::Off, "compression is off already")?;
                unless(to.compression == Compression::Zeroed, "the stack is empty already")?;
                fixed.compression = Compression::Zeroed;
            }
            Fix::SharedContext => {
                unless(to.context == Context::Shared, "the context is shared already")?;
                fixed.context = Context::Shared;
                if to.trust_store == TrustStore::PerConnection {
                    fixed.trust_store = TrustStore::Shared;
                }
            }
            Fix::SharedStore => match to.trust_store {
                TrustStore::Shared => return Err("the trust store is shared already"),
                TrustStore::None => return Err("there is no trust store"),
                TrustStore::PerConnection => fixed.trust_store = TrustStore::Shared,
            },
            Fix::NoMlkem => {
                unless(to.protocol == Protocol::Tls12, "TLS 1.2 has no ML-KEM")?;
                unless(to.groups.is_some(), "the configuration names its groups already")?;
                fixed.groups = Some("X25519".to_owned());
            }
            Fix::SmallFragments => {
                let small = to.max_send_fragment < LARGEST_FRAGMENT;
                unless(small, "records are small already")?;
                let released = to.buffers == Buffers::Released;
                unless(released, "idle connections have no write buffer that could be smaller")?;
                fixed.max_send_fragment = 4_096;
            }
            Fix::NoSessionCache => {
                let tickets = to.session_cache == SessionCache::Tickets;
                unless(tickets, "sessions are in tickets, no cache is in use")?;
                fixed.session_cache = SessionCache::Tickets;
            }
            Fix::NoTickets => {
                return Err("configurations of the reference server have no key for it");
            }
        }
        Ok(fixed)
    }
}

/// A reason not to go on, if there is one.
fn unless(already: bool, reason: &'static str) -> Result<(), &'static str> {
    if already { Err(reason) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use analysis::diagnosis::RULES;
    use echo_server::configuration::standard_names;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line_and_findings_exist() {
        for fix in Fix::ALL {
            let value = fix.to_possible_value().expect("no fix is hidden");
            assert_eq!(value.get_name(), fix.name());
            for id in fix.findings() {
                assert!(RULES.iter().any(|rule| rule.id == *id), "{id}");
            }
        }
        assert_eq!(Fix::ALL.len(), Fix::value_variants().len());
    }

    #[test]
    fn a_fixed_configuration_is_another_one_that_can_be_read_again() {
        for name in standard_names() {
            let configuration = Configuration::standard(name).unwrap();
            for fix in Fix::ALL {
                let Ok(fixed) = fix.apply(&configuration) else { continue };
                assert_ne!(fixed, configuration, "{name}: {}", fix.name());
                let read = Configuration::parse(&fixed.to_toml(), "fixed.toml").unwrap();
                assert_eq!(read, fixed, "{name}: {}", fix.name());
                assert!(fix.apply(&fixed).is_err(), "{name}: {} twice", fix.name());
            }
        }
    }
}
