//! Any file can be searched for an OpenSSL.
#![no_main]

use finder::Elf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(elf) = Elf::parse(bytes) else { return };
    if let Some(openssl) = finder::find(&elf) {
        finder::variables(&elf, &openssl);
    }
    finder::version(&elf);
    finder::other_library(&elf);
    elf.needed();
});
