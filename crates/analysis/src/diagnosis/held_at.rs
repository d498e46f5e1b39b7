//! Which moment of a process is judged.

use profile::{Metric, Profile};

use crate::column::Column;
use crate::diagnosis::case::Ending;
use crate::domain::total_of_openssl;

/// Which moment of a process is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeldAt {
    /// What it held when the figures were read.
    #[default]
    Capture,
    /// What it held when it held most: of a program that has given back what it had.
    Peak,
}

impl HeldAt {
    /// The moment to judge: the peak of a program that has ended and given most of it back. Where
    /// its ending is not known, only what is almost nothing speaks for that. OpenSSL's memory says
    /// so where there is any: of malloc's, many programs leave most to the kernel.
    pub fn of(profile: &Profile, ending: Ending) -> HeldAt {
        let sum = |metric| Some(total_of_openssl(profile, profile.column(metric)?));
        let (Some(now), Some(most)) = (sum(Metric::InuseSpace), sum(Metric::PeakSpace)) else {
            return HeldAt::Capture;
        };
        let part = match ending {
            Ending::ByItself | Ending::Killed => 4,
            Ending::Unknown => 64,
        };
        if now.saturating_mul(part) < most { HeldAt::Peak } else { HeldAt::Capture }
    }

    /// The column of what was held then.
    pub fn column(self) -> Column {
        match self {
            HeldAt::Capture => Column::InUse,
            HeldAt::Peak => Column::Peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{push_values, stack};

    #[test]
    fn the_peak_is_judged_where_a_program_has_given_back_what_it_had() {
        let of = |now: i64, most: i64, ending| {
            let mut profile = Profile::of_heap();
            let values = vec![1, now, 9, 9 * most, 1, most];
            push_values(&mut profile, "openssl", &stack(&[("SSL_new", "ssl/ssl_lib.c")]), values);
            HeldAt::of(&profile, ending)
        };
        assert_eq!(of(200, 1_000, Ending::ByItself), HeldAt::Peak);
        assert_eq!(of(300, 1_000, Ending::Killed), HeldAt::Capture);
        // It may be that connections were closed a moment ago.
        assert_eq!(of(200, 1_000, Ending::Unknown), HeldAt::Capture);
        assert_eq!(of(1, 1_000, Ending::Unknown), HeldAt::Peak);
        assert_eq!(of(0, 0, Ending::ByItself), HeldAt::Capture);

        // What it leaves of malloc's to the kernel says nothing.
        let mut profile = Profile::of_heap();
        for (domain, now, most) in [("openssl", 0, 1_000), ("heap", 9_000, 9_000)] {
            let values = vec![1, now, 9, 9 * most, 1, most];
            push_values(&mut profile, domain, &stack(&[("main", "main.c")]), values);
            let expected = if domain == "openssl" { HeldAt::Peak } else { HeldAt::Capture };
            let mut alone = Profile::of_heap();
            let values = vec![1, now, 9, 9 * most, 1, most];
            push_values(&mut alone, domain, &stack(&[("main", "main.c")]), values);
            assert_eq!(HeldAt::of(&alone, Ending::ByItself), expected);
        }
        assert_eq!(HeldAt::of(&profile, Ending::ByItself), HeldAt::Peak);
    }
}
