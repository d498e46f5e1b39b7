//! From the options to a TLS connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::failure::{Failure, FailureKind};
use crate::local_addresses::LocalAddresses;
use crate::options::{ClientOptions, CompressionOffer, Conversation, Protocol, Verification};
use crate::talk::{Opened, Stream, Talk};

/// OpenSSL refuses compression at any higher security level; its default has been 2 since 3.2.
const COMPRESSION_SECURITY_LEVEL: u32 = 1;

/// A client's certificate, those between it and the root, and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Identity {
    /// Reads PEM texts; both may be the same, if it has certificates and key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, ClientError> {
        let chain = X509::stack_from_pem(chain).map_err(ClientError::Chain)?;
        if chain.is_empty() {
            return Err(ClientError::NoCertificate);
        }
        let key = PKey::private_key_from_pem(key).map_err(ClientError::Key)?;
        Ok(Identity { chain, key })
    }
}

/// Why clients cannot be set up as the options say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Compression goes with TLS 1.2 alone.
    #[error(
        "compression can be offered with TLS 1.2 only; choose that protocol, or no compression"
    )]
    CompressionNeedsTls12,
    /// A client's certificates cannot be read.
    #[error("the client's certificate chain is not PEM text that OpenSSL can read")]
    Chain(#[source] ErrorStack),
    /// There is no certificate in the text.
    #[error("the client's certificate chain holds no certificate (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A client's private key cannot be read.
    #[error("the client's private key is not PEM text that OpenSSL can read")]
    Key(#[source] ErrorStack),
    /// The authorities cannot be read.
    #[error("the authorities are not PEM certificates that OpenSSL can read")]
    Authorities(#[source] ErrorStack),
    /// There is no authority in the text.
    #[error("the file of authorities holds no certificate (-----BEGIN CERTIFICATE-----)")]
    NoAuthority,
    /// The name is none that a server can have.
    #[error("{0:?} cannot be asked for as a server's name")]
    ServerName(String),
    /// The document's path would be no line of HTTP.
    #[error("{0:?} is no path of a document: it begins with / and has no blanks in it")]
    Path(String),
    /// The user's name cannot be sent.
    #[error("{0:?} is no name of a PostgreSQL user")]
    User(String),
    /// An address cannot be reached from another.
    #[error("nobody gets from {local} to {server}: one is IPv4, the other IPv6")]
    OtherFamily {
        /// Where connections were to come from.
        local: IpAddr,
        /// Where they were to go.
        server: SocketAddr,
    },
    /// There is no local port for each connection.
    #[error(
        "{connections} connections to {server} need as many local ports, and there are {possible}: \
         ask for at most that many, connect from more addresses, or widen \
         net.ipv4.ip_local_port_range"
    )]
    TooFewPorts {
        /// How many connections are wanted.
        connections: usize,
        /// The server.
        server: SocketAddr,
        /// How many local ports there are.
        possible: usize,
    },
    /// OpenSSL does not take the options, for example a key that does not belong to a certificate.
    #[error("OpenSSL does not take the client's options")]
    NotTaken(#[from] ErrorStack),
}

/// Makes connections to one server.
pub(crate) struct Client {
    address: SocketAddr,
    from: LocalAddresses,
    context: SslContext,
    server_name: Option<String>,
    verifies: bool,
    talk: Talk,
    patience: Duration,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        from: LocalAddresses,
        options: &ClientOptions,
        conversation: &Conversation,
        patience: Duration,
    ) -> Result<Client, ClientError> {
        let server_name = options.server_name.clone();
        if let Some(name) = server_name.as_ref().filter(|name| !is_host(name)) {
            return Err(ClientError::ServerName(name.clone()));
        }
        let host = server_name.clone().unwrap_or_else(|| address.to_string());
        Ok(Client {
            address,
            from,
            context: context(options)?,
            server_name,
            verifies: options.verification != Verification::Off,
            talk: Talk::new(conversation, &host)?,
            patience,
        })
    }

    /// How long the server may take for each step.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// What is said on its connections.
    pub(crate) fn talk(&self) -> &Talk {
        &self.talk
    }

    /// A new connection, its full handshake done. Turns take one local address after another.
    pub(crate) async fn connect(&self, turn: usize) -> Result<Stream, Failure> {
        let connecting = async {
            let mut tcp = self
                .from
                .connect(self.address, turn)
                .await
                .map_err(|error| Failure::new(FailureKind::Connect, error))?;
            // Fails only on a socket that is no more, and the handshake will say so.
            let _ = tcp.set_nodelay(true);
            self.talk.before_tls(&mut tcp).await?;
            let mut stream = self
                .ssl()
                .and_then(|ssl| SslStream::new(ssl, tcp))
                .map_err(|error| Failure::new(FailureKind::Handshake, error))?;
            Pin::new(&mut stream)
                .connect()
                .await
                .map_err(|error| Failure::new(FailureKind::Handshake, error))?;
            Ok(stream)
        };
        timeout(self.patience, connecting).await.unwrap_or_else(|_| {
            Err(Failure::timeout(FailureKind::HandshakeTimeout, "handshake", self.patience))
        })
    }

    /// Everything up to the server's first words.
    pub(crate) async fn open(&self, stream: &mut Stream) -> Result<Opened, Failure> {
        timeout(self.patience, self.talk.open(stream)).await.unwrap_or_else(|_| {
            Err(Failure::timeout(FailureKind::WelcomeTimeout, "welcome", self.patience))
        })
    }

    /// One question and its answer.
    pub(crate) async fn ask(&self, stream: &mut Stream) -> Result<(), Failure> {
        timeout(self.patience, self.talk.ask(stream)).await.unwrap_or_else(|_| {
            let (kind, what) = self.talk.unanswered();
            Err(Failure::timeout(kind, what, self.patience))
        })
    }

    fn ssl(&self) -> Result<Ssl, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        if let Some(name) = &self.server_name {
            ssl.set_hostname(name)?;
        }
        if self.verifies {
            match &self.server_name {
                Some(name) => ssl.param_mut().set_host(name)?,
                None => ssl.param_mut().set_ip(self.address.ip())?,
            }
        }
        Ok(ssl)
    }
}

