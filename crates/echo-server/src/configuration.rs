//! A configuration: one named way of setting OpenSSL up, read from a small TOML file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use crate::configuration_error::ConfigurationError;

/// The standard configurations, in the order in which they are told. The first five are the
/// staircase: each is the one before it with one change.
const STANDARD: &[(&str, &str)] = &[
    ("node-0.4", include_str!("configurations/node-0.4.toml")),
    ("shared-store", include_str!("configurations/shared-store.toml")),
    ("shared-context", include_str!("configurations/shared-context.toml")),
    ("no-compression", include_str!("configurations/no-compression.toml")),
    ("release-buffers", include_str!("configurations/release-buffers.toml")),
    ("compression-zeroed", include_str!("configurations/compression-zeroed.toml")),
    ("tls13", include_str!("configurations/tls13.toml")),
    ("tls13-release-buffers", include_str!("configurations/tls13-release-buffers.toml")),
    ("tls13-x25519", include_str!("configurations/tls13-x25519.toml")),
    ("mutual-tls", include_str!("configurations/mutual-tls.toml")),
    ("session-cache", include_str!("configurations/session-cache.toml")),
    ("small-fragments", include_str!("configurations/small-fragments.toml")),
];

/// How many of the standard configurations form the staircase of 2011.
const STAIRCASE: usize = 5;

/// The largest record that TLS allows, in bytes; OpenSSL's default.
pub const LARGEST_FRAGMENT: u32 = 16_384;
/// The smallest `max_send_fragment` that OpenSSL accepts, in bytes.
pub const SMALLEST_FRAGMENT: u32 = 512;

/// One way of setting OpenSSL up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Configuration {
    /// What it is called, in commands and in tables.
    pub name: String,
    /// What it is, in one line.
    #[serde(default)]
    pub summary: String,
    /// Whose the `SSL_CTX` is.
    pub context: Context,
    /// Whose the trusted root certificates are.
    pub trust_store: TrustStore,
    /// Whether records are compressed.
    pub compression: Compression,
    /// What becomes of the record buffers of an idle connection.
    pub buffers: Buffers,
    /// The only protocol version spoken.
    pub protocol: Protocol,
    /// Whether clients have to show a certificate.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// Where sessions are kept for resumption.
    #[serde(default)]
    pub session_cache: SessionCache,
    /// Key exchange groups as OpenSSL writes them (`X25519:P-256`); `None` for its own list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
    /// The largest record sent, in bytes of plain text.
    #[serde(default = "largest_fragment")]
    pub max_send_fragment: u32,
}

/// Whose the `SSL_CTX` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Context {
    /// Each connection makes its own and frees it when it ends.
    PerConnection,
    /// One for the server.
    Shared,
}

/// Whose the trusted root certificates are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustStore {
    /// There are none.
    None,
    /// Mozilla's roots, parsed once; every context points to the one `X509_STORE`.
    Shared,
    /// Mozilla's roots, parsed from PEM text into a new `X509_STORE` for each connection.
    PerConnection,
}

/// Whether records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Declined by `SSL_OP_NO_COMPRESSION`.
    Off,
    /// Accepted when the client offers it.
    Zlib,
    /// Allowed, but OpenSSL's global stack of methods is empty. Holds for the whole process.
    Zeroed,
}

/// What becomes of the record buffers of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Buffers {
    /// Buffers stay allocated.
    Kept,
    /// Buffers are freed whenever they are empty (`SSL_MODE_RELEASE_BUFFERS`).
    Released,
}

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// Clients are not asked for one.
    #[default]
    None,
    /// Clients are asked for one, and refused without one that the client authority has signed.
    Required,
}

/// Where sessions are kept for resumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionCache {
    /// In tickets, which the clients keep; nothing stays in the server.
    #[default]
    Tickets,
    /// In the context's internal cache; no tickets (`SSL_OP_NO_TICKET`).
    Internal,
}

/// What a client has to do for a configuration to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientNeeds {
    /// The version to speak.
    pub protocol: Protocol,
    /// Whether to offer compression.
    pub compression: CompressionOffer,
    /// Whether to show a certificate chain.
    pub client_certificates: ClientCertificates,
}

/// Whether a client offers compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionOffer {
    /// A client does not.
    None,
    /// A client offers zlib.
    Zlib,
}

