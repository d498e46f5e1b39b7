//! What a run folder says of itself is read as a run or as a recording, or refused; once read, it
//! can be written, read again and told on a page.

use std::path::Path;

use capture::records::recording::{KIND, Recording};
use capture::records::run::RunRecord;
use capture::{Capture, Moments};
use profile::Profile;
use report::page::{Told, page};

use crate::Answer;

/// Reads a `run.json`, of whichever kind it says that it is.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    let file = Path::new("fuzzed");
    let (empty, moments) = (Profile::of_heap, Moments::default());
    let capture = if text.contains(&format!("\"{KIND}\"")) {
        let Ok(record) = Recording::parse(text, file) else { return Answer::Refused };
        let written = serde_json::to_string(&record).expect("a record of ours is valid JSON");
        Recording::parse(&written, file).expect("our own writing is sound");
        Capture::of_recording("fuzzed", record, empty(), None, moments)
    } else {
        let Ok(record) = RunRecord::parse(text, file) else { return Answer::Refused };
        let written = serde_json::to_string(&record).expect("a record of ours is valid JSON");
        RunRecord::parse(&written, file).expect("our own writing is sound");
        Capture::of_run(record, empty(), empty(), moments)
    };
    let told = Told::new(capture, None, &|_| None).expect("the whole of it is there");
    assert!(!page(vec![told], None).expect("there are columns").is_empty());
    Answer::Read
}

/// A run, and a recording of two processes, one of them forked.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![crate::seeds::reference("tls13/run.json")];
    seeds.push(RECORDING.as_bytes().to_vec());
    seeds
}

const RECORDING: &str = r#"{
  "schema": 1, "kind": "record", "command": ["nginx", "-c", "/etc/nginx.conf"],
  "ended": "was ended with SIGTERM", "exit_code": null, "captured": "at rest, after 2.5 s",
  "captured_after_seconds": 2.5, "connections": 20,
  "per_connection": {
    "less_baseline": true, "bytes": 51234.5, "blocks": 100.25, "made": 20, "allocations": 733.0
  },
  "baseline": { "after_seconds": 0.5, "openssl": {
    "inuse_bytes": 9, "inuse_blocks": 1, "alloc_bytes": 9, "alloc_blocks": 1, "peak_bytes": 9,
    "peak_blocks": 1
  } },
  "objects": { "SSL": 20, "SSL_CTX": 1 }, "series": 3, "tlsheap": "0.1.0", "commit": null,
  "machine": {
    "cpu": "a processor", "cpus": 2, "memory_bytes": 8000000000, "kernel": "6.1",
    "architecture": "x86_64"
  },
  "started": "2026-01-02T03:04:05Z", "seconds": 3.25,
  "openssl": {
    "inuse_bytes": 1024690, "inuse_blocks": 2005, "alloc_bytes": 9000000, "alloc_blocks": 14660,
    "peak_bytes": 1030000, "peak_blocks": 2100
  },
  "processes": [ {
    "pid": 17, "program": "/usr/sbin/nginx", "forked_from": 16, "profile": "nginx-17.pb.gz",
    "openssl": {
      "inuse_bytes": 1024690, "inuse_blocks": 2005, "alloc_bytes": 9000000, "alloc_blocks": 14660,
      "peak_bytes": 1030000, "peak_blocks": 2100
    },
    "openssl_at_end": {
      "inuse_bytes": 0, "inuse_blocks": 0, "alloc_bytes": 9000000, "alloc_blocks": 14660,
      "peak_bytes": 1030000, "peak_blocks": 2100
    },
    "inherited": { "blocks": 5, "bytes": 512, "freed_blocks": 1, "freed_bytes": 64 },
    "openssls": [ {
      "object": "libcrypto.so.3", "version": "OpenSSL 3.0.19 27 Jan 2026", "way": "exported",
      "outcome": "recorded"
    } ],
    "recorder": {
      "sites": 400, "site_capacity": 65536, "dropped_blocks": 0, "dropped_bytes": 0,
      "untracked_blocks": 1, "untracked_bytes": 8, "foreign_frees": 2, "stale_blocks": 0,
      "nested_calls": 0, "truncated_stacks": 0, "hook_replaced": false, "sandboxed": true,
      "unrecorded_children": 1, "ledger_bytes": 4096, "private_bytes": 8192
    },
    "broken_stacks": 7
  } ],
  "problems": ["process 18: the folder for ledgers is full"],
  "symbols": { "resolved": 900, "unresolved": 3, "outside": 1, "unusable_modules": {} }
}
"#;
