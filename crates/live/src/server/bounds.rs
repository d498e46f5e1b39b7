//! The bounds of clients: how many at once, how long each, how large a request may be.
//!
//! Each connection is answered once. A client has five seconds for its request, which may be eight
//! kilobytes long, and half a minute to read the answer; more than 128 at once are turned away.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

/// Connections that are served at once.
pub const AT_ONCE: usize = 128;

/// How long a client may take for its request.
pub const FOR_THE_HEADER: Duration = Duration::from_secs(5);

/// How long the answer may take, from the connection on: to be made, and to be read.
pub const FOR_THE_ANSWER: Duration = Duration::from_secs(30);

/// The longest request, with its headers: the least that hyper has.
const REQUEST_BYTES: usize = 8 * 1024;

/// Where no connection can be taken, all files may be open: it is tried again then.
const AGAIN: Duration = Duration::from_millis(100);

/// Until when a connection may last. A request that takes its time by its nature has it longer.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    fn after(time: Duration) -> Deadline {
        Deadline(Arc::new(Mutex::new(Instant::now() + time)))
    }

    pub fn extend(&self, time: Duration) {
        // Whole at any time.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    fn get(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn passed(&self) {
        while Instant::now() < self.get() {
            sleep_until(self.get()).await;
        }
    }
}

/// Takes connections for ever.
pub(crate) async fn accept(listener: &TcpListener, router: &Router) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(AGAIN).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            turn_away(&stream);
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            serve(stream, router).await;
            drop(place);
        });
    }
}

const TURNED_AWAY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; \
    charset=utf-8\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 42\r\n\r\n\
    too many connections at once: try it again";

/// Without waiting: nobody else is to wait for it.
fn turn_away(stream: &TcpStream) {
    // Who does not read it sees that the connection is closed.
    let _ = stream.try_write(TURNED_AWAY);
}

async fn serve(stream: TcpStream, router: Router) {
    let deadline = Deadline::after(FOR_THE_ANSWER);
    let service = TowerToHyperService::new(router);
    let of_connection = deadline.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of_connection.clone());
        let answer = service.call(request.map(Body::new));
        async move { answer.await.map(|answer: Response<Body>| answer) as Result<_, Infallible> }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(FOR_THE_HEADER)
        .max_buf_size(REQUEST_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // What is wrong with a client is its own affair.
        _ = connection => {}
        () = deadline.passed() => {}
    }
}
