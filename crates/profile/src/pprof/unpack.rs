//! The gzip around a profile.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::{Position, ReadError};

/// The most that a compressed file may unpack to, in bytes: 1 GiB, some ten times the largest
/// profiles that services hand out. A small file can be made to unpack to any size.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 30;

/// Whether the content is gzip.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The content of a gzip file, or the bytes themselves when they are not gzip.
pub fn unpack<'a>(bytes: &'a [u8], name: &str) -> Result<Cow<'a, [u8]>, ReadError> {
    unpack_at_most(bytes, name, MAX_UNPACKED_BYTES)
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
    let outcome = MultiGzDecoder::new(&mut rest).take(limit + 1).read_to_end(&mut unpacked);
    if let Err(error) = outcome {
        let found = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the end of the file".to_owned(),
            _ => error.to_string(),
        };
        return Err(ReadError::Malformed {
            name: name.to_owned(),
            position: Position::Byte((bytes.len() - rest.len()) as u64),
            expected: "more of a gzip stream".to_owned(),
            found,
        });
    }
    if unpacked.len() as u64 > limit {
        let what = "after decompression";
        return Err(ReadError::TooLarge { name: name.to_owned(), what, limit });
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
