//! Ratios of estimates: which part of a whole, and how much more than before.
//!
//! The interval is Fieller's (1954): of all ratios r, those for which 0 lies in the interval of
//! numerator − r × denominator. It is right for a denominator that is itself hardly known, where
//! the usual sum of relative variances is too narrow, and has no end where the denominator may be
//! 0.

/// A figure and how far off it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimated {
    /// What it is estimated to be.
    pub figure: f64,
    /// Half the width of its 95 % interval; `None` where it is exact.
    pub margin: Option<f64>,
}

impl Estimated {
    /// The part that `self` is of `whole`, which holds it and more. `None` where the whole may be
    /// nothing.
    ///
    /// ```
    /// use analysis::ratio::Estimated;
    ///
    /// let half = Estimated { figure: 500.0, margin: Some(20.0) };
    /// let whole = Estimated { figure: 1_000.0, margin: Some(28.0) };
    /// let part = half.part_of(whole).expect("there is surely something");
    /// assert_eq!(part.figure, 0.5);
    /// assert!(part.margin.is_some_and(|margin| margin < 0.02));
    /// ```
    pub fn part_of(self, whole: Estimated) -> Option<Estimated> {
        // What is not known of the part is not known of the whole either.
        let own = self.margin.unwrap_or_default().powi(2);
        let (figure, ends) = self.over(whole, own)?;
        // A part is between nothing and all, unless some are less than nothing and this one more.
        let ends = ends.map(|[low, high]| match figure {
            0.0..=1.0 => [low.max(0.0), high.min(1.0)],
            _ => [low, high],
        });
        Some(Estimated::within(figure, ends))
    }

    /// By how much `self` is more than `before`, as a part of that: -0.5 for half. `None` where
    /// there may have been nothing.
    pub fn change_from(self, before: Estimated) -> Option<Estimated> {
        let ratio = self.divided_by(before)?;
        Some(Estimated { figure: (self.figure - before.figure) / before.figure, ..ratio })
    }

    /// Divided by `denominator`, which shares nothing with it. `None` where that may be 0.
    pub fn divided_by(self, denominator: Estimated) -> Option<Estimated> {
        let (figure, ends) = self.over(denominator, 0.0)?;
        Some(Estimated::within(figure, ends))
    }

    /// The interval need not lie about the figure: its margin goes to the more distant end.
    fn within(figure: f64, ends: Option<[f64; 2]>) -> Estimated {
        let margin = ends.map(|[low, high]| f64::max(figure - low, high - figure));
        Estimated { figure, margin }
    }

    /// The ratio, and the ends of its interval; `covariance` is in the squares of margins.
    fn over(self, denominator: Estimated, covariance: f64) -> Option<(f64, Option<[f64; 2]>)> {
        let (above, below) = (self.figure, denominator.figure);
        if below == 0.0 {
            return None;
        }
        let figure = above / below;
        if self.margin.is_none() && denominator.margin.is_none() {
            return Some((figure, None));
        }
        let square = |of: Estimated| of.margin.unwrap_or_default().powi(2);
        // (above − r below)² ≤ square above − 2 r covariance + r² square below, solved for r:
        // a r² − 2 b r + c ≤ 0.
        let a = below.powi(2) - square(denominator);
        let b = above * below - covariance;
        let c = above.powi(2) - square(self);
        if a <= 0.0 {
            return None;
        }
        let half = (b * b - a * c).max(0.0).sqrt() / a;
        Some((figure, Some([b / a - half, b / a + half])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimated(figure: f64, margin: f64) -> Estimated {
        Estimated { figure, margin: Some(margin) }
    }

    fn exact(figure: f64) -> Estimated {
        Estimated { figure, margin: None }
    }

    #[test]
    fn what_is_exact_has_no_margin() {
        assert_eq!(exact(1.0).part_of(exact(4.0)), Some(exact(0.25)));
        assert_eq!(exact(1.0).change_from(exact(4.0)), Some(exact(-0.75)));
        assert_eq!(exact(1.0).divided_by(exact(0.0)), None);
    }

    #[test]
    fn of_what_may_be_nothing_there_are_no_parts() {
        assert_eq!(estimated(5.0, 1.0).part_of(estimated(10.0, 10.0)), None);
        assert_eq!(exact(5.0).change_from(estimated(10.0, 12.0)), None);
        assert!(exact(5.0).change_from(estimated(10.0, 9.0)).is_some());
    }

    #[test]
    fn the_whole_is_all_of_itself() {
        let all = estimated(1_000.0, 300.0);
        let part = all.part_of(all).expect("it is more than its margin");
        assert_eq!(part.figure, 1.0);
        assert!(part.margin.expect("an estimate") < 1e-6, "{part:?}");
    }

    #[test]
    fn a_part_is_no_more_than_all_and_no_less_than_nothing() {
        let part = estimated(90.0, 30.0).part_of(estimated(100.0, 60.0)).expect("there is some");
        let margin = part.margin.expect("an estimate");
        assert!((0.1..0.9).contains(&margin), "{margin}");
        assert_eq!(
            estimated(1.0, 20.0)
                .part_of(estimated(100.0, 20.0))
                .map(|part| { part.margin.is_some_and(|margin| (0.1..0.99).contains(&margin)) }),
            Some(true)
        );
        // Where others are less than nothing it may be more than all.
        let more = estimated(110.0, 30.0).part_of(estimated(100.0, 60.0));
        assert!(more.and_then(|more| more.margin).is_some_and(|margin| margin > 0.2), "{more:?}");
    }

    #[test]
    fn where_both_are_well_known_relative_margins_add_up_as_squares() {
        let ratio = estimated(2_000.0, 60.0).change_from(estimated(1_000.0, 40.0));
        let ratio = ratio.expect("it is more than its margin");
        assert_eq!(ratio.figure, 1.0);
        let usual = 2.0 * f64::hypot(60.0 / 2_000.0, 40.0 / 1_000.0);
        let margin = ratio.margin.expect("an estimate");
        assert!((1.0..1.05).contains(&(margin / usual)), "{margin} beside {usual}");
        // Of a whole of which the part is a half, the errors of both halves count alike.
        let half = estimated(500.0, 20.0).part_of(estimated(1_000.0, f64::hypot(20.0, 20.0)));
        let margin = half.and_then(|half| half.margin).expect("an estimate");
        let usual = f64::hypot(0.5 * 20.0, 0.5 * 20.0) / 1_000.0;
        assert!((1.0..1.05).contains(&(margin / usual)), "{margin} beside {usual}");
    }

    proptest! {
        /// The definition: no ratio beyond the margin is one for which 0 lies in the interval of
        /// the difference, and one at the margin is.
        #[test]
        fn the_margin_ends_where_the_difference_cannot_be_zero_any_more(
            n in 0.0..1_000.0_f64, off in 0.1..400.0_f64, d in 100.0..1_000.0_f64,
            denominator_off in 0.1..90.0_f64,
        ) {
            let ratio = estimated(n, off).divided_by(estimated(d, denominator_off)).expect("d > 0");
            let margin = ratio.margin.expect("an estimate");
            let excess = |r: f64| (n - r * d).abs() - f64::hypot(off, r * denominator_off);
            for end in [ratio.figure - margin, ratio.figure + margin] {
                prop_assert!(excess(end) > -1e-6 * n.max(1.0), "{end}");
            }
            let farther = ratio.figure + margin;
            let nearer = ratio.figure - margin;
            prop_assert!(excess(farther).abs().min(excess(nearer).abs()) < 1e-6 * n.max(off));
        }
    }
}
