//! A server in a thread of its own, what OpenSSL says about its live connections, and a client.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::ffi::c_int;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ptr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use echo_server::configuration::{CompressionOffer, Protocol};
use echo_server::{
    Configuration, Counters, Event, Negotiation, Observer, Options, Server, Totals, WELCOME,
};
use foreign_types::ForeignTypeRef;
use openssl::pkey::PKey;
use openssl::ssl::{
    HandshakeError, Ssl, SslContextBuilder, SslMethod, SslOptions, SslRef, SslStream,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use tokio::sync::oneshot;

/// Longer than anything here takes, so that a fault fails a test and does not hang it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const RELEASE_BUFFERS: i64 = 0x10;
const SSL_CTRL_SESS_NUMBER: c_int = 20;
const SSL_CTRL_MODE: c_int = 33;

/// What OpenSSL says about a live connection, on the server's side.
#[derive(Debug)]
pub struct Facts {
    pub negotiation: Negotiation,
    pub mode: i64,
    pub context_options: SslOptions,
    /// Addresses: equal for the same object, as both connections of a test are open at once.
    pub context: usize,
    pub store: usize,
    pub trusted: usize,
    pub cached_sessions: i64,
    pub peer_certificates: usize,
    pub peer_name: Option<String>,
    pub verified: bool,
}

impl Facts {
    fn ask(ssl: &SslRef) -> Facts {
        let context = ssl.ssl_context();
        // SAFETY: connection and context are live; these controls only read, and take no pointer.
        let (mode, cached_sessions) = unsafe {
            (
                openssl_sys::SSL_ctrl(ssl.as_ptr(), SSL_CTRL_MODE, 0, ptr::null_mut()),
                openssl_sys::SSL_CTX_ctrl(
                    context.as_ptr(),
                    SSL_CTRL_SESS_NUMBER,
                    0,
                    ptr::null_mut(),
                ),
            )
        };
        // SAFETY: the context is live.
        let options = unsafe { openssl_sys::SSL_CTX_get_options(context.as_ptr()) };
        let leaf = ssl.peer_certificate();
        Facts {
            negotiation: Negotiation::of(ssl),
            mode,
            context_options: SslOptions::from_bits_retain(options),
            context: context.as_ptr() as usize,
            store: context.cert_store().as_ptr() as usize,
            trusted: context.cert_store().all_certificates().len(),
            cached_sessions,
            // A server's chain comes without the client's own certificate.
            peer_certificates: usize::from(leaf.is_some())
                + ssl.peer_cert_chain().map_or(0, openssl::stack::StackRef::len),
            peer_name: leaf.map(|leaf| format!("{:?}", leaf.subject_name())),
            verified: ssl.verify_result().as_raw() == 0,
        }
    }
}

/// Passes on what the server says.
struct Messenger {
    events: mpsc::Sender<String>,
    facts: mpsc::Sender<Facts>,
}

impl Observer for Messenger {
    fn event(&self, event: Event<'_>) {
        let text = match event {
            Event::Listening { configuration, .. } => format!("listening {configuration}"),
            Event::Negotiated(negotiation) => format!("negotiated {negotiation}"),
            Event::Refused { limit } => format!("refused, limit {limit}"),
            Event::AcceptFailed { .. } => "accept failed".into(),
            Event::ConnectionFailed { kind, .. } => kind.to_string(),
            Event::Stopped { .. } => "stopped".into(),
            other => format!("{other:?}"),
        };
        // A test that has ended listens no more.
        let _ = self.events.send(text);
    }

    fn connected(&self, connection: &SslRef) {
        let _ = self.facts.send(Facts::ask(connection));
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub configuration: Configuration,
    pub counters: Arc<Counters>,
    pub client_identity: Option<String>,
    pub authority: Option<String>,
    events: mpsc::Receiver<String>,
    facts: mpsc::Receiver<Facts>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Totals>,
}

impl Running {
    pub fn standard(name: &str) -> Running {
        Running::with(Options::new(Configuration::standard(name).unwrap()))
    }

    pub fn with(mut options: Options) -> Running {
        options.listen = "127.0.0.1:0".parse().unwrap();
        let configuration = options.configuration.clone();
        let server = Server::bind(options).unwrap();
        let (event_sender, events) = mpsc::channel();
        let (fact_sender, facts) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let observer = Messenger { events: event_sender, facts: fact_sender };
        let (address, counters) = (server.address(), server.counters());
        let client_identity = server.client_identity_pem().map(str::to_owned);
        let authority = server.authority_pem().map(str::to_owned);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            let stop = async {
                let _ = stopped.await;
            };
            runtime.block_on(server.run(stop, observer)).unwrap()
        });
        Running {
            address,
            configuration,
            counters,
            client_identity,
            authority,
            events,
            facts,
            stop,
            thread,
        }
    }

    /// A client as the configuration needs it, welcomed, and what OpenSSL says on the other side.
    pub fn connect(&self) -> (SslStream<TcpStream>, Facts) {
        let mut stream = self.handshake(self.client_identity.as_deref()).unwrap();
        read_welcome(&mut stream);
        (stream, self.facts.recv_timeout(PATIENCE).unwrap())
    }

    pub fn handshake(
        &self,
        identity: Option<&str>,
    ) -> Result<SslStream<TcpStream>, HandshakeError<TcpStream>> {
        self.client(identity).connect(self.tcp())
    }

    pub fn client(&self, identity: Option<&str>) -> Ssl {
        let needs = self.configuration.client();
        let mut context = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
        context.set_verify(SslVerifyMode::NONE);
        let version = match needs.protocol {
            Protocol::Tls12 => SslVersion::TLS1_2,
            Protocol::Tls13 => SslVersion::TLS1_3,
        };
        context.set_min_proto_version(Some(version)).unwrap();
        context.set_max_proto_version(Some(version)).unwrap();
        if needs.compression == CompressionOffer::Zlib {
            context.clear_options(SslOptions::NO_COMPRESSION);
            context.set_security_level(1);
        }
        if let Some(pem) = identity {
            let mut chain = X509::stack_from_pem(pem.as_bytes()).unwrap().into_iter();
            context.set_certificate(&chain.next().unwrap()).unwrap();
            for issuer in chain {
                context.add_extra_chain_cert(issuer).unwrap();
            }
            let key = PKey::private_key_from_pem(pem.as_bytes()).unwrap();
            context.set_private_key(&key).unwrap();
        }
        Ssl::new(&context.build()).unwrap()
    }

    pub fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// Waits until the server says that.
    pub fn await_event(&self, text: &str) {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if event == text => return,
                Ok(_) => {}
                Err(error) => panic!("the server did not say {text:?}: {error}"),
            }
        }
    }

    /// What the server has said up to now and was not awaited.
    pub fn events(&self) -> Vec<String> {
        self.events.try_iter().collect()
    }

    /// Asks the server to stop, without waiting.
    pub fn begin_stop(self) -> JoinHandle<Totals> {
        let _ = self.stop.send(());
        self.thread
    }

    pub fn stop(self) -> Totals {
        self.begin_stop().join().unwrap()
    }
}

pub fn read_welcome(stream: &mut impl Read) {
    let mut welcome = [0; WELCOME.len()];
    stream.read_exact(&mut welcome).unwrap();
    assert_eq!(welcome, WELCOME);
}

/// Sends bytes that differ from place to place, and checks what comes back.
pub fn check_echo(stream: &mut (impl Read + Write), size: usize) {
    let sent = pattern(size);
    stream.write_all(&sent).unwrap();
    let mut echo = vec![0; size];
    stream.read_exact(&mut echo).unwrap();
    assert!(echo == sent, "an echo of {size} bytes differs from what was sent");
}

/// Bytes without a short period.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}
