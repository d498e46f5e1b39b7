//! Any text can be searched for the name of any address.

use profile::symbols::PerfMap;

use crate::Answer;

/// Reads a perf map.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(map) = PerfMap::parse("fuzzed", bytes) else { return Answer::Refused };
    for address in [0, 1, 0x1000, u64::MAX] {
        map.frame(address);
    }
    // Where the lines say that there is code.
    for line in String::from_utf8_lossy(bytes).lines() {
        let start = line.split(' ').next().unwrap_or_default();
        if let Ok(start) = u64::from_str_radix(start, 16) {
            map.frame(start);
        }
    }
    Answer::Read
}

/// Perf maps of Node and Python.
pub fn seeds() -> Vec<Vec<u8>> {
    let node = "7f941f8449c0 378 JS:~welcome /srv/echo.js:11:17\n\
        7f941f844d40 40 JS:*next node:internal/timers:505:20\n\
        7f941f844c00 200 Builtin:ArgumentsAdaptorTrampoline\n";
    let python = "7f0a3c000000 1000 py::<module>:/srv/echo.py\n\
        7f0a3c000b00 b00 py::Server.start:/usr/lib/python3.12/asyncio/base_events.py\nffffffffffff";
    [node, python].map(|text| text.as_bytes().to_vec()).into()
}
