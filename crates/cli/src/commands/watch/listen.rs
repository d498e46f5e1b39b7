//! Views over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use live::Follower;
use live::server::{Ended, Reach, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::{output, progress, telling};

/// Answers until it is told to end, or what is watched has ended.
pub fn run(
    mut follower: Follower,
    address: SocketAddr,
    is_public: bool,
    every: Duration,
) -> Result<(), Failure> {
    let reach = if is_public { Reach::Anybody } else { Reach::Loopback };
    let server = Server::listen(address, reach)?;
    progress::begin("reading");
    // What cannot be read is said now, and the names are there for whoever comes first.
    follower.look()?;
    progress::end();
    output::print(&server.url())?;
    if !server.address().ip().is_loopback() {
        telling::tell(&format!(
            "tlsheap: {} can be reached from other machines, and nobody is asked who they are",
            server.address()
        ));
    }
    match server.run(follower, every, told())? {
        Ended::Told => Ok(()),
        Ended::Over => {
            telling::tell("tlsheap: what was watched has ended");
            Ok(())
        }
        Ended::Failed(error) => Err(error.into()),
    }
}

/// Ends with the first signal that ends programs.
async fn told() {
    let listen = |kind| signal(kind).ok();
    let (terminate, interrupt, hang_up) = (
        listen(SignalKind::terminate()),
        listen(SignalKind::interrupt()),
        listen(SignalKind::hangup()),
    );
    let (Some(mut terminate), Some(mut interrupt), Some(mut hang_up)) =
        (terminate, interrupt, hang_up)
    else {
        // Without handlers, the signals themselves end the program.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hang_up.recv() => {}
    }
}
