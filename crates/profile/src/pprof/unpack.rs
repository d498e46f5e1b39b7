//! The gzip around a profile.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::{Position, ReadError};

/// The most that any compressed file may unpack to, in bytes: 1 GiB, some ten times the largest
/// profiles that services hand out. For small files the limit is lower: 64 MiB, and 256 bytes for
/// each of their own. A small file can be made to unpack to any size.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// What a small file may unpack to.
const ANY_FILE: u64 = 64 << 20;
/// And for each of its own bytes; profiles unpack to 3 to 20.
const FOR_EACH_BYTE: u64 = 256;

/// What is unpacked before it is known how much it will be.
const AT_FIRST: u64 = 1 << 20;

/// Whether the content is gzip.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The content of a gzip file, or the bytes themselves when they are not gzip.
pub fn unpack<'a>(bytes: &'a [u8], name: &str) -> Result<Cow<'a, [u8]>, ReadError> {
    let by_size = FOR_EACH_BYTE.saturating_mul(bytes.len() as u64).saturating_add(ANY_FILE);
    unpack_at_most(bytes, name, by_size.min(MAX_UNPACKED_BYTES))
}

pub(super) fn unpack_at_most<'a>(
    bytes: &'a [u8],
    name: &str,
    limit: u64,
) -> Result<Cow<'a, [u8]>, ReadError> {
    if !is_gzip(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut rest = bytes;
    let mut unpacked = Vec::new();
    // A vector that grows is there twice for a moment, and is twice as large as it has to be. So
    // what is large is unpacked once to see how large, and no memory is taken to refuse it.
    let outcome = (|| {
        let mut decoder = MultiGzDecoder::new(&mut rest);
        decoder.by_ref().take(AT_FIRST.min(limit) + 1).read_to_end(&mut unpacked)?;
        let more = limit.saturating_add(1) - unpacked.len() as u64;
        io::copy(&mut decoder.take(more), &mut io::sink())
    })();
    let more = outcome.map_err(|error| {
        let found = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the end of the file".to_owned(),
            _ => error.to_string(),
        };
        ReadError::Malformed {
            name: name.to_owned(),
            position: Position::Byte((bytes.len() - rest.len()) as u64),
            expected: "more of a gzip stream".to_owned(),
            found,
        }
    })?;
    let whole = unpacked.len() as u64 + more;
    if whole > limit {
        let what = "after decompression";
        return Err(ReadError::TooLarge { name: name.to_owned(), what, limit });
    }
    if more > 0 {
        unpacked = Vec::with_capacity(usize::try_from(whole).unwrap_or_default());
        let unreadable = |source| ReadError::Io { name: name.to_owned(), source };
        MultiGzDecoder::new(bytes).take(whole).read_to_end(&mut unpacked).map_err(unreadable)?;
    }
    Ok(Cow::Owned(unpacked))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder};

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_file_that_unpacks_to_more_than_the_limit_is_refused() {
        let bomb = packed(&vec![0; 100_001]);
        assert!(bomb.len() < 1_000);
        let error = unpack_at_most(&bomb, "bomb.pb.gz", 100_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "bomb.pb.gz is too large: expected at most 100000 bytes after decompression, found more"
        );
        assert_eq!(unpack_at_most(&bomb, "", 100_001).unwrap().len(), 100_001);
    }

    #[test]
    fn a_small_file_may_not_unpack_to_as_much_as_a_large_one() {
        let bomb = packed(&vec![0; 128 << 20]);
        assert!(bomb.len() < 150_000);
        let error = unpack(&bomb, "bomb.pb.gz").unwrap_err().to_string();
        let limit = (64 << 20) + 256 * bomb.len();
        assert!(error.contains(&format!("at most {limit} bytes after decompression")), "{error}");
    }

    #[test]
    fn what_is_larger_than_expected_is_unpacked_whole() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        assert!(content.len() as u64 > AT_FIRST);
        let packed = packed(&content);
        let unpacked = unpack(&packed, "").unwrap();
        assert!(*unpacked == content);
        let Cow::Owned(unpacked) = unpacked else { panic!("it was packed") };
        assert_eq!(unpacked.capacity(), content.len());
    }

    #[test]
    fn several_gzip_members_are_one_content() {
        let mut both = packed(b"one ");
        both.extend(packed(b"two"));
        assert_eq!(&*unpack(&both, "").unwrap(), b"one two");
    }

    #[test]
    fn a_cut_gzip_stream_is_an_error_and_not_a_short_content() {
        let whole = packed(b"some content that is long enough to be cut somewhere");
        for length in 2..whole.len() {
            let error = unpack(&whole[..length], "cut").unwrap_err();
            assert!(matches!(error, ReadError::Malformed { .. }), "{length}: {error}");
        }
    }
}
