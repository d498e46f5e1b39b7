//! What the texts in an object tell: the version of its OpenSSL, and TLS libraries that are not
//! OpenSSL.

use memchr::memmem;

use crate::Elf;
use crate::elf::Segment;

/// A TLS library whose memory cannot be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Library {
    /// Google's fork: it takes no memory functions.
    Boringssl,
    /// Amazon's fork: it takes memory functions once, and passes no places.
    AwsLc,
    /// OpenBSD's fork: its setter does nothing.
    Libressl,
    /// GNU's own: its setter does nothing.
    Gnutls,
    /// Mozilla's own.
    Nss,
}

impl Library {
    /// The library's name.
    pub fn name(self) -> &'static str {
        match self {
            Library::Boringssl => "BoringSSL",
            Library::AwsLc => "AWS-LC",
            Library::Libressl => "LibreSSL",
            Library::Gnutls => "GnuTLS",
            Library::Nss => "NSS",
        }
    }

    /// Why its memory cannot be recorded, as the end of a sentence about it.
    pub fn obstacle(self) -> &'static str {
        match self {
            Library::Boringssl => "takes no memory functions",
            Library::AwsLc => "takes memory functions, but does not tell them who calls",
            Library::Libressl | Library::Gnutls => "takes memory functions without using them",
            Library::Nss => "has allocators of its own",
        }
    }
}

/// Texts of OpenSSL's files that every build has: a name that it passes to its memory functions,
/// or that of a variable in the environment, where names were left out.
const OPENSSL: [&[u8]; 2] = [b"crypto/ex_data.c\0", b"OPENSSL_ia32cap\0"];

/// The object may hold an OpenSSL. It is asked of every object of every process that is recorded:
/// what does not call malloc need not be read.
pub(crate) fn has_openssl(elf: &Elf) -> bool {
    elf.may_call("malloc") && OPENSSL.iter().any(|text| has(elf, text))
}

/// The library other than OpenSSL that the object holds.
pub fn other_library(elf: &Elf) -> Option<Library> {
    if elf.exports("gnutls_global_init") {
        return Some(Library::Gnutls);
    }
    if elf.exports("NSS_Initialize") || elf.exports("SSL_ImportFD") {
        return Some(Library::Nss);
    }
    texts_beginning(elf, "OpenSSL ")
        .find_map(|text| match text.split_once("(compatible; ")?.1 {
            of if of.starts_with("AWS-LC") => Some(Library::AwsLc),
            of if of.starts_with("BoringSSL") => Some(Library::Boringssl),
            _ => None,
        })
        .or_else(|| {
            let mut texts = texts_beginning(elf, "BoringSSL");
            texts.any(|text| text == "BoringSSL").then_some(Library::Boringssl)
        })
        .or_else(|| {
            let mut texts = texts_beginning(elf, "LibreSSL ");
            let numbered = |text: &str| text[9..].starts_with(|c: char| c.is_ascii_digit());
            texts.any(numbered).then_some(Library::Libressl)
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

fn has(elf: &Elf, text: &[u8]) -> bool {
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
