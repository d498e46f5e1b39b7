//! From a configuration to the `SSL_CTX` of a connection.

use std::ffi::{c_int, c_long};
use std::ptr;

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::X509Store;

use crate::certificate::{Authority, Certificate, CertificateSource};
use crate::compression;
use crate::configuration::{
    Buffers, ClientCertificates, Compression, Configuration, Context, LARGEST_FRAGMENT, Protocol,
    SessionCache, TrustStore,
};
use crate::serve_error::ServeError;
use crate::trust_store::{build_trust_store, mozilla_roots_pem, share_store};

/// `SSL_CTRL_SET_MAX_SEND_FRAGMENT` of openssl/ssl.h.
const SET_MAX_SEND_FRAGMENT: c_int = 52;

/// Makes contexts, or hands out the one there is. Everything that connections may share is made
/// when this is.
pub(crate) struct Contexts {
    ingredients: Ingredients,
    shared: Option<SslContext>,
    /// What a client of a `mutual-tls` server shows.
    pub(crate) client_identity_pem: Option<String>,
    /// The authority that signed the server's certificate, if that was made at start.
    pub(crate) authority_pem: Option<String>,
}

/// What a context is made of.
struct Ingredients {
    configuration: Configuration,
    certificate: Certificate,
    client_authority: Option<X509>,
    trust: Trust,
}

/// Where a context's trusted certificates come from.
enum Trust {
    Nobody,
    Store(X509Store),
    /// Parsed anew for each context.
    Pem(String),
}

impl Contexts {
    /// Makes whatever connections share.
    pub(crate) fn prepare(
        configuration: Configuration,
        source: &CertificateSource,
    ) -> Result<Contexts, ServeError> {
        if configuration.compression == Compression::Zeroed {
            compression::empty_global_stack();
        }
        let authority = Authority::make()?;
        let (certificate, authority_pem) = match source {
            CertificateSource::Made => {
                (authority.server_certificate()?, Some(authority.pem.clone()))
            }
            CertificateSource::Files { certificate, key } => {
                (Certificate::read(certificate, key)?, None)
            }
        };
        let (client_authority, client_identity_pem) = match configuration.client_certificates {
            ClientCertificates::None => (None, None),
            ClientCertificates::Required => {
                (Some(authority.certificate.clone()), Some(authority.client_identity_pem()?))
            }
        };
        let name = configuration.name.clone();
        let not_taken = |source| ServeError::Context { configuration: name.clone(), source };

        let trust = match configuration.trust_store {
            TrustStore::None => Trust::Nobody,
            TrustStore::PerConnection => Trust::Pem(mozilla_roots_pem()),
            TrustStore::Shared => Trust::Store(
                build_trust_store(&mozilla_roots_pem(), client_authority.as_ref())
                    .map_err(not_taken)?,
            ),
        };
        let ingredients = Ingredients { configuration, certificate, client_authority, trust };

        // Made in any case, and freed where each connection makes its own: a configuration that
        // OpenSSL refuses shows now and not at the first client, and what OpenSSL sets up once
        // per process counts as the process's, not as the first connection's.
        let first = build_context(&ingredients).map_err(not_taken)?;
        let shared = match ingredients.configuration.context {
            Context::Shared => Some(first),
            Context::PerConnection => None,
        };
        Ok(Contexts { ingredients, shared, client_identity_pem, authority_pem })
    }

    /// The context for a new connection: a reference to the shared one, or a new one.
    pub(crate) fn for_connection(&self) -> Result<SslContext, ErrorStack> {
        match &self.shared {
            Some(context) => Ok(context.clone()),
            None => build_context(&self.ingredients),
        }
    }

    pub(crate) fn configuration(&self) -> &Configuration {
        &self.ingredients.configuration
    }
}

/// Makes a context. Kept out of line, so that profiles have it by name.
#[inline(never)]
fn build_context(ingredients: &Ingredients) -> Result<SslContext, ErrorStack> {
    let Ingredients { configuration, certificate, client_authority, trust } = ingredients;

    // Not `SslAcceptor`: its presets would release buffers and decline compression on their own.
    let mut context = SslContextBuilder::new(SslMethod::tls_server())?;
    let version = match configuration.protocol {
        Protocol::Tls12 => SslVersion::TLS1_2,
        Protocol::Tls13 => SslVersion::TLS1_3,
    };
    context.set_min_proto_version(Some(version))?;
    context.set_max_proto_version(Some(version))?;

    // A write that has to wait is repeated from another buffer, see `connection`.
    context.set_mode(SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    if configuration.buffers == Buffers::Released {
        context.set_mode(SslMode::RELEASE_BUFFERS);
    }
    compression::apply(configuration.compression, &mut context);
    if let Some(groups) = &configuration.groups {
        context.set_groups_list(groups)?;
    }
    if configuration.max_send_fragment != LARGEST_FRAGMENT {
        set_max_send_fragment(&mut context, configuration.max_send_fragment)?;
    }

    // Without it, OpenSSL refuses to resume where client certificates are asked for.
    context.set_session_id_context(b"tlsheap")?;
    match configuration.session_cache {
        SessionCache::Tickets => {
            context.set_session_cache_mode(SslSessionCacheMode::OFF);
        }
        SessionCache::Internal => {
            context.set_session_cache_mode(SslSessionCacheMode::SERVER);
            context.set_options(SslOptions::NO_TICKET);
        }
    }

    context.set_certificate(&certificate.leaf)?;
    context.set_private_key(&certificate.key)?;
    for issuer in &certificate.chain {
        context.add_extra_chain_cert(issuer.clone())?;
    }
    match trust {
        Trust::Store(store) => share_store(&mut context, store),
        Trust::Pem(roots) => {
            context.set_cert_store(build_trust_store(roots, client_authority.as_ref())?);
        }
        Trust::Nobody => {
            if let Some(authority) = client_authority {
                context.cert_store_mut().add_cert(authority.clone())?;
            }
        }
    }
    if let Some(authority) = client_authority {
        context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        context.add_client_ca(authority)?;
    }
    Ok(context.build())
}

fn set_max_send_fragment(context: &mut SslContextBuilder, bytes: u32) -> Result<(), ErrorStack> {
    // SAFETY: the context is live, and this control takes a number and no pointer.
    let taken = unsafe {
        openssl_sys::SSL_CTX_ctrl(
            context.as_ptr(),
            SET_MAX_SEND_FRAGMENT,
            c_long::from(bytes),
            ptr::null_mut(),
        )
    };
    if taken == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}
