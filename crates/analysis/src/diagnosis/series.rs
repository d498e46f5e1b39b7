//! Captures of one process over time.

use crate::diagnosis::holding::Holding;
use crate::inventory::Inventory;
use crate::objects::Object;

/// Captures of one process, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<Capture>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Capture {
    /// What it held.
    pub holdings: Vec<Holding>,
    /// The objects that were live.
    pub objects: Inventory,
}

/// Fewer steps up than this prove nothing.
const LEAST_STEPS: usize = 3;

impl Series {
    /// Live SSL objects at each capture, at least 1, so that they can divide.
    pub fn connections(&self) -> Vec<i64> {
        self.0.iter().map(|capture| capture.objects.live(Object::Ssl).count.max(1)).collect()
    }

    /// How sure it is that `values`, one for each capture, only grow, and not because there are
    /// more connections: `None` when they do not.
    ///
    /// A value that goes up or down by chance goes up at `k` or more of `n` steps with some
    /// probability; the confidence is what is missing from that to 1.
    pub fn confidence_of_growth(&self, values: &[i64]) -> Option<f64> {
        confidence(values, &self.connections())
    }

    /// How sure it is that the number of these objects only grows, as a share of 1, whatever the
    /// connections do.
    pub fn confidence_of_count(&self, object: Object) -> Option<f64> {
        let counts: Vec<i64> =
            self.0.iter().map(|capture| capture.objects.live(object).count).collect();
        match object {
            Object::Ssl => confidence(&counts, &vec![1; counts.len()]),
            _ => self.confidence_of_growth(&counts),
        }
    }
}

fn confidence(values: &[i64], connections: &[i64]) -> Option<f64> {
    let steps = values.len().saturating_sub(1);
    if steps < LEAST_STEPS || values.last() <= values.first() {
        return None;
    }
    let shares: Vec<f64> =
        values.iter().zip(connections).map(|(value, n)| *value as f64 / *n as f64).collect();
    let up = (0..steps)
        .filter(|at| values[at + 1] > values[*at] && shares[at + 1] > shares[*at])
        .count();
    // One step in five may go the other way: memory is given back at times.
    (up >= LEAST_STEPS && up * 5 >= steps * 4).then(|| 1.0 - by_chance(up, steps))
}

/// The probability that a fair coin shows heads at least `k` times in `n`.
fn by_chance(k: usize, n: usize) -> f64 {
    let mut probability = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut sum = 0.0;
    for heads in 0..=n {
        if heads >= k {
            sum += probability;
        }
        probability *= (n - heads) as f64 / (heads + 1) as f64;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_that_of_a_coin() {
        assert!((by_chance(3, 3) - 0.125).abs() < 1e-12);
        assert!((by_chance(4, 5) - 6.0 / 32.0).abs() < 1e-12);
        assert!((by_chance(0, 4) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_goes_up_and_down_or_is_too_short_does_not_only_grow() {
        let capture = Capture { holdings: Vec::new(), objects: Inventory::default() };
        let series = |length| Series(vec![capture.clone(); length]);
        assert_eq!(series(3).confidence_of_growth(&[1, 2, 3]), None);
        assert_eq!(series(5).confidence_of_growth(&[1, 2, 1, 2, 1]), None);
        assert_eq!(series(5).confidence_of_growth(&[5, 4, 3, 2, 1]), None);
        assert_eq!(series(4).confidence_of_growth(&[1, 2, 3, 4]), Some(0.875));
    }
}
