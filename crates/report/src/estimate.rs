//! What a picture of a sampled profile says of its figures.

use std::fmt;

use analysis::column_estimate::ColumnEstimate;
use analysis::notation::{give_or_take, human, interval, rounded};
use profile::Profile;

/// The recorder's estimate of a whole column, in words.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    column: ColumnEstimate,
    say: fn(f64) -> String,
}

impl Estimate {
    /// `None` where the recorder counted every block.
    pub fn of(profile: &Profile, column: usize) -> Option<Estimate> {
        let say = match profile.sample_types()[column].unit.as_str() {
            "bytes" => human,
            _ => |blocks: f64| rounded(blocks),
        };
        Some(Estimate { column: ColumnEstimate::of(profile, column)?, say })
    }
}

/// `sampled every 64 KiB: an estimate of 12.3 MB ± 1.1 MB`
impl fmt::Display for Estimate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ColumnEstimate { sampling, total, off } = self.column;
        let total = give_or_take(total as f64, Some(off.margin()), self.say);
        write!(to, "sampled every {}: an estimate of {total}", interval(sampling))
    }
}