impl Configuration {
    /// The standard configuration of that name, or an error that suggests the nearest one.
    pub fn standard(name: &str) -> Result<Configuration, ConfigurationError> {
        let (name, text) = STANDARD
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| ConfigurationError::unknown_name(name, standard_names()))?;
        Configuration::parse(text, &format!("{name}.toml"))
    }

    /// The user's own configuration, from a TOML file.
    pub fn read(path: &Path) -> Result<Configuration, ConfigurationError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => Configuration::parse(&text, &file),
            Err(source) => Err(ConfigurationError::Unreadable { file, source }),
        }
    }

    /// What the user named: a file if it looks like one (a `/` in it, or `.toml` at its end),
    /// else a standard configuration.
    pub fn find(name_or_path: &str) -> Result<Configuration, ConfigurationError> {
        let path = Path::new(name_or_path);
        if name_or_path.contains('/') || path.extension().is_some_and(|it| it == "toml") {
            Configuration::read(path)
        } else {
            Configuration::standard(name_or_path)
        }
    }

    /// Reads a configuration from TOML text; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Configuration, ConfigurationError> {
        let configuration: Configuration = toml::from_str(text)
            .map_err(|error| ConfigurationError::from_toml(&error, text, file))?;
        match configuration.contradiction() {
            Some(what) => Err(ConfigurationError::Contradiction { file: file.to_owned(), what }),
            None => Ok(configuration),
        }
    }

    /// The configuration as the text of a file, every key in it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a table of words, numbers and texts is valid TOML")
    }

    /// What a client has to do for this configuration to happen. Clients offer compression
    /// wherever the protocol has it, whether or not the server declines: the load stays the same
    /// while the configurations differ.
    pub fn client(&self) -> ClientNeeds {
        ClientNeeds {
            protocol: self.protocol,
            compression: match self.protocol {
                Protocol::Tls12 => CompressionOffer::Zlib,
                Protocol::Tls13 => CompressionOffer::None,
            },
            client_certificates: self.client_certificates,
        }
    }

    /// Settings that exclude each other, in a sentence for the user.
    fn contradiction(&self) -> Option<String> {
        if self.context == Context::Shared && self.trust_store == TrustStore::PerConnection {
            return Some(
                "trust_store = \"per-connection\" needs context = \"per-connection\": the store \
                 belongs to the context"
                    .into(),
            );
        }
        if self.compression == Compression::Zlib && self.protocol == Protocol::Tls13 {
            return Some(
                "compression = \"zlib\" needs protocol = \"1.2\": TLS 1.3 has no compression"
                    .into(),
            );
        }
        if !(SMALLEST_FRAGMENT..=LARGEST_FRAGMENT).contains(&self.max_send_fragment) {
            return Some(format!(
                "max_send_fragment = {} is out of range: OpenSSL takes {SMALLEST_FRAGMENT} to \
                 {LARGEST_FRAGMENT} bytes",
                self.max_send_fragment
            ));
        }
        None
    }
}

/// The names of the standard configurations, in their order.
pub fn standard_names() -> impl ExactSizeIterator<Item = &'static str> {
    STANDARD.iter().map(|(name, _)| *name)
}

/// The names of the first five: the story of 2011, one change a step.
pub fn staircase() -> impl ExactSizeIterator<Item = &'static str> {
    standard_names().take(STAIRCASE)
}

/// The text of a standard configuration's file, comments and all.
pub fn standard_text(name: &str) -> Result<&'static str, ConfigurationError> {
    STANDARD
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| ConfigurationError::unknown_name(name, standard_names()))
}

