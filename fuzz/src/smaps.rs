//! What a process says of its memory areas is read or refused, and every resident byte has one
//! owner.

use analysis::resident::{Known, by_owner};

use crate::Answer;

/// Reads `/proc/PID/smaps`.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    match profile::smaps::parse(text, "fuzzed") {
        Ok(areas) => {
            let all = areas.iter().try_fold(0u64, |sum, area| sum.checked_add(area.resident_bytes));
            // More than an address space has is no process's.
            if let Some(all) = all {
                let table = 0x1000..0x2000;
                let known = Known { ledger: "/ledger", tables: std::slice::from_ref(&table) };
                assert_eq!(by_owner(&areas, &known).total(), all);
            }
            Answer::Read
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Answer::Refused
        }
    }
}

/// A program, its heap, a ledger, a table and a stack.
pub fn seeds() -> Vec<Vec<u8>> {
    let areas = "1000-2000 rw-p 00000000 00:00 0\nSize: 4 kB\nRss: 4 kB\nVmFlags: rd wr mr nr sd\n\
        55d0c0000000-55d0c0040000 r-xp 00002000 fe:00 18504     /usr/sbin/nginx\n\
        Size:                256 kB\nRss:                 152 kB\nVmFlags: rd ex mr mw me sd\n\
        55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0          [heap]\n\
        Size:               1024 kB\nRss:                 900 kB\nTHPeligible:    0\n\
        7f18ab003000-7f18ab029000 rw-s 00000000 fe:00 99         /ledger\n\
        Size:                152 kB\nRss:                  52 kB\nVmFlags: rd wr sh mr mw sd\n\
        7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0          [stack]\nRss: 20 kB\n";
    vec![areas.as_bytes().to_vec()]
}
