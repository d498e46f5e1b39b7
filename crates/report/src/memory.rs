//! What OpenSSL's memory is beside that of the whole process, in sentences.

use analysis::notation::{human, percent, rounded};
use capture::records::memory::{MemoryGrowthRecord, MemoryRecord};
use capture::records::recording::Recording;

/// OpenSSL's share of what the recorded processes have to themselves, and by how much that grew
/// for each connection; empty where it could not be read.
pub fn sentences(recording: &Recording) -> Vec<String> {
    let Some(memory) = &recording.memory else { return Vec::new() };
    let growth = memory.growth.as_ref().map(|it| growth(it, recording.processes.len()));
    growth.into_iter().chain([share(memory, recording)]).collect()
}

fn share(memory: &MemoryRecord, recording: &Recording) -> String {
    let openssl = &recording.openssl;
    let one = recording.processes.len() == 1;
    let recorder = human(memory.recorder_bytes as f64);
    if !recording.is_at_peak() {
        let (bytes, own) = (openssl.inuse_bytes, memory.own_bytes());
        let whose = if one { "process has of its own" } else { "processes have of their own" };
        return format!(
            "OpenSSL holds {}, {} the {} that the {whose}: resident, without files, and without \
             {recorder} of the recorder's{}.",
            human(bytes as f64),
            part(bytes, own),
            human(own as f64),
            shared(memory),
        );
    }
    let (most, last) = (memory.most_own_bytes, memory.own_bytes());
    let whose = if one { "process had of its own" } else { "processes had of their own" };
    format!(
        "OpenSSL asked for at most {}, {} the {} that the {whose} when that was seen to be most; \
         when it was last seen OpenSSL held {} of {} (resident, without files, and without \
         {recorder} of the recorder's).",
        human(openssl.peak_bytes as f64),
        part(openssl.peak_bytes, most),
        human(most as f64),
        human(memory.openssl_bytes as f64),
        human(last as f64),
    )
}

/// Memory that is shared with others, where it is more than a tenth.
fn shared(memory: &MemoryRecord) -> String {
    if memory.shared_bytes.saturating_mul(10) < memory.own_bytes() || memory.shared_bytes == 0 {
        return String::new();
    }
    format!("; {} of it are shared memory", human(memory.shared_bytes as f64))
}

fn part(bytes: u64, own: u64) -> String {
    match bytes {
        bytes if bytes > own => "more than".to_owned(),
        bytes => percent(bytes as f64 / own.max(1) as f64) + " of",
    }
}

fn growth(growth: &MemoryGrowthRecord, processes: usize) -> String {
    let MemoryGrowthRecord { from_connections, to_connections, bytes_each, openssl_bytes_each } =
        *growth;
    let (each, openssl) = (rounded(bytes_each.max(0.0)), rounded(openssl_bytes_each));
    let all = match openssl_bytes_each {
        asked if asked > bytes_each => {
            format!(
                "OpenSSL asked for {openssl} bytes for each, a part of which was not touched yet"
            )
        }
        asked if bytes_each > 0.0 => {
            format!("{openssl} of them are OpenSSL's, {}", percent(asked / bytes_each))
        }
        _ => format!("OpenSSL asked for {openssl} bytes for each"),
    };
    let whose = match processes {
        1 => "the process's",
        _ => "the processes'",
    };
    format!(
        "From {from_connections} to {to_connections} SSL objects {whose} own memory grew by {each} \
         bytes for each: {all}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes_each: f64, openssl_bytes_each: f64) -> String {
        let (from_connections, to_connections) = (25, 50);
        let record =
            MemoryGrowthRecord { from_connections, to_connections, bytes_each, openssl_bytes_each };
        growth(&record, 1)
    }

    #[test]
    fn growth_is_told_with_the_share_that_is_openssls() {
        assert_eq!(
            said(289_251.4, 16_572.0),
            "From 25 to 50 SSL objects the process's own memory grew by 289,251 bytes for each: \
             16,572 of them are OpenSSL's, 5.7 %."
        );
        assert_eq!(
            said(22_331.0, 46_884.0),
            "From 25 to 50 SSL objects the process's own memory grew by 22,331 bytes for each: \
             OpenSSL asked for 46,884 bytes for each, a part of which was not touched yet."
        );
        assert!(said(-5.0, 100.0).contains("grew by 0 bytes"));
    }
}
