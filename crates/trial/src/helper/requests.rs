//! What a program that started `serve --json` may ask it for: one JSON object a line on standard
//! input, answered by an event on standard output.

use std::io::BufRead;
use std::sync::Arc;

use echo_server::{Counters, HeapStatistics, heap_profile, openssl_usable_bytes};

use super::events::{ServerEvent, ServerRequest};
use super::lines::say;

/// Answers until standard input ends, on a thread of its own: reading from a terminal or a pipe
/// cannot be interrupted, and a runtime would wait for it at its end.
pub fn answer_in_background(counters: Arc<Counters>) -> std::io::Result<()> {
    let answering = move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            // Whoever closed standard output wants no answers; the server serves on.
            let _ = say(&answer(&line, &counters));
        }
    };
    std::thread::Builder::new().name("requests".to_owned()).spawn(answering)?;
    Ok(())
}

fn answer(line: &str, counters: &Counters) -> ServerEvent {
    let warning = |message: String| ServerEvent::Warning { message };
    match serde_json::from_str(line) {
        Ok(ServerRequest::Statistics) => match HeapStatistics::now() {
            Ok(jemalloc) => ServerEvent::Statistics { open: counters.open(), jemalloc },
            Err(error) => warning(error.to_string()),
        },
        Ok(ServerRequest::Heap { path }) => {
            // The figures last: they are to be as new as the answer.
            let dumped = path.as_deref().map_or(Ok(()), heap_profile::dump);
            let openssl_usable_bytes = openssl_usable_bytes();
            match dumped.and_then(|()| HeapStatistics::now()) {
                Ok(jemalloc) => ServerEvent::Heap { jemalloc, openssl_usable_bytes },
                Err(error) => ServerEvent::HeapFailed { message: error.to_string() },
            }
        }
        Err(error) => warning(format!("not a request: {line}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_request_is_answered_with_a_warning() {
        for line in ["", "heap", r#"{"command":"stop"}"#, r#"{"command":"heap","path":1}"#] {
            let ServerEvent::Warning { message } = answer(line, &Counters::default()) else {
                panic!("{line}")
            };
            assert!(message.starts_with(&format!("not a request: {line}")), "{message}");
        }
    }

    #[test]
    fn a_dump_that_cannot_be_written_fails_by_name() {
        let ServerEvent::HeapFailed { message } =
            answer(r#"{"command":"heap","path":"/no/such/folder/x.heap"}"#, &Counters::default())
        else {
            panic!("no failure")
        };
        assert!(message.contains("/no/such/folder/x.heap"), "{message}");
    }

    #[test]
    fn statistics_are_jemallocs() {
        let block = std::hint::black_box(vec![1_u8; 3 << 20]);
        let ServerEvent::Statistics { open, jemalloc } =
            answer(r#"{"command":"statistics"}"#, &Counters::default())
        else {
            panic!("no statistics")
        };
        assert_eq!(open, 0);
        assert!(jemalloc.allocated >= block.len() as u64);
        assert!(jemalloc.active >= jemalloc.allocated);
        assert!(jemalloc.resident >= jemalloc.active);
    }
}
