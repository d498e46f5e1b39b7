//! The server's certificate: the user's own files, or one made at start; and, for mutual TLS, the
//! authority whose clients are let in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Where the server's certificate comes from.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum CertificateSource {
    /// A P-256 key and certificate for `localhost`, made at start and signed by an authority that
    /// is made at start too.
    #[default]
    Made,
    /// PEM files.
    Files {
        /// The server's certificate, then those of the authorities between it and the root.
        certificate: PathBuf,
        /// The private key that belongs to the first certificate.
        key: PathBuf,
    },
}

/// Why the server has no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read.
    #[error("cannot read the {what} {}", path.display())]
    Unreadable {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no PEM text of the kind it should have.
    #[error(
        "{} holds no {what} that OpenSSL can read: expected PEM text (-----BEGIN …-----)",
        path.display()
    )]
    NotPem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// OpenSSL's own words; empty when the file is merely empty of what was asked for.
        source: ErrorStack,
    },
    /// Certificate and key do not belong together.
    #[error(
        "the private key {} does not belong to the certificate {}",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate could not be made at start.
    #[error("cannot make a certificate")]
    NotMade(#[from] rcgen::Error),
    /// OpenSSL did not take a certificate that was made at start.
    #[error("OpenSSL does not take the certificate made for it")]
    NotTaken(#[from] ErrorStack),
}

/// The server's certificates and private key, parsed once; contexts share them.
pub(crate) struct Certificate {
    pub(crate) leaf: X509,
    pub(crate) chain: Vec<X509>,
    pub(crate) key: PKey<Private>,
}

impl Certificate {
    /// Reads the user's files.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let not_pem = |what, path: &Path, source| CertificateError::NotPem {
            what,
            path: path.to_owned(),
            source,
        };
        let chain = X509::stack_from_pem(&read(certificate, "certificate")?)
            .map_err(|source| not_pem("certificate", certificate, source))?;
        let mut chain = chain.into_iter();
        let leaf =
            chain.next().ok_or_else(|| not_pem("certificate", certificate, ErrorStack::get()))?;
        let private_key = PKey::private_key_from_pem(&read(key, "private key")?)
            .map_err(|source| not_pem("private key", key, source))?;
        if !leaf.public_key()?.public_eq(&private_key) {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            return Err(CertificateError::Mismatch { certificate, key });
        }
        Ok(Certificate { leaf, chain: chain.collect(), key: private_key })
    }
}

/// A certificate authority made at start, for a server that is there to be measured.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's own certificate, for a trust store.
    pub(crate) certificate: X509,
    /// The authority's certificate as PEM text, for clients.
    pub(crate) pem: String,
}

impl Authority {
    /// Makes one, with a P-256 key.
    pub(crate) fn make() -> Result<Authority, CertificateError> {
        let mut params = named("tlsheap test authority")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        let certificate = X509::from_pem(pem.as_bytes())?;
        Ok(Authority { issuer: Issuer::new(params, key), certificate, pem })
    }

    /// A certificate for the server, as `localhost` and as the loopback addresses.
    pub(crate) fn server_certificate(&self) -> Result<Certificate, CertificateError> {
        let mut params = named("tlsheap echo server")?;
        for name in ["localhost", "127.0.0.1", "::1"] {
            params
                .subject_alt_names
                .extend(CertificateParams::new([name.to_owned()])?.subject_alt_names);
        }
        let (leaf, key) = self.sign(&params)?;
        Ok(Certificate {
            leaf: X509::from_pem(leaf.as_bytes())?,
            chain: vec![self.certificate.clone()],
            key: PKey::private_key_from_pem(key.as_bytes())?,
        })
    }

    /// What a client of a `mutual-tls` server shows: certificate, authority and private key, as
    /// one PEM text.
    pub(crate) fn client_identity_pem(&self) -> Result<String, CertificateError> {
        let (leaf, key) = self.sign(&named("tlsheap test client")?)?;
        Ok([leaf, self.pem.clone(), key].concat())
    }

    /// A certificate and its new private key, each as PEM text.
    fn sign(&self, params: &CertificateParams) -> Result<(String, String), CertificateError> {
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}

fn named(common_name: &str) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}
