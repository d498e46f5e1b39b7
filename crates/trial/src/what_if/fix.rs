//! The fixes: each one a change of settings.

use contract::Fix;
use echo_server::Configuration;
use echo_server::configuration::{
    Buffers, Compression, Context, LARGEST_FRAGMENT, Protocol, SessionCache, TrustStore,
};

/// The findings of `diagnose` that the fix removes: together they predict what it saves.
pub(super) fn findings(fix: Fix) -> &'static [&'static str] {
    match fix {
        Fix::ReleaseBuffers => &["record-buffers-kept"],
        Fix::NoCompression => &["compression-negotiated", "compression-allowed"],
        Fix::EmptyCompressionMethods => &["compression-negotiated"],
        Fix::SharedContext => &["context-per-connection", "bundle-parsed-again"],
        Fix::SharedStore => &["bundle-parsed-again"],
        Fix::NoMlkem => &["mlkem-key-kept"],
        Fix::SmallFragments | Fix::NoTickets | Fix::OneArena => &[],
        Fix::EarlyTrim => &["free-pages-kept"],
        Fix::NoSessionCache => &["session-cache-filling"],
    }
}

/// Whether the preloaded library can give the setting to a program's connections, or why not.
pub(super) fn reaches_from_outside(fix: Fix) -> Result<(), &'static str> {
    let reason = "only the program itself can share what its connections have of their own";
    unless(!fix.reaches_from_outside(), reason)
}

/// The configuration with the fix, or why it cannot be applied.
pub(super) fn apply(fix: Fix, to: &Configuration) -> Result<Configuration, &'static str> {
    let mut fixed = to.clone();
    match fix {
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
        Fix::OneArena | Fix::EarlyTrim => {
            return Err("the reference server has jemalloc, and not the C library's allocator");
        }
    }
    Ok(fixed)
}

/// A reason not to go on, if there is one.
fn unless(already: bool, reason: &'static str) -> Result<(), &'static str> {
    if already { Err(reason) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use analysis::diagnosis::every_rule;
    use echo_server::configuration::standard_names;

    use super::*;

    #[test]
    fn findings_that_a_fix_removes_exist() {
        for id in Fix::ALL.into_iter().flat_map(findings) {
            assert!(every_rule().any(|rule| rule.id == *id), "{id}");
        }
    }

    #[test]
    fn a_fixed_configuration_is_another_one_that_can_be_read_again() {
        for name in standard_names() {
            let configuration = Configuration::standard(name).unwrap();
            for fix in Fix::ALL {
                let Ok(fixed) = apply(fix, &configuration) else { continue };
                assert_ne!(fixed, configuration, "{name}: {}", fix.name());
                let read = Configuration::parse(&fixed.to_toml(), "fixed.toml").unwrap();
                assert_eq!(read, fixed, "{name}: {}", fix.name());
                assert!(apply(fix, &fixed).is_err(), "{name}: {} twice", fix.name());
            }
        }
    }
}
