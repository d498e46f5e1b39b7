//! What is said on a connection: one place for each conversation that a load can have.
//!
//! | | before TLS | first | then, again and again |
//! |---|---|---|---|
//! | echo | | welcome from the server | hello, and its echo |
//! | http | | | GET, and the document |
//! | redis | | | PING, and PONG |
//! | postgres | SSLRequest, and S | startup, and its answer | an empty query, and its end |
//! | tls | | | |

mod echo;
mod http;
mod postgres;
mod redis;

use std::sync::OnceLock;

use tokio::net::TcpStream;

use crate::client_error::ClientError;
use crate::failure::{Failure, FailureKind};
use crate::options::Conversation;
use crate::stream::{Opened, Stream};

pub use echo::{HELLO, WELCOME};

/// What the connections of a load say.
pub(crate) enum Talk {
    Echo,
    Http {
        /// The whole request.
        request: Vec<u8>,
        /// What every answer has to be: the first one that came to any of the connections.
        document: OnceLock<Vec<u8>>,
    },
    Redis,
    Postgres {
        /// The whole startup message.
        startup: Vec<u8>,
    },
    Tls,
}

impl Talk {
    /// `host` is what an HTTP request calls the server.
    pub(crate) fn new(conversation: &Conversation, host: &str) -> Result<Talk, ClientError> {
        Ok(match conversation {
            Conversation::Echo => Talk::Echo,
            Conversation::Http { path } => {
                let request =
                    http::request(path, host).ok_or_else(|| ClientError::Path(path.clone()))?;
                Talk::Http { request, document: OnceLock::new() }
            }
            Conversation::Redis => Talk::Redis,
            Conversation::Postgres { user } => {
                let startup =
                    postgres::startup(user).ok_or_else(|| ClientError::User(user.clone()))?;
                Talk::Postgres { startup }
            }
            Conversation::Tls => Talk::Tls,
        })
    }

    /// What is said in the clear.
    pub(crate) async fn before_tls(&self, tcp: &mut TcpStream) -> Result<(), Failure> {
        match self {
            Talk::Postgres { .. } => postgres::ask_for_tls(tcp).await,
            _ => Ok(()),
        }
    }

    /// What is said first after the handshake.
    pub(crate) async fn open(&self, stream: &mut Stream) -> Result<Opened, Failure> {
        match self {
            Talk::Echo => echo::read_welcome(stream).await.map(|()| Opened::Ready),
            Talk::Http { .. } | Talk::Redis => Ok(Opened::Ready),
            Talk::Postgres { startup } => postgres::start(stream, startup).await,
            Talk::Tls => Ok(Opened::Held),
        }
    }

    /// The server says nothing until it is asked, so that only an answer proves it to be there.
    pub(crate) fn client_speaks_first(&self) -> bool {
        matches!(self, Talk::Http { .. } | Talk::Redis)
    }

    /// A question, and its answer, checked.
    pub(crate) async fn ask(&self, stream: &mut Stream) -> Result<(), Failure> {
        match self {
            Talk::Echo => echo::say_hello(stream).await,
            Talk::Http { request, document } => {
                let answer = http::get(stream, request).await?;
                http::compare(document.get_or_init(|| answer.clone()), &answer)
            }
            Talk::Redis => redis::ping(stream).await,
            Talk::Postgres { .. } => postgres::ask(stream).await,
            Talk::Tls => Ok(()),
        }
    }

    /// What it is when an answer does not come in time, and what did not come.
    pub(crate) fn unanswered(&self) -> (FailureKind, &'static str) {
        match self {
            Talk::Echo => (FailureKind::EchoTimeout, "echo"),
            _ => (FailureKind::AnswerTimeout, "answer"),
        }
    }

    /// The server has spoken, and nobody asked it to.
    pub(crate) fn unasked(&self) -> Result<(), Failure> {
        match self {
            Talk::Tls => Ok(()),
            Talk::Echo => {
                Err(Failure::new(FailureKind::EchoWrong, "the server sent more than it got"))
            }
            _ => {
                Err(Failure::new(FailureKind::AnswerWrong, "the server spoke without being asked"))
            }
        }
    }

    /// What is said before the connection is closed.
    pub(crate) fn farewell(&self) -> &'static [u8] {
        match self {
            Talk::Postgres { .. } => postgres::TERMINATE,
            _ => b"",
        }
    }
}
