//! Any file can be searched for the names of any addresses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::symbols::Elf;

fuzz_target!(|bytes: &[u8]| {
    let Ok(elf) = Elf::parse(bytes) else { return };
    for offset in (0..bytes.len() as u64).step_by(16).take(4096) {
        if let Some(address) = elf.address_of(offset) {
            elf.frames(address);
        }
    }
    elf.frames(0);
    elf.frames(u64::MAX);
});
