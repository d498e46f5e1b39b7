//! Workload (a): full TLS 1.3 handshakes between a client and a server in one thread, over a pair
//! of memory BIOs, with a small exchange of data, P-256, and neither tickets nor session cache.

use std::ffi::{CString, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

use crate::openssl::Openssl;

const FILETYPE_PEM: i32 = 1;
const CTRL_SET_SESS_CACHE_MODE: i32 = 44;
const SESS_CACHE_OFF: i64 = 0;
/// A full handshake takes four turns of each side or fewer.
const TURNS: usize = 20;

/// A server's and a client's context.
pub struct Handshakes {
    openssl: Openssl,
    server: *mut c_void,
    client: *mut c_void,
}

/// Writes a self-signed P-256 certificate and its key into `folder`, as `certificate.pem` and
/// `key.pem`.
pub fn write_identity(folder: &Path) -> io::Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| io::Error::other(error.to_string()))?;
    std::fs::write(folder.join("certificate.pem"), made.cert.pem())?;
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())
}

impl Handshakes {
    /// Contexts with the identity that [`write_identity`] left in `folder`.
    pub fn new(openssl: Openssl, folder: &Path) -> Handshakes {
        let path = |name: &str| {
            CString::new(folder.join(name).as_os_str().as_bytes()).expect("no zero byte")
        };
        let (certificate, key) = (path("certificate.pem"), path("key.pem"));
        // SAFETY: OpenSSL's functions, called as it documents them.
        unsafe {
            let server = (openssl.SSL_CTX_new)((openssl.TLS_server_method)());
            let client = (openssl.SSL_CTX_new)((openssl.TLS_client_method)());
            let used =
                (openssl.SSL_CTX_use_certificate_file)(server, certificate.as_ptr(), FILETYPE_PEM);
            assert_eq!(used, 1, "the certificate in {}", folder.display());
            let used = (openssl.SSL_CTX_use_PrivateKey_file)(server, key.as_ptr(), FILETYPE_PEM);
            assert_eq!(used, 1, "the key in {}", folder.display());
            (openssl.SSL_CTX_set_num_tickets)(server, 0);
            (openssl.SSL_CTX_ctrl)(server, CTRL_SET_SESS_CACHE_MODE, SESS_CACHE_OFF, null_mut());
            Handshakes { openssl, server, client }
        }
    }

    /// One handshake, 2,048 bytes one way and 1,000 back; both ends are made and freed.
    #[inline(never)]
    pub fn one(&self) {
        let mut connection = self.connect();
        while connection.go_on() {}
    }

    /// Both ends of a connection, which have said nothing yet.
    pub fn connect(&self) -> Connection<'_> {
        let openssl = &self.openssl;
        let (mut one, mut other) = (null_mut(), null_mut());
        // SAFETY: OpenSSL's functions, called as it documents them; each end owns its BIO.
        unsafe {
            let server = (openssl.SSL_new)(self.server);
            let client = (openssl.SSL_new)(self.client);
            (openssl.BIO_new_bio_pair)(&raw mut one, 0, &raw mut other, 0);
            (openssl.SSL_set_bio)(server, one, one);
            (openssl.SSL_set_bio)(client, other, other);
            (openssl.SSL_set_accept_state)(server);
            (openssl.SSL_set_connect_state)(client);
            Connection { openssl, server, client, turns: 0 }
        }
    }
}

/// Both ends of a connection in one thread.
pub struct Connection<'a> {
    openssl: &'a Openssl,
    server: *mut c_void,
    client: *mut c_void,
    turns: usize,
}

impl Connection<'_> {
    /// One turn of each side: of the handshake, and when that is done, of the exchange of data,
    /// after which there is nothing more to do.
    #[inline(never)]
    pub fn go_on(&mut self) -> bool {
        assert!(self.turns < TURNS, "the handshake ends");
        self.turns += 1;
        // SAFETY: OpenSSL's function, on ends of ours.
        let [client, server] = [self.client, self.server]
            .map(|end| unsafe { (self.openssl.SSL_do_handshake)(end) } == 1);
        if client && server {
            self.exchange();
        }
        !(client && server)
    }

    fn exchange(&self) {
        let openssl = self.openssl;
        let mut buffer = [1_u8; 2048];
        let data = buffer.as_mut_ptr().cast::<c_void>();
        // SAFETY: OpenSSL's functions, with a buffer of the lengths that are passed.
        unsafe {
            assert_eq!((openssl.SSL_write)(self.client, data, 2048), 2048);
            assert_eq!((openssl.SSL_read)(self.server, data, 2048), 2048);
            assert_eq!((openssl.SSL_write)(self.server, data, 1000), 1000);
            assert_eq!((openssl.SSL_read)(self.client, data, 1000), 1000);
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        // SAFETY: ends of ours, which nobody else knows.
        unsafe {
            (self.openssl.SSL_free)(self.server);
            (self.openssl.SSL_free)(self.client);
            (self.openssl.ERR_clear_error)();
        }
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // SAFETY: contexts of ours, of which no connection is left.
        unsafe {
            (self.openssl.SSL_CTX_free)(self.server);
            (self.openssl.SSL_CTX_free)(self.client);
        }
    }
}
