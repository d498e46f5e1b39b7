//! From the options to a TLS connection.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::client_error::ClientError;
use crate::failure::{Failure, FailureKind};
use crate::identity::Identity;
use crate::local_addresses::LocalAddresses;
use crate::options::{ClientOptions, CompressionOffer, Conversation, Protocol, Verification};
use crate::stream::{Opened, Stream};
use crate::talk::Talk;

/// OpenSSL refuses compression at any higher security level; its default has been 2 since 3.2.
const COMPRESSION_SECURITY_LEVEL: u32 = 1;

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
