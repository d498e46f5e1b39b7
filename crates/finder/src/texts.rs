//! What the texts in an object tell: the version of its OpenSSL, and TLS libraries that are not
//! OpenSSL.

use contract::TlsLibrary;
use memchr::memmem;

use crate::Elf;
use crate::elf::Segment;

/// Texts of OpenSSL's files that every build has: a name that it passes to its memory functions,
/// or that of a variable in the environment, where names were left out.
const OPENSSL: [&[u8]; 2] = [b"crypto/ex_data.c\0", b"OPENSSL_ia32cap\0"];

/// The object may hold an OpenSSL. It is asked of every object of every process that is recorded:
/// what does not call malloc need not be read.
pub(crate) fn has_openssl(elf: &Elf) -> bool {
    elf.may_call("malloc") && OPENSSL.iter().any(|text| has(elf, text))
}

/// The libraries other than OpenSSL that give themselves away by a text.
pub(crate) fn other_libraries(elf: &Elf) -> Vec<TlsLibrary> {
    let mut found = Vec::new();
    for text in texts_beginning(elf, "OpenSSL ") {
        match text.split_once("(compatible; ") {
            Some((_, of)) if of.starts_with("AWS-LC") => found.push(TlsLibrary::AwsLc),
            Some((_, of)) if of.starts_with("BoringSSL") => found.push(TlsLibrary::Boringssl),
            _ => {}
        }
    }
    // How both call what an error says of itself; one of them has its name in another text, or asks
    // for functions that the other does not know.
    if has_text(elf, b":OPENSSL_", |rest| {
        matches!(rest, [b'i', b'n', b't', b'e', b'r', b'n', b'a', b'l', b':', ..])
    }) {
        found.push(TlsLibrary::Boringssl);
    }
    let numbered = |text: &str| text[9..].starts_with(|c: char| c.is_ascii_digit());
    if texts_beginning(elf, "LibreSSL ").any(numbered) {
        found.push(TlsLibrary::Libressl);
    }
    // Panics say in which source file they are, and messages of the log in which module. Texts of
    // Rust end with nothing, so that another may stand before the name.
    if has_text(elf, b"rustls", |rest| {
        matches!(
            rest,
            [b'-', b'0', b'.', ..] | [b':', b':', ..] | [b'/', b's', b'r', b'c', b'/', ..]
        )
    }) {
        found.push(TlsLibrary::Rustls);
    }
    if elf.has_section(".gopclntab") && has(elf, b"crypto/tls.(*Conn)") {
        found.push(TlsLibrary::Go);
    }
    found
}

/// Some text has `name` in it, and goes on as it should. What looks for a text has it in its own
/// file, and would find itself: of this one, its beginning stands there, and the rest in code.
fn has_text(elf: &Elf, name: &[u8], goes_on: fn(&[u8]) -> bool) -> bool {
    let finder = memmem::Finder::new(name);
    constants(elf).any(|segment| {
        finder.find_iter(segment.bytes).any(|at| goes_on(&segment.bytes[at + name.len()..]))
    })
}

/// The version of the OpenSSL that the object holds, as it says it: `OpenSSL 3.0.19 27 Jan 2026`.
/// `None` when there is no such text, or there are different ones.
pub fn version(elf: &Elf) -> Option<String> {
    let mut versions = texts_beginning(elf, "OpenSSL ").filter(|text| is_version(text));
    let first = versions.next()?;
    versions.all(|other| other == first).then(|| first.to_owned())
}

/// C strings that begin with `beginning`. Not those that only quote it: programs say what they were
/// built with.
fn texts_beginning<'e, 'a>(
    elf: &'e Elf<'a>,
    beginning: &'e str,
) -> impl Iterator<Item = &'a str> + 'e {
    const LONGEST: usize = 64;
    constants(elf).flat_map(move |segment| {
        memmem::find_iter(segment.bytes, beginning.as_bytes()).filter_map(move |at| {
            let whole = at == 0 || segment.bytes[at - 1] == 0;
            let text = &segment.bytes[at..segment.bytes.len().min(at + LONGEST)];
            let end = memchr::memchr(0, text).filter(|_| whole)?;
            std::str::from_utf8(&text[..end]).ok()
        })
    })
}

/// `OpenSSL 1.1.1w  11 Sep 2023`: a number of three parts, and a date.
fn is_version(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, number, .., _, _, year] = words[..] else { return false };
    let parts: Vec<&str> = number.split('.').collect();
    let digit = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit());
    parts.len() == 3
        && parts.iter().all(digit)
        && year.len() == 4
        && year.chars().all(|c| c.is_ascii_digit())
}

/// The text is in it.
pub(crate) fn has(elf: &Elf, text: &[u8]) -> bool {
    let finder = memmem::Finder::new(text);
    constants(elf).any(|segment| finder.find(segment.bytes).is_some())
}

/// Where linkers put texts: in segments that nobody writes. In older layouts they hold code too.
fn constants<'e, 'a>(elf: &'e Elf<'a>) -> impl Iterator<Item = &'e Segment<'a>> {
    let apart = elf.segments().iter().any(|segment| !segment.writable && !segment.executable);
    elf.segments().iter().filter(move |segment| !(segment.writable || apart && segment.executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_from_other_texts_that_begin_alike() {
        for version in [
            "OpenSSL 3.0.19 27 Jan 2026",
            "OpenSSL 1.1.1w  11 Sep 2023",
            "OpenSSL 4.0.3 29 Sep 2026",
            "OpenSSL 3.2.0-beta1 26 Oct 2023",
            "OpenSSL 1.1.1k  FIPS 25 Mar 2021",
        ] {
            assert!(is_version(version), "{version}");
        }
        for other in [
            "OpenSSL ",
            "OpenSSL error",
            "OpenSSL 1.1.1 (compatible; BoringSSL)",
            "OpenSSL 3 Default Provider for 2026",
            "OpenSSL RSA method by A. Person 2001",
        ] {
            assert!(!is_version(other), "{other}");
        }
    }
}
