//! Tables of a connection's functions, `SSL_METHOD`, in loaded objects: two numbers of 32 bits, of
//! which the first is a version of the protocol; one of 64, with options; then functions of the same
//! object, many in a row. They need no symbols to be found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use crate::areas::{Area, Areas};
use crate::memory::Memory;

/// The addresses of all of them, in their order.
#[derive(Debug, Default)]
pub(super) struct Methods {
    tables: Vec<u64>,
    cut: bool,
}

/// So many functions come in a row, in every version since 1.1.
const FUNCTIONS: usize = 16;
/// The two numbers, and the options.
const HEAD: usize = 16;
const TABLE: usize = HEAD + FUNCTIONS * 8;

/// As much of an object is read at a time.
const WINDOW: u64 = 1 << 20;

/// Options that a table turns off have lower bits.
const OPTIONS: u64 = 1 << 40;
const FLAGS: u64 = 1 << 8;

/// Whether the number is a version of SSL, TLS or DTLS, as OpenSSL keeps them, or stands for any.
pub(super) fn is_version(number: u64) -> bool {
    const ANY: u64 = 0x1_0000;
    const ANY_DTLS: u64 = 0x1_ffff;
    matches!(number, 0x300..=0x304 | 0xfefd | 0xfeff | 0x100 | ANY | ANY_DTLS)
}

impl Methods {
    /// Looks for them, until then at most.
    pub(super) fn of(memory: &Memory, areas: &Areas, until: Instant) -> Methods {
        let mut files: BTreeMap<&str, Vec<&Area>> = BTreeMap::new();
        for area in areas.0.iter().filter(|area| area.path.starts_with('/')) {
            files.entry(&area.path).or_default().push(area);
        }
        let mut found = Methods::default();
        for areas in files.values() {
            let of_code = areas.iter().filter(|area| area.executable);
            let code: Vec<Range<u64>> = of_code.map(|area| area.start..area.end).collect();
            if code.is_empty() {
                continue;
            }
            for area in areas {
                let mut at = area.start;
                while at < area.end {
                    if Instant::now() > until {
                        found.cut = true;
                        return found;
                    }
                    let end = (at + WINDOW).min(area.end);
                    let most = (end - at) as usize + TABLE;
                    let bytes = memory.read_some(at, most.min((area.end - at) as usize));
                    found.add(at, (end - at) as usize, &bytes, &code);
                    at = end;
                }
            }
        }
        found.tables.sort_unstable();
        found
    }

    /// Those that begin in the first `length` bytes of what lies at `start`.
    fn add(&mut self, start: u64, length: usize, bytes: &[u8], code: &[Range<u64>]) {
        for offset in (0..length).step_by(8) {
            let Some(table) = bytes.get(offset..offset + TABLE) else { return };
            let word = |at: usize| u64::from_le_bytes(table[at..at + 8].try_into().unwrap());
            let (version, flags, options) = (word(0) & 0xffff_ffff, word(0) >> 32, word(8));
            if is_version(version)
                && flags < FLAGS
                && options < OPTIONS
                && (HEAD..TABLE).step_by(8).map(word).all(|it| code.iter().any(|c| c.contains(&it)))
            {
                self.tables.push(start + offset as u64);
            }
        }
    }

    pub(super) fn have(&self, address: u64) -> bool {
        self.tables.binary_search(&address).is_ok()
    }

    pub(super) fn are_none(&self) -> bool {
        self.tables.is_empty()
    }

    /// There was time for all.
    pub(super) fn are_all(&self) -> bool {
        !self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(version: u64, functions: [u64; FUNCTIONS]) -> Vec<u8> {
        let words = [&[version, 0][..], &functions].concat();
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_table_is_a_version_and_functions_of_one_object() {
        let code = [0x1000..0x1200, 0x1800..0x2000];
        let mut functions = [0x1100; FUNCTIONS];
        let mut bytes = vec![0; 64];
        bytes.extend(table(0x1_0000, functions));
        bytes.extend(table(0x999, functions));
        functions[FUNCTIONS - 1] = 0x2000;
        bytes.extend(table(0x303, functions));
        let mut found = Methods::default();
        found.add(0x5000, bytes.len(), &bytes, &code);
        assert_eq!(found.tables, [0x5040]);
        assert!(found.have(0x5040) && !found.have(0x5048));
    }
}
