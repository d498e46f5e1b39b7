//! Memory over time as figures: what a time line shows and `timeline.csv` holds.

use crate::category::is_openssls;
use crate::over_time::Series;

/// What was measured, one value of every series for each moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// Seconds since the start, rising.
    pub seconds: Vec<f64>,
    /// Connections open; `None` where they are not known.
    pub connections: Option<Vec<u64>>,
    /// Resident memory of the processes in bytes; `None` at moments at which it is not known, or
    /// no process was there.
    pub rss: Vec<Option<u64>>,
    /// Bytes in use, one series for each top-level group and one named `rust`.
    pub series: Vec<Series>,
    /// Half the width of the 95 % interval of all of OpenSSL's series together, in bytes; `None`
    /// where they are exact.
    pub openssl_margins: Option<Vec<u64>>,
    /// What was going on, and from which second on; may be empty.
    pub phases: Vec<(f64, String)>,
}

/// Estimated bytes at each moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstimatedBytes {
    /// The estimates.
    pub bytes: Vec<u64>,
    /// Half the width of the 95 % interval of each.
    pub margins: Vec<u64>,
    /// The lower ends of the intervals; there is never less than nothing.
    pub low: Vec<u64>,
    /// The upper ends of the intervals.
    pub high: Vec<u64>,
}

impl Timeline {
    /// All of OpenSSL's series together; `None` where they are exact. Each series has as many
    /// values as there are moments.
    pub fn estimated_openssl(&self) -> Option<EstimatedBytes> {
        let margins = self.openssl_margins.clone()?;
        let openssl: Vec<&Series> =
            self.series.iter().filter(|series| is_openssls(&series.group)).collect();
        let bytes = Series::together("", self.seconds.len(), &openssl).bytes;
        let ends = |end: fn(u64, u64) -> u64| {
            bytes.iter().zip(&margins).map(|(bytes, margin)| end(*bytes, *margin)).collect()
        };
        let (low, high) = (ends(u64::saturating_sub), ends(u64::saturating_add));
        Some(EstimatedBytes { bytes, margins, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(group: &str, bytes: [u64; 2]) -> Series {
        Series { group: group.to_owned(), bytes: bytes.to_vec(), margins: Some(vec![1, 1]) }
    }

    #[test]
    fn rust_is_not_in_the_estimate_of_openssl_and_none_is_below_nothing() {
        let mut timeline = Timeline {
            seconds: vec![0.0, 1.0],
            series: vec![series("tls", [0, 500]), series("bio", [0, 5]), series("rust", [7, 7])],
            openssl_margins: Some(vec![95, 105]),
            ..Timeline::default()
        };
        let expected = EstimatedBytes {
            bytes: vec![0, 505],
            margins: vec![95, 105],
            low: vec![0, 400],
            high: vec![95, 610],
        };
        assert_eq!(timeline.estimated_openssl(), Some(expected));
        timeline.openssl_margins = None;
        assert_eq!(timeline.estimated_openssl(), None);
    }
}
