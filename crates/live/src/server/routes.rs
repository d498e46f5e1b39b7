//! What is asked for, and who answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, map_response};
use axum::routing::get;

use crate::server::answer::{Answer, refusal};
use crate::server::pprof::{self, Pprof};
use crate::server::source::Source;
use crate::server::{host, index, metrics, page};

/// What handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub source: Arc<Source>,
    pub pprof: Arc<Pprof>,
}

pub(crate) fn router(source: Arc<Source>) -> Router {
    let shared = Shared { source, pprof: Arc::default() };
    Router::new()
        .route("/", get(page::page))
        .route("/metrics", get(metrics::metrics))
        .route("/debug/pprof", get(index::index))
        .route("/debug/pprof/", get(index::index))
        .route("/debug/pprof/heap", get(pprof::heap))
        .route("/debug/pprof/allocs", get(pprof::allocs))
        .route("/debug/pprof/delta_heap", get(pprof::delta_heap))
        .fallback(not_found)
        .layer(from_fn(only_what_is_meant))
        .layer(map_response(close))
        .with_state(shared)
}

async fn not_found(State(_): State<Shared>) -> Answer {
    refusal(
        StatusCode::NOT_FOUND,
        "not here: there are /, /metrics, /debug/pprof/, /debug/pprof/heap, /debug/pprof/allocs \
         and /debug/pprof/delta_heap",
    )
}

/// Refuses what changes something, and what was meant for another name.
async fn only_what_is_meant(request: Request, next: Next) -> Answer {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer =
            refusal(StatusCode::METHOD_NOT_ALLOWED, "nothing here can be changed: use GET");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let in_url = request.uri().host();
    if !host.is_some_and(host::is_address) || in_url.is_some_and(|host| !host::is_address(host)) {
        return refusal(
            StatusCode::FORBIDDEN,
            "the Host of the request is no address: use 127.0.0.1 or localhost, or the address of \
             this machine",
        );
    }
    next.run(request).await
}

/// One request, one connection: who waits for another one keeps a place.
async fn close(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
