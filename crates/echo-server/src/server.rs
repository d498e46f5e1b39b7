//! The server: listens, hands each connection to a task of its own, and stops cleanly.

use std::ffi::c_int;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::certificate::CertificateSource;
use crate::compression;
use crate::configuration::Configuration;
use crate::connection::{Shared, serve_connection};
use crate::context::Contexts;
use crate::counters::{Counters, Totals};
use crate::event::{Event, Observer};
use crate::serve_error::ServeError;

/// The first pause after an accept that failed for want of resources; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Clients that may wait to be accepted; the standard library lets 128. The system lets fewer wait
/// where `net.core.somaxconn` says so.
const QUEUE: c_int = 4096;

/// How a server is run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// How OpenSSL is set up.
    pub configuration: Configuration,
    /// Where to listen. Port 0 lets the system choose. Default: 127.0.0.1:4433.
    pub listen: SocketAddr,
    /// The server's certificate. Default: made at start.
    pub certificate: CertificateSource,
    /// How long a client may take for the handshake. Default: 10 seconds.
    pub handshake_timeout: Duration,
    /// How many connections may be open at once. Default: 10,000.
    pub connection_limit: usize,
    /// How long a stopping server waits for its connections to end. Default: 5 seconds.
    pub drain_timeout: Duration,
}

impl Options {
    /// The defaults, with this configuration.
    pub fn new(configuration: Configuration) -> Options {
        Options {
            configuration,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4433)),
            certificate: CertificateSource::default(),
            handshake_timeout: Duration::from_secs(10),
            connection_limit: 10_000,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A server that listens, and serves once it is [run](Server::run).
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    contexts: Contexts,
    counters: Arc<Counters>,
    handshake_timeout: Duration,
    connection_limit: usize,
    drain_timeout: Duration,
}

impl Server {
    /// Opens the port and makes everything that connections share. Where each connection parses
    /// root certificates, their text is made here. Connections that come in before
    /// [`Server::run`] wait.
    pub fn bind(options: Options) -> Result<Server, ServeError> {
        if !compression::is_available() {
            return Err(ServeError::ZlibMissing);
        }
        let (listener, address) = listen(options.listen).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::AddressInUse(options.listen),
            _ => ServeError::Listen { address: options.listen, source },
        })?;
        Ok(Server {
            listener,
            address,
            contexts: Contexts::prepare(options.configuration, &options.certificate)?,
            counters: Arc::default(),
            handshake_timeout: options.handshake_timeout,
            connection_limit: options.connection_limit,
            drain_timeout: options.drain_timeout,
        })
    }

    /// Where the server listens, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server counts, to be read while it runs.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// What clients have to show where certificates are required of them: certificate, authority
    /// and private key as one PEM text, made at start. It opens nothing but this server.
    pub fn client_identity_pem(&self) -> Option<&str> {
        self.contexts.client_identity_pem.as_deref()
    }

    /// The authority behind the server's certificate, as PEM text, if both were made at start.
    pub fn authority_pem(&self) -> Option<&str> {
        self.contexts.authority_pem.as_deref()
    }

    /// Serves until `shutdown` is done, then says goodbye to every connection, and returns when
    /// all of them are gone or the drain time is over, with what was done. Must run within a
    /// tokio runtime with I/O and time.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()>,
        observer: impl Observer,
    ) -> Result<Totals, ServeError> {
        let address = self.address;
        let listener = TcpListener::from_std(self.listener)
            .map_err(|source| ServeError::Wait { address, source })?;
        let observer: Arc<dyn Observer> = Arc::new(observer);
        let shared = Arc::new(Shared {
            contexts: self.contexts,
            counters: Arc::clone(&self.counters),
            observer: Arc::clone(&observer),
            handshake_timeout: self.handshake_timeout,
        });
        observer.event(Event::Listening {
            address,
            configuration: &shared.contexts.configuration().name,
            openssl_version: openssl::version::version(),
        });

        // Each connection holds a receiver to the end: when none is left, all are gone.
        let (stop, _) = watch::channel(());
        let mut door = Door { shared: &shared, stop: &stop, limit: self.connection_limit };
        tokio::select! {
            biased;
            () = shutdown => {}
            never = door.keep_open(&listener) => match never {},
        }
        drop(listener);
        stop.send_replace(());
        let _ = timeout(self.drain_timeout, stop.closed()).await;
        drop(shared);

        let totals = self.counters.totals();
        observer.event(Event::Stopped { totals: &totals });
        Ok(totals)
    }
}

/// Lets connections in.
struct Door<'a> {
    shared: &'a Arc<Shared>,
    stop: &'a watch::Sender<()>,
    limit: usize,
}

/// There is no value of this: the function does not return.
enum Never {}

/// How the last client fared; what goes on happening is told once.
#[derive(PartialEq)]
enum Before {
    LetIn,
    Refused,
    NotAccepted,
}

impl Door<'_> {
    async fn keep_open(&mut self, listener: &TcpListener) -> Never {
        let Door { shared, stop, limit } = *self;
        let mut before = Before::LetIn;
        let mut pause = FIRST_PAUSE;
        loop {
            match listener.accept().await {
                Ok((tcp, _)) if shared.counters.open() >= limit => {
                    drop(tcp);
                    shared.counters.count_refused();
                    if before != Before::Refused {
                        shared.observer.event(Event::Refused { limit });
                    }
                    before = Before::Refused;
                }
                Ok((tcp, _)) => {
                    let open = shared.counters.open_one();
                    let shared = Arc::clone(shared);
                    tokio::spawn(serve_connection(stop.subscribe(), open, shared, tcp));
                    before = Before::LetIn;
                    pause = FIRST_PAUSE;
                }
                Err(error) if lacks_resources(&error) => {
                    if before != Before::NotAccepted {
                        let error = &error;
                        shared.observer.event(Event::AcceptFailed { error, retry_in: pause });
                    }
                    before = Before::NotAccepted;
                    sleep(pause).await;
                    pause = LAST_PAUSE.min(pause * 2);
                }
                // The client was gone before it was accepted (ECONNABORTED, and what Linux passes
                // on from the network): nothing to be done about it, and nothing wrong here.
                Err(_) => {}
            }
        }
    }
}

/// Whether waiting may help: the client is still in the queue, and would fail again at once.
fn lacks_resources(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

fn listen(address: SocketAddr) -> io::Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    // SAFETY: a call without pointers, on a descriptor that is open.
    if unsafe { libc::listen(listener.as_raw_fd(), QUEUE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
