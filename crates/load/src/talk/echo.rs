//! An echo server's side of things: it welcomes, and sends back what it is sent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::failure::{Failure, FailureKind};
use crate::stream::Stream;

/// What the server says first.
pub const WELCOME: &[u8] = b"welcome!\n";

/// What is sent, and has to come back.
pub const HELLO: &[u8] = b"hello\n";

pub(super) async fn read_welcome(stream: &mut Stream) -> Result<(), Failure> {
    let mut welcome = [0; WELCOME.len()];
    stream.read_exact(&mut welcome).await.map_err(Failure::of_read)?;
    if welcome == WELCOME {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::WelcomeWrong,
        format_args!(
            "expected {:?}, found {:?}",
            String::from_utf8_lossy(WELCOME),
            String::from_utf8_lossy(&welcome)
        ),
    ))
}

pub(super) async fn say_hello(stream: &mut Stream) -> Result<(), Failure> {
    stream.write_all(HELLO).await.map_err(Failure::of_read)?;
    let mut echo = [0; HELLO.len()];
    stream.read_exact(&mut echo).await.map_err(Failure::of_read)?;
    match echo.iter().zip(HELLO).position(|(found, sent)| found != sent) {
        None => Ok(()),
        Some(at) => Err(Failure::new(
            FailureKind::EchoWrong,
            format_args!("byte {at}: sent {:#04x}, got back {:#04x}", HELLO[at], echo[at]),
        )),
    }
}
