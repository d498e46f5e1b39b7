//! Answers, with the headers that all of them have.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::LiveError;

pub(crate) type Answer = Response<Body>;

/// Content that no browser takes for another kind, keeps, or lends to other sites.
pub(crate) fn answer(kind: &'static str, content: impl Into<Body>) -> Answer {
    let mut answer = Response::new(content.into());
    let headers = answer.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, kind);
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    answer
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// A file to be kept, as Go's handlers give it.
pub(crate) fn file(name: &'static str, content: Vec<u8>) -> Answer {
    let mut answer = answer("application/octet-stream", content);
    let attachment = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    if let Ok(attachment) = attachment {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, attachment);
    }
    answer
}

/// A refusal in a sentence.
pub(crate) fn refusal(status: StatusCode, sentence: &str) -> Answer {
    let mut answer = answer(TEXT, format!("{sentence}\n"));
    *answer.status_mut() = status;
    answer
}

/// A refusal of `/debug/pprof`, which clients of Go's know by a header.
pub(crate) fn pprof_refusal(status: StatusCode, sentence: &str) -> Answer {
    let mut answer = refusal(status, sentence);
    let name = HeaderName::from_static("x-go-pprof");
    answer.headers_mut().insert(name, HeaderValue::from_static("1"));
    answer
}

/// What is watched cannot be read.
pub(crate) fn unreadable(error: &LiveError) -> Answer {
    refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}
