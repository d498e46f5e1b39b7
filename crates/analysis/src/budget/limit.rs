//! What a budget limits: of what, which figure, and how much it may be.

use contract::Domain;

use crate::objects::Object;

/// A budget, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// The capture to compare with, as the file names it.
    pub baseline: Option<String>,
    /// The limits, in the order of the file.
    pub limits: Vec<Limit>,
    /// The rules whose findings are allowed; `None` where findings are nobody's business.
    pub allowed_findings: Option<Vec<String>>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub scope: Scope,
    /// Which figure of it.
    pub figure: Figure,
    /// How much it may be.
    pub most: Most,
    /// The line of the file.
    pub line: usize,
}

/// What is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything that OpenSSL asked for.
    Total,
    /// What is resident of the processes, whoever asked for it, and in no file.
    Resident,
    /// What others than OpenSSL asked for.
    Domain(Domain),
    /// A category, or a whole group of them: `x509` has `x509.store` in it.
    Category(String),
    /// A site, `file:line`.
    Site(String),
    /// A function that asks for memory.
    Function(String),
    /// Objects of a kind, for each connection.
    Objects(Object),
}

/// Which figure is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Bytes in use, less the baseline of the run, for each connection.
    BytesPerConnection,
    /// Blocks in use, less the baseline of the run, for each connection.
    BlocksPerConnection,
    /// Allocations since the baseline of the run, for each connection.
    AllocationsPerHandshake,
    /// Bytes in use in the whole process.
    Bytes,
    /// Blocks in use in the whole process.
    Blocks,
    /// Live objects that came with each connection.
    ObjectsPerConnection,
}

/// How much a figure may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Most {
    /// So much.
    Absolute(f64),
    /// So many hundredths more than in the baseline profile.
    BaselinePercent(f64),
    /// So much more than in the baseline profile.
    BaselineMore(f64),
}

impl Figure {
    /// The figures that have a key in tables of sites, functions, categories and the total.
    pub const KEYS: [Figure; 5] = [
        Figure::BytesPerConnection,
        Figure::BlocksPerConnection,
        Figure::AllocationsPerHandshake,
        Figure::Bytes,
        Figure::Blocks,
    ];

    /// The figures of resident memory, in which there are no blocks.
    pub const OF_RESIDENT: [Figure; 2] = [Figure::BytesPerConnection, Figure::Bytes];

    /// The figures of what others than OpenSSL asked for.
    pub const OF_DOMAINS: [Figure; 4] =
        [Figure::BytesPerConnection, Figure::BlocksPerConnection, Figure::Bytes, Figure::Blocks];

    /// The key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Figure::BytesPerConnection => "bytes_per_connection",
            Figure::BlocksPerConnection => "blocks_per_connection",
            Figure::AllocationsPerHandshake => "allocations_per_handshake",
            Figure::Bytes => "bytes",
            Figure::Blocks => "blocks",
            Figure::ObjectsPerConnection => "per_connection",
        }
    }

    /// What follows a number, in a sentence.
    pub fn unit(self) -> &'static str {
        match self {
            Figure::BytesPerConnection => "bytes a connection",
            Figure::BlocksPerConnection => "blocks a connection",
            Figure::AllocationsPerHandshake => "allocations a handshake",
            Figure::Bytes => "bytes",
            Figure::Blocks => "blocks",
            Figure::ObjectsPerConnection => "a connection",
        }
    }
}

impl Scope {
    /// How the limit is called in output: `total`, `category x509.store`, `SSL_CTX`.
    pub fn name(&self) -> String {
        match self {
            Scope::Total => "total".to_owned(),
            Scope::Resident => "resident".to_owned(),
            Scope::Domain(domain) => format!("domain {}", domain.word()),
            Scope::Category(name) => format!("category {name}"),
            Scope::Site(site) => format!("site {site}"),
            Scope::Function(name) => format!("function {name}"),
            Scope::Objects(object) => object.name().to_owned(),
        }
    }
}
