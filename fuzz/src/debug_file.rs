//! Two files, of which the second holds the first one's debug information, can be searched for the
//! names of any addresses. The first four bytes say where the second begins.

use profile::symbols::Elf;

use crate::Answer;

/// Reads a file with its debug file.
pub fn read(bytes: &[u8]) -> Answer {
    let Some((length, files)) = bytes.split_first_chunk() else { return Answer::Refused };
    let length = u32::from_le_bytes(*length) as usize;
    let Some((module, debug)) = files.split_at_checked(length) else { return Answer::Refused };
    let (Ok(elf), Ok(debug)) = (Elf::parse(module), Elf::parse(debug)) else {
        return Answer::Refused;
    };
    let elf = elf.with_debug_file(debug);
    for offset in (0..module.len() as u64).step_by(16).take(1024) {
        if let Some(address) = elf.address_of(offset) {
            elf.frames(address);
        }
    }
    Answer::Read
}

/// A stripped library and the same with all that was stripped.
pub fn seeds() -> Vec<Vec<u8>> {
    let [module, debug] = ["-s", "-g"].map(|option| crate::seeds::library(&[option]));
    let length = u32::try_from(module.len()).expect("a small library");
    vec![[&length.to_le_bytes()[..], &module, &debug].concat()]
}
