//! Views over HTTP: the page, Go's `/debug/pprof`, and `/metrics` for Prometheus.
//!
//! The server is in the tool; what is watched never knows of it. Whoever can connect is answered,
//! so it listens on this machine alone unless it is told otherwise, and answers only requests whose
//! Host is an address or `localhost`: a page of another site that a browser has loaded cannot pass
//! for this one by a name that leads here (DNS rebinding). Nothing in a URL names a file, nothing
//! is changed by a request, and clients that are slow, many or silent have bounds (`bounds`).

mod answer;
mod bounds;
mod delta;
mod history;
mod host;
mod index;
mod metrics;
mod page;
mod pprof;
mod query;
mod routes;
mod source;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::{Follower, LiveError};

pub use bounds::{AT_ONCE, FOR_THE_ANSWER, FOR_THE_HEADER};
pub use metrics::{METRICS, Metric};

use source::Source;

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine alone: another address is refused.
    Loopback,
    /// Whoever reaches the address.
    Anybody,
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why a server has ended.
#[derive(Debug)]
pub enum Ended {
    /// What it has shown has ended.
    Over,
    /// It was told to.
    Told,
    /// It cannot be read any more.
    Failed(LiveError),
}

impl Server {
    /// Listens. Port 0 takes one that is free.
    pub fn listen(address: SocketAddr, reach: Reach) -> Result<Server, LiveError> {
        if reach == Reach::Loopback && !address.ip().is_loopback() {
            return Err(LiveError::Public(address));
        }
        let refused = |source| LiveError::NotListening { address, source };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Server { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a browser of this machine finds it.
    pub fn url(&self) -> String {
        let everywhere = self.address.ip().is_unspecified();
        let host = if everywhere { Ipv4Addr::LOCALHOST.into() } else { self.address.ip() };
        format!("http://{}/", SocketAddr::new(host, self.address.port()))
    }

    /// Answers until all that is followed has ended, or `told` does.
    pub fn run(
        self,
        follower: Follower,
        every: Duration,
        told: impl Future<Output = ()>,
    ) -> Result<Ended, LiveError> {
        let refused = |source| LiveError::NotListening { address: self.address, source };
        // One thread for all connections; what takes long is done on another, one at a time.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build()
            .map_err(refused)?;
        let source = Arc::new(Source::of(follower));
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            let router = routes::router(Arc::clone(&source));
            Ok::<_, io::Error>(tokio::select! {
                ended = source.look_again_and_again(every) => ended,
                () = bounds::accept(&listener, &router) => Ended::Told,
                () = told => Ended::Told,
            })
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended.map_err(refused)
    }
}
