//! PostgreSQL: the request for TLS in the clear, the startup, and an empty query from time to
//! time. <https://www.postgresql.org/docs/current/protocol-flow.html>

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Failure, FailureKind};
use crate::stream::{Opened, Stream};

/// Length 8, and the number that stands for "TLS, please".
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// Version 3.0 of the protocol.
const VERSION: [u8; 4] = [0, 3, 0, 0];
/// A query of no text.
const EMPTY_QUERY: &[u8] = b"Q\0\0\0\x05\0";
/// The end of the conversation.
pub(super) const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// More than any message takes that is not the answer to a query.
const MOST: usize = 64 * 1024;

/// The startup message; `None` when the name cannot be one.
pub(super) fn startup(user: &str) -> Option<Vec<u8>> {
    // Longer ones are cut by the server.
    if user.is_empty() || user.len() > 63 || user.contains('\0') {
        return None;
    }
    let mut message = vec![0; 4];
    message.extend(VERSION);
    for text in ["user", user, "database", user, "application_name", "tlsheap", ""] {
        message.extend(text.as_bytes());
        message.push(0);
    }
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_be_bytes());
    Some(message)
}

pub(super) async fn ask_for_tls(tcp: &mut TcpStream) -> Result<(), Failure> {
    tcp.write_all(&SSL_REQUEST).await.map_err(Failure::of_read)?;
    match tcp.read_u8().await.map_err(Failure::of_read)? {
        b'S' => Ok(()),
        b'N' => Err(wrong_welcome("the server has no TLS: it answered N to the request for it")),
        other => Err(wrong_welcome(format_args!(
            "the request for TLS was answered with {:?}",
            char::from(other)
        ))),
    }
}

/// Asks to be let in. `Held` when the server wants a password first.
pub(super) async fn start(stream: &mut Stream, startup: &[u8]) -> Result<Opened, Failure> {
    stream.write_all(startup).await.map_err(Failure::of_read)?;
    loop {
        let (kind, body) = message(stream).await?;
        match (kind, body.get(..4)) {
            (b'R', Some([0, 0, 0, 0])) | (b'S' | b'K' | b'N' | b'v', _) => {}
            (b'R', Some(_)) => return Ok(Opened::Held),
            (b'Z', _) => return Ok(Opened::Ready),
            (b'E', _) => return Err(wrong_welcome(error_text(&body))),
            (other, _) => return Err(wrong_welcome(unexpected(other))),
        }
    }
}

/// An empty query: the server says that it was empty, and that it is ready again.
pub(super) async fn ask(stream: &mut Stream) -> Result<(), Failure> {
    stream.write_all(EMPTY_QUERY).await.map_err(Failure::of_read)?;
    let mut empty = false;
    loop {
        let (kind, body) = message(stream).await?;
        match kind {
            b'S' | b'N' | b'A' => {}
            b'I' => empty = true,
            b'Z' if empty => return Ok(()),
            b'E' => return Err(Failure::new(FailureKind::AnswerWrong, error_text(&body))),
            other => return Err(Failure::new(FailureKind::AnswerWrong, unexpected(other))),
        }
    }
}

/// A message's kind and body.
async fn message(stream: &mut Stream) -> Result<(u8, Vec<u8>), Failure> {
    let kind = stream.read_u8().await.map_err(Failure::of_read)?;
    let length = stream.read_u32().await.map_err(Failure::of_read)? as usize;
    let Some(length) = length.checked_sub(4).filter(|length| *length <= MOST) else {
        return Err(Failure::new(
            FailureKind::AnswerWrong,
            format_args!("a message of kind {:?} claims {length} bytes", char::from(kind)),
        ));
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(Failure::of_read)?;
    Ok((kind, body))
}

/// The field M of an error: its text for people.
fn error_text(body: &[u8]) -> String {
    let text = body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
    String::from_utf8_lossy(text.unwrap_or(b"an error without a text")).into_owned()
}

fn unexpected(kind: u8) -> String {
    format!("unexpected message of kind {:?}", char::from(kind))
}

fn wrong_welcome(detail: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::WelcomeWrong, detail)
}