/// Letters, digits, dots and hyphens, as in names of hosts; at most as many as SNI takes.
fn is_host(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

fn context(options: &ClientOptions) -> Result<SslContext, ClientError> {
    let mut context = SslContextBuilder::new(SslMethod::tls_client())?;
    context.set_mode(SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    // Clients are many, and idle most of the time: without this each keeps 33 KB for records.
    context.set_mode(SslMode::RELEASE_BUFFERS);
    // Every handshake is a full one.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);

    let version = match options.protocol {
        Protocol::Any => None,
        Protocol::Tls12 => Some(SslVersion::TLS1_2),
        Protocol::Tls13 => Some(SslVersion::TLS1_3),
    };
    context.set_min_proto_version(version.or(Some(SslVersion::TLS1_2)))?;
    context.set_max_proto_version(version)?;

    match options.compression {
        CompressionOffer::None => {
            context.set_options(SslOptions::NO_COMPRESSION);
        }
        CompressionOffer::Zlib if options.protocol != Protocol::Tls12 => {
            return Err(ClientError::CompressionNeedsTls12);
        }
        CompressionOffer::Zlib => {
            context.clear_options(SslOptions::NO_COMPRESSION);
            context.set_security_level(COMPRESSION_SECURITY_LEVEL);
        }
    }

    if let Some(Identity { chain, key }) = &options.identity {
        let (leaf, issuers) = chain.split_first().ok_or(ClientError::NoCertificate)?;
        context.set_certificate(leaf)?;
        for issuer in issuers {
            context.add_extra_chain_cert(issuer.clone())?;
        }
        context.set_private_key(key)?;
        context.check_private_key()?;
    }

    match &options.verification {
        Verification::Off => context.set_verify(SslVerifyMode::NONE),
        Verification::Authorities(pem) => {
            let authorities = X509::stack_from_pem(pem).map_err(ClientError::Authorities)?;
            if authorities.is_empty() {
                return Err(ClientError::NoAuthority);
            }
            for authority in authorities {
                context.cert_store_mut().add_cert(authority)?;
            }
            context.set_verify(SslVerifyMode::PEER);
        }
    }
    Ok(context.build())
}

/// Whether a read ended because the other end is gone, with or without a goodbye.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    ) || error.to_string().contains("unexpected eof")
}
