//! What only grows: steps up against steps down.

/// How a figure has gone over captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Steps up, and steps down.
    pub ups: usize,
    /// Steps down.
    pub downs: usize,
    /// By how much the last is more than the first.
    pub grown: i64,
}

/// Fewer captures prove nothing.
const LEAST_CAPTURES: usize = 8;

/// How the values, one for each capture, have grown: `None` where they do not only grow, or are
/// too few to say so. The start of a program and the still end of a series are left out of it.
pub fn growth(values: &[i64]) -> Option<Growth> {
    let begin = (values.len() / 10).max(1);
    let still = values.windows(2).rev().take_while(|pair| pair[0] == pair[1]).count();
    let moving = values.get(begin..values.len() - still)?;
    if moving.len() < LEAST_CAPTURES {
        return None;
    }
    let steps: Vec<i64> = moving.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let ups = steps.iter().filter(|step| **step > 0).count();
    let downs = steps.iter().filter(|step| **step < 0).count();
    let lost =
        steps.iter().filter(|step| **step < 0).fold(0_i64, |sum, step| sum.saturating_sub(*step));
    let grown = moving.last()?.saturating_sub(*moving.first()?);
    // Memory is given back at times, but what grows in earnest is not.
    let only_up = grown > 0 && ups * 10 >= steps.len() * 6 && lost.saturating_mul(20) <= grown;
    only_up.then_some(Growth { ups, downs, grown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_grows_is_told_with_its_steps() {
        let values = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 45, 45, 45];
        assert_eq!(growth(&values), Some(Growth { ups: 8, downs: 0, grown: 40 }));
    }

    #[test]
    fn what_comes_and_goes_or_is_still_or_short_does_not_only_grow() {
        assert_eq!(growth(&[0, 5, 1, 6, 2, 7, 3, 8, 4, 9, 5, 10]), None);
        assert_eq!(growth(&[7; 20]), None);
        assert_eq!(growth(&[1, 2, 3, 4, 5]), None);
        assert_eq!(growth(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]), None);
        assert_eq!(growth(&[]), None);
        assert_eq!(growth(&[i64::MIN, i64::MAX, 0]), None);
    }

    #[test]
    fn one_jump_and_a_rest_is_a_start_and_no_growth() {
        assert_eq!(growth(&[0, 900, 900, 900, 900, 900, 900, 900, 900, 900, 901]), None);
    }
}
