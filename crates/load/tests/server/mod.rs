//! A TLS server in threads that echoes, or does what a server should not; or answers in another
//! protocol.

#![allow(dead_code, reason = "each test file uses its own part of this")]

mod conversations;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use openssl::pkey::PKey;
use openssl::ssl::{
    NameType, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode,
    SslVersion,
};
use openssl::x509::X509;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    Honest,
    /// Changes the last byte of each connection's second echo.
    CorruptsTheSecondEcho,
    ClosesAfterTheWelcome,
    /// Ends the TCP connection without a TLS goodbye.
    CutsOffAfterTheWelcome,
    NeverSaysWelcome,
    SaysSomethingElse,
    SpeaksWithoutBeingAsked,
    NeverEchoes,
    NeverSaysGoodbye,
    SpeaksNoTls,
    /// Speaks this instead.
    Converses(Partner),
}

pub use conversations::Partner;

/// What a connection turned out to be, on the server's side.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub protocol: String,
    pub compressed: bool,
    pub reused: bool,
    pub peer_certificates: usize,
    pub server_name: Option<String>,
    pub peer: IpAddr,
}

pub struct TestServer {
    pub address: SocketAddr,
    pub authority_pem: String,
    pub client_identity_pem: String,
    seen: mpsc::Receiver<Seen>,
}

impl TestServer {
    pub fn start(behaviour: Behaviour) -> TestServer {
        TestServer::start_with(behaviour, |_| {})
    }

    /// Runs until the test's process ends.
    pub fn start_with(
        behaviour: Behaviour,
        adapt: impl FnOnce(&mut SslContextBuilder),
    ) -> TestServer {
        let certificates = Certificates::make();
        let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
        let leaf = X509::from_pem(certificates.server.as_bytes()).unwrap();
        context.set_certificate(&leaf).unwrap();
        let key = PKey::private_key_from_pem(certificates.server.as_bytes()).unwrap();
        context.set_private_key(&key).unwrap();
        let authority = X509::from_pem(certificates.authority.as_bytes()).unwrap();
        context.cert_store_mut().add_cert(authority).unwrap();
        context.clear_options(SslOptions::NO_COMPRESSION);
        context.set_security_level(1);
        adapt(&mut context);
        let context = context.build();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let (tcp, context, sender) = (tcp.unwrap(), context.clone(), sender.clone());
                std::thread::spawn(move || serve(tcp, &context, behaviour, &sender));
            }
        });
        TestServer {
            address,
            authority_pem: certificates.authority,
            client_identity_pem: certificates.client,
            seen,
        }
    }

    /// What the connections up to now turned out to be.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }
}

/// Asks clients for certificates.
pub fn require_certificates(context: &mut SslContextBuilder) {
    context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    context.set_session_id_context(b"test").unwrap();
}

/// Speaks TLS 1.2 at most.
pub fn speak_tls12(context: &mut SslContextBuilder) {
    context.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
}

fn serve(
    mut tcp: TcpStream,
    context: &SslContext,
    behaviour: Behaviour,
    seen: &mpsc::Sender<Seen>,
) -> Option<()> {
    if behaviour == Behaviour::SpeaksNoTls {
        tcp.write_all(b"220 mail.example.org ESMTP\r\n").ok()?;
        return None;
    }
    if let Behaviour::Converses(partner) = behaviour {
        partner.before_tls(&mut tcp)?;
    }
    let mut stream = Ssl::new(context).unwrap().accept(tcp).ok()?;
    seen.send(look_at(&stream)).ok()?;
    if let Behaviour::Converses(partner) = behaviour {
        return partner.converse(&mut stream);
    }
    match behaviour {
        // Waits for the client to give up.
        Behaviour::NeverSaysWelcome => {}
        Behaviour::SaysSomethingElse => stream.write_all(b"good day\n").ok()?,
        _ => stream.write_all(b"welcome!\n").ok()?,
    }
    match behaviour {
        Behaviour::ClosesAfterTheWelcome => {
            stream.shutdown().ok()?;
            return None;
        }
        Behaviour::CutsOffAfterTheWelcome => return None,
        _ => {}
    }
    let mut buffer = [0; 1024];
    for number in 1.. {
        let length = stream.read(&mut buffer).ok()?;
        if length == 0 {
            if behaviour == Behaviour::NeverSaysGoodbye {
                std::thread::park();
            }
            stream.shutdown().ok()?;
            return None;
        }
        let echo = &mut buffer[..length];
        match behaviour {
            Behaviour::CorruptsTheSecondEcho if number == 2 => echo[length - 1] ^= 0x20,
            Behaviour::NeverEchoes => continue,
            _ => {}
        }
        stream.write_all(echo).ok()?;
        if behaviour == Behaviour::SpeaksWithoutBeingAsked {
            stream.write_all(b"?").ok()?;
        }
    }
    None
}

fn look_at(stream: &SslStream<TcpStream>) -> Seen {
    let ssl = stream.ssl();
    // SAFETY: the connection is live; the method is static, or NULL without compression.
    let compressed = unsafe {
        !openssl_sys::SSL_get_current_compression(foreign_types::ForeignTypeRef::as_ptr(ssl))
            .is_null()
    };
    Seen {
        protocol: ssl.version_str().to_owned(),
        compressed,
        reused: ssl.session_reused(),
        peer_certificates: usize::from(ssl.peer_certificate().is_some())
            + ssl.peer_cert_chain().map_or(0, openssl::stack::StackRef::len),
        server_name: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
        peer: stream.get_ref().peer_addr().unwrap().ip(),
    }
}

/// PEM texts: an authority, and what it signed together with the private keys.
struct Certificates {
    authority: String,
    server: String,
    client: String,
}

impl Certificates {
    fn make() -> Certificates {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Without names of their own, whatever it signs would look self-signed.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let sign = |names: &[&str]| {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let params = CertificateParams::new(names).unwrap();
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let (server, server_key) = sign(&["127.0.0.1", "server.example.org"]);
        let (client, client_key) = sign(&["client.example.org"]);
        Certificates {
            server: server + &server_key,
            client: client + &authority + &client_key,
            authority,
        }
    }
}
