//! HTTP/1.1: one document, asked for again and again.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::failure::{Failure, FailureKind};
use crate::stream::Stream;

/// The longest line of a header, in bytes.
const MOST_LINE: u64 = 16 * 1024;
/// The most lines of a header.
const MOST_LINES: usize = 256;
/// The largest document, in bytes.
const MOST_DOCUMENT: u64 = 64 << 20;

/// The request; `None` when the path cannot be in one.
pub(super) fn request(path: &str, host: &str) -> Option<Vec<u8>> {
    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
    (path.starts_with('/') && printable).then(|| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tlsheap\r\nAccept: */*\r\n\r\n")
            .into_bytes()
    })
}

/// Asks, and returns the document.
pub(super) async fn get(stream: &mut Stream, request: &[u8]) -> Result<Vec<u8>, Failure> {
    stream.write_all(request).await.map_err(Failure::of_read)?;
    let mut reader = BufReader::new(stream);
    let document = read(&mut reader).await?;
    if !reader.buffer().is_empty() {
        return Err(wrong("the server sent more than the document"));
    }
    Ok(document)
}

/// The document is the first one.
pub(super) fn compare(first: &[u8], document: &[u8]) -> Result<(), Failure> {
    if first == document {
        return Ok(());
    }
    let same = first.iter().zip(document).take_while(|(a, b)| a == b).count();
    Err(wrong(format_args!(
        "a document of {} bytes that differs from the first one, of {}, at byte {same}",
        document.len(),
        first.len()
    )))
}

/// How the end of a document is known.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Bytes(u64),
    Chunked,
}

async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, Failure> {
    let status = line(reader).await?;
    let mut words = status.splitn(3, ' ');
    let (version, code) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !version.starts_with("HTTP/1.") || code.len() != 3 || !code.starts_with('2') {
        return Err(wrong(format_args!("the answer begins with {status:?}")));
    }
    match header(reader).await? {
        Length::Bytes(bytes) => {
            let mut document = Vec::new();
            add(reader, bytes, &mut document).await?;
            Ok(document)
        }
        Length::Chunked => chunks(reader).await,
    }
}

/// Reads the header to its end.
async fn header(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Length, Failure> {
    let mut length = None;
    let mut closes = false;
    for _ in 0..MOST_LINES {
        let line = line(reader).await?;
        if line.is_empty() {
            if closes {
                return Err(Failure::new(
                    FailureKind::ClosedByServer,
                    "the server answers with Connection: close: it keeps no connections",
                ));
            }
            return length.ok_or_else(|| {
                wrong("an answer without Content-Length that is not chunked: it has no end")
            });
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let bytes =
                    value.parse().map_err(|_| wrong(format_args!("Content-Length: {value}")))?;
                // A chunked document has no other length.
                length = length.or(Some(Length::Bytes(bytes)));
            }
            "transfer-encoding" if value.ends_with("chunked") => length = Some(Length::Chunked),
            "connection" => closes = value == "close",
            _ => {}
        }
    }
    Err(wrong(format_args!("a header of more than {MOST_LINES} lines")))
}

async fn chunks(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Vec<u8>, Failure> {
    let mut document = Vec::new();
    loop {
        let head = line(reader).await?;
        let digits = head.split(';').next().unwrap_or_default().trim();
        let bytes = u64::from_str_radix(digits, 16)
            .map_err(|_| wrong(format_args!("a chunk that begins with {head:?}")))?;
        if bytes == 0 {
            break;
        }
        add(reader, bytes, &mut document).await?;
        if !line(reader).await?.is_empty() {
            return Err(wrong("a chunk that is longer than it says"));
        }
    }
    for _ in 0..MOST_LINES {
        if line(reader).await?.is_empty() {
            return Ok(document);
        }
    }
    Err(wrong(format_args!("a trailer of more than {MOST_LINES} lines")))
}

/// Adds this many bytes to the document. Memory is taken as they come, whatever was announced.
async fn add(
    reader: &mut (impl AsyncBufRead + Unpin),
    bytes: u64,
    document: &mut Vec<u8>,
) -> Result<(), Failure> {
    if bytes.saturating_add(document.len() as u64) > MOST_DOCUMENT {
        return Err(wrong(format_args!("a document of more than {MOST_DOCUMENT} bytes")));
    }
    let read = reader.take(bytes).read_to_end(document).await.map_err(Failure::of_read)?;
    if (read as u64) < bytes {
        return Err(Failure::new(FailureKind::ClosedByServer, "closed within an answer"));
    }
    Ok(())
}

/// A line without its end.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Failure> {
    let mut line = Vec::new();
    reader.take(MOST_LINE).read_until(b'\n', &mut line).await.map_err(Failure::of_read)?;
    match line.strip_suffix(b"\n") {
        Some(line) => {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            Ok(String::from_utf8_lossy(line).into_owned())
        }
        None if (line.len() as u64) < MOST_LINE => {
            Err(Failure::new(FailureKind::ClosedByServer, "closed instead of an answer"))
        }
        None => Err(wrong(format_args!("a line of more than {MOST_LINE} bytes"))),
    }
}

fn wrong(detail: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::AnswerWrong, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(answer: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read(&mut answer.as_bytes()));
        read.map(|document| String::from_utf8(document).unwrap()).map_err(|failure| failure.detail)
    }

    #[test]
    fn a_document_ends_where_its_header_says() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX: y\r\n\r\nhellomore";
        assert_eq!(document(answer).as_deref(), Ok("hello"));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5;x=y\r\nhello\r\nA\r\n, 16 bytes\r\n0\r\nTrailer: z\r\n\r\n";
        assert_eq!(document(chunked).as_deref(), Ok("hello, 16 bytes"));
        assert_eq!(document("HTTP/1.1 204 No\nContent-Length: 0\n\n").as_deref(), Ok(""));
    }

    #[test]
    fn what_is_no_document_is_said() {
        for (answer, words) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "begins with \"HTTP/1.1 404 Not Found\""),
            ("220 mail.example.org\r\n", "begins with"),
            ("HTTP/1.1 200 OK\r\n\r\n", "has no end"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length: -1"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "closed within"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "a document of more"),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "keeps no"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk that begins"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than"),
            ("", "closed instead of"),
        ] {
            let found = document(answer).expect_err(answer);
            assert!(found.contains(words), "{answer:?}: {found}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(20_000));
        assert!(document(&endless).expect_err("no end").contains("a line of more than"));
    }

    #[test]
    fn a_path_cannot_make_lines() {
        assert!(request("/a?b=c", "localhost").is_some());
        for path in ["", "a", "/a b", "/a\r\nX: y", "/ä"] {
            assert_eq!(request(path, "localhost"), None, "{path:?}");
        }
    }

    #[test]
    fn another_document_is_told_from_the_first_by_its_first_other_byte() {
        assert!(compare(b"same", b"same").is_ok());
        let failure = compare(b"same", b"sane and more").expect_err("another");
        assert_eq!(
            failure.detail,
            "a document of 13 bytes that differs from the first one, of 4, at byte 2"
        );
    }
}
