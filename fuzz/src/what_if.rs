//! What fixes saved is read or refused, and once read, can be written and read again.

use std::path::Path;

use capture::records::what_if::WhatIf;

use crate::Answer;

/// Reads a `what-if.json`.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    let file = Path::new("fuzzed");
    match WhatIf::parse(text, file) {
        Ok(what_if) => {
            let written = serde_json::to_string(&what_if).expect("figures are valid JSON");
            let again = WhatIf::parse(&written, file).expect("our own writing is sound");
            assert_eq!(again.fixes.len(), what_if.fixes.len());
            Answer::Read
        }
        Err(error) => {
            assert!(error.to_string().contains("fuzzed"));
            Answer::Refused
        }
    }
}

/// A fix that was applied, and one that was not.
pub fn seeds() -> Vec<Vec<u8>> {
    let cost = r#"{"connections": 20, "bytes_per_connection": 75625.6,
        "blocks_per_connection": 54.0, "allocs_per_handshake": 1300.5, "resident_bytes": 9000000,
        "handshakes_per_second": 612.25, "handshakes_per_second_spread": [600.5, 640.0]}"#;
    let fix = |name: &str, rest: &str| {
        format!(
            r#"{{"name": "{name}", "predicted_bytes_per_connection": 33285.0,
            "saved_bytes_per_connection": 33285.0, "predicted_resident_bytes": null,
            "saved_resident_bytes": -4096.0, "flamegraph": "a-to-b.svg", {rest}}}"#
        )
    };
    let applied = format!(
        r#""not_applied": null, "cost": {cost}, "remarks": ["It takes time."],
        "reached": [{{"object": "libssl.so.3", "way": "a jump", "processes": 2}}]"#
    );
    let left_out = r#""not_applied": "there is none", "cost": null, "remarks": [], "reached": []"#;
    let fixes = [fix("release-buffers", &applied), fix("no-zlib", left_out)].join(", ");
    let text = format!(
        r#"{{"schema": 1, "subject": "server -p 443", "as_it_is": {cost}, "fixes": [{fixes}],
        "machine": {{"cpu": "a processor", "cpus": 2, "memory_bytes": 1000000000,
        "kernel": "6.1", "architecture": "x86_64"}}, "versions": null, "command": ["tlsheap"]}}"#
    );
    vec![text.into_bytes()]
}
