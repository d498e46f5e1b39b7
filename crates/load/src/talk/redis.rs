//! Redis: PING, and PONG.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::failure::{Failure, FailureKind};
use crate::stream::Stream;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// More than any error of the server's takes.
const MOST: usize = 1024;

pub(super) async fn ping(stream: &mut Stream) -> Result<(), Failure> {
    stream.write_all(PING).await.map_err(Failure::of_read)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && answer.len() < MOST {
        answer.push(stream.read_u8().await.map_err(Failure::of_read)?);
    }
    if answer == PONG {
        return Ok(());
    }
    let answer = String::from_utf8_lossy(&answer);
    Err(Failure::new(
        FailureKind::AnswerWrong,
        format_args!("PING was answered with {:?}", answer.trim_end()),
    ))
}
