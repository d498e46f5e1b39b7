//! How finely jemalloc samples what Rust allocates.

use std::fmt;
use std::str::FromStr;

/// `17` for one byte in 2^17, on average, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapSample {
    /// Nothing is sampled: the profile has OpenSSL's part only.
    Off,
    /// One byte in 2 to the power of this.
    Lg(u32),
}

/// Finer than every block, and coarser than any heap.
const RANGE: std::ops::RangeInclusive<u32> = 0..=40;

impl FromStr for HeapSample {
    type Err = String;

    fn from_str(text: &str) -> Result<HeapSample, String> {
        if text == "off" {
            return Ok(HeapSample::Off);
        }
        let lg = text.parse().ok().filter(|lg| RANGE.contains(lg));
        lg.map(HeapSample::Lg).ok_or_else(|| {
            format!("expected a power of two from {} to {}, or off", RANGE.start(), RANGE.end())
        })
    }
}

impl fmt::Display for HeapSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeapSample::Off => f.write_str("off"),
            HeapSample::Lg(lg) => write!(f, "{lg}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_power_of_two_or_off() {
        assert_eq!("17".parse(), Ok(HeapSample::Lg(17)));
        assert_eq!("off".parse(), Ok(HeapSample::Off));
        for wrong in ["41", "-1", "on", ""] {
            let said = wrong.parse::<HeapSample>().unwrap_err();
            assert_eq!(said, "expected a power of two from 0 to 40, or off");
        }
    }
}
