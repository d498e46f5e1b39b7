//! Any file can be searched for an OpenSSL, and for functions by name.

use finder::Elf;

use crate::Answer;

/// Reads a library or program.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(elf) = Elf::parse(bytes) else { return Answer::Refused };
    if let Some(openssl) = finder::find(&elf) {
        finder::variables(&elf, &openssl);
    }
    finder::version(&elf);
    finder::other_libraries(&elf);
    elf.needed();
    for address in finder::functions(&elf, ["CRYPTO_malloc", "OPENSSL_new"]).into_iter().flatten() {
        finder::room(&elf, address);
    }
    Answer::Read
}

/// Libraries whose OpenSSL is found by name, in the symbol table, and by what refers to what.
pub fn seeds() -> Vec<Vec<u8>> {
    [&["-g"][..], &["-fvisibility=hidden"], &["-fvisibility=hidden", "-s"]]
        .map(crate::seeds::library)
        .into()
}
