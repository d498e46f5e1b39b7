//! One connection, from the accepted socket to its end.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use openssl::ssl::{self, Ssl};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use crate::WELCOME;
use crate::context::Contexts;
use crate::counters::{Counters, ErrorKind, Occurrence, OpenConnection};
use crate::event::{Event, Observer};

/// As much as a TLS record holds, so that a record is echoed as a record.
const ECHO_BYTES: usize = 16_384;

/// How long a client may take to receive the server's goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) contexts: Contexts,
    pub(crate) counters: Arc<Counters>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) handshake_timeout: Duration,
}

/// Why a connection ended too early.
struct Failure {
    kind: ErrorKind,
    detail: String,
}

/// Serves a connection to its end. Parameters are dropped last to first: all that OpenSSL holds
/// for the connection is freed before `_open` and `stopping`, by which the server knows of it.
pub(crate) async fn serve_connection(
    mut stopping: watch::Receiver<()>,
    _open: OpenConnection,
    shared: Arc<Shared>,
    tcp: TcpStream,
) {
    if let Err(Failure { kind, detail }) = converse(&mut stopping, &shared, tcp).await
        && shared.counters.count_error(kind) == Occurrence::First
    {
        shared.observer.event(Event::ConnectionFailed { kind, detail });
    }
}

/// Handshake, welcome, echo, goodbye.
async fn converse(
    stopping: &mut watch::Receiver<()>,
    shared: &Shared,
    tcp: TcpStream,
) -> Result<(), Failure> {
    let mut stream = set_up(shared, tcp)?;
    tokio::select! {
        done = timeout(shared.handshake_timeout, Pin::new(&mut stream).accept()) => match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Failure::of_handshake(&error)),
            Err(_) => return Err(Failure {
                kind: ErrorKind::HandshakeTimeout,
                detail: format!("no handshake within {:?}", shared.handshake_timeout),
            }),
        },
        _ = stopping.changed() => return Ok(()),
    }
    if let Some(negotiation) = shared.counters.count_handshake(stream.ssl()) {
        shared.observer.event(Event::Negotiated(negotiation));
    }
    shared.observer.connected(stream.ssl());

    let mut unsent = Vec::new();
    let ended = tokio::select! {
        ended = async {
            stream.write_all(WELCOME).await?;
            poll_fn(|cx| echo(Pin::new(&mut stream), &mut unsent, cx)).await
        } => ended,
        _ = stopping.changed() => Ok(()),
    };
    if let Err(error) = ended {
        return Err(Failure { kind: ErrorKind::ConnectionBroken, detail: error.to_string() });
    }
    // A client that does not wait for the goodbye, or is gone, has ended the connection as well.
    let _ = timeout(CLOSE_TIMEOUT, stream.shutdown()).await;
    Ok(())
}

/// The context is the connection's own from here on: where it is not shared, it is freed with it.
fn set_up(shared: &Shared, tcp: TcpStream) -> Result<SslStream<TcpStream>, Failure> {
    // Fails only on a socket that is no more, and the handshake will say so.
    let _ = tcp.set_nodelay(true);
    shared
        .contexts
        .for_connection()
        .and_then(|context| Ssl::new(&context))
        .and_then(|ssl| SslStream::new(ssl, tcp))
        .map_err(|error| Failure { kind: ErrorKind::SetupFailed, detail: error.to_string() })
}

/// Echoes until the client closes. An idle connection holds no buffer: what comes is read into
/// the stack of the thread that was woken for it, and only what the client does not take at once
/// is kept, in `unsent`.
fn echo(
    mut stream: Pin<&mut SslStream<TcpStream>>,
    unsent: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut space = [MaybeUninit::<u8>::uninit(); ECHO_BYTES];
    loop {
        ready!(write_unsent(stream.as_mut(), unsent, cx))?;

        let mut received = ReadBuf::uninit(&mut space);
        ready!(stream.as_mut().poll_read(cx, &mut received))?;
        let mut received = received.filled();
        if received.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !received.is_empty() {
            match stream.as_mut().poll_write(cx, received) {
                Poll::Ready(written) => received = &received[written?..],
                Poll::Pending => {
                    // OpenSSL wants the same bytes again; from another place is fine, see
                    // ACCEPT_MOVING_WRITE_BUFFER in `context`.
                    unsent.extend_from_slice(received);
                    return Poll::Pending;
                }
            }
        }
    }
}

fn write_unsent(
    mut stream: Pin<&mut SslStream<TcpStream>>,
    unsent: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !unsent.is_empty() {
        let written = ready!(stream.as_mut().poll_write(cx, unsent))?;
        unsent.drain(..written);
    }
    if unsent.capacity() > 0 {
        *unsent = Vec::new();
    }
    Poll::Ready(Ok(()))
}

impl Failure {
    fn of_handshake(error: &ssl::Error) -> Failure {
        // Without an entry in OpenSSL's queue the socket failed, or ended: the client hung up.
        let reasons = error.ssl_error().map_or(&[][..], |stack| stack.errors());
        let hung_up = reasons.is_empty()
            || reasons.iter().any(|it| it.reason() == Some("unexpected eof while reading"));
        let kind = if hung_up { ErrorKind::HandshakeAborted } else { ErrorKind::HandshakeFailed };
        Failure { kind, detail: error.to_string() }
    }
}
