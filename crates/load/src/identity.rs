//! Who a client is, where a server asks for its certificate.

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::client_error::ClientError;

/// A client's certificate, those between it and the root, and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) chain: Vec<X509>,
    pub(crate) key: PKey<Private>,
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