fn largest_fragment() -> u32 {
    LARGEST_FRAGMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "name = \"mine\"\ncontext = \"shared\"\ntrust_store = \"none\"\n\
                         compression = \"off\"\nbuffers = \"kept\"\nprotocol = \"1.3\"\n";

    fn error(text: &str) -> String {
        Configuration::parse(text, "mine.toml").unwrap_err().to_string()
    }

    #[test]
    fn every_standard_configuration_parses_and_has_the_name_it_is_listed_under() {
        for name in standard_names() {
            let configuration = Configuration::standard(name).unwrap();
            assert_eq!(configuration.name, name);
            assert!(!configuration.summary.is_empty(), "{name} has no summary");
            assert!(standard_text(name).unwrap().starts_with("# "), "{name} does not say why");
        }
    }

    #[test]
    fn every_standard_configuration_is_itself_again_when_written_and_read() {
        for name in standard_names() {
            let configuration = Configuration::standard(name).unwrap();
            let text = configuration.to_toml();
            assert_eq!(Configuration::parse(&text, "written.toml").unwrap(), configuration);
        }
    }

    #[test]
    fn each_step_of_the_staircase_changes_one_thing() {
        let steps: Vec<_> = staircase().map(|it| Configuration::standard(it).unwrap()).collect();
        assert_eq!(steps.len(), 5);
        for pair in steps.windows(2) {
            assert_eq!(changes(&pair[0], &pair[1]), 1, "{} to {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn the_variants_of_tls13_change_one_thing_each() {
        let tls13 = Configuration::standard("tls13").unwrap();
        let variants = [
            "tls13-release-buffers",
            "tls13-x25519",
            "mutual-tls",
            "session-cache",
            "small-fragments",
        ];
        for name in variants {
            assert_eq!(changes(&tls13, &Configuration::standard(name).unwrap()), 1, "{name}");
        }
    }

    /// In how many settings two configurations differ.
    fn changes(a: &Configuration, b: &Configuration) -> usize {
        [
            a.context != b.context,
            a.trust_store != b.trust_store,
            a.compression != b.compression,
            a.buffers != b.buffers,
            a.protocol != b.protocol,
            a.client_certificates != b.client_certificates,
            a.session_cache != b.session_cache,
            a.groups != b.groups,
            a.max_send_fragment != b.max_send_fragment,
        ]
        .into_iter()
        .filter(|changed| *changed)
        .count()
    }

    #[test]
    fn what_is_left_out_has_the_plain_value() {
        let configuration = Configuration::parse(PLAIN, "mine.toml").unwrap();
        assert_eq!(configuration.client_certificates, ClientCertificates::None);
        assert_eq!(configuration.session_cache, SessionCache::Tickets);
        assert_eq!(configuration.groups, None);
        assert_eq!(configuration.max_send_fragment, 16_384);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        insta::assert_snapshot!(Configuration::standard("node-0.5").unwrap_err(), @"no configuration is called `node-0.5` (did you mean `node-0.4`?); there are: node-0.4, shared-store, shared-context, no-compression, release-buffers, compression-zeroed, tls13, tls13-release-buffers, tls13-x25519, mutual-tls, session-cache, small-fragments");
    }

    #[test]
    fn a_name_like_nothing_is_answered_with_all_names() {
        let error = Configuration::standard("qqq").unwrap_err().to_string();
        assert!(error.starts_with("no configuration is called `qqq`; there are: node-0.4, "));
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_place_and_the_right_one() {
        insta::assert_snapshot!(error(&format!("{PLAIN}bufers = \"kept\"\n")), @"mine.toml:7:1: unknown key `bufers` (did you mean `buffers`?); expected name, summary, context, trust_store, compression, buffers, protocol, client_certificates, session_cache, groups, max_send_fragment");
    }

    #[test]
    fn a_misspelt_value_is_named_with_its_place_and_the_right_one() {
        insta::assert_snapshot!(error(&PLAIN.replace("\"off\"", "\"zlb\"")), @"mine.toml:4:15: unknown value `zlb` (did you mean `zlib`?); expected off, zlib, zeroed");
    }

    #[test]
    fn a_missing_key_is_named() {
        insta::assert_snapshot!(error(&PLAIN.replace("buffers = \"kept\"\n", "")), @"mine.toml:1:1: missing key `buffers`");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        insta::assert_snapshot!(error(&format!("{PLAIN}max_send_fragment = \"4096\"\n")), @r#"mine.toml:7:21: invalid type: string "4096", expected u32"#);
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_place() {
        insta::assert_snapshot!(error("name = \n"), @"mine.toml:1:8: string values must be quoted, expected literal string");
    }

    #[test]
    fn settings_that_exclude_each_other_are_refused() {
        insta::assert_snapshot!(error(&PLAIN.replace("\"off\"", "\"zlib\"")), @r#"mine.toml: compression = "zlib" needs protocol = "1.2": TLS 1.3 has no compression"#);
        insta::assert_snapshot!(error(&PLAIN.replace("\"none\"", "\"per-connection\"")), @r#"mine.toml: trust_store = "per-connection" needs context = "per-connection": the store belongs to the context"#);
        insta::assert_snapshot!(error(&format!("{PLAIN}max_send_fragment = 100\n")), @"mine.toml: max_send_fragment = 100 is out of range: OpenSSL takes 512 to 16384 bytes");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Configuration::find("nowhere/mine.toml").unwrap_err();
        assert_eq!(error.to_string(), "cannot read the configuration nowhere/mine.toml");
    }

    #[test]
    fn clients_offer_compression_wherever_the_protocol_has_it() {
        for name in standard_names() {
            let configuration = Configuration::standard(name).unwrap();
            let offers = configuration.client().compression == CompressionOffer::Zlib;
            assert_eq!(offers, configuration.protocol == Protocol::Tls12, "{name}");
        }
    }
}
