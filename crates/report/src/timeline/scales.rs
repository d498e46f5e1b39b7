//! Where in the picture a value and a second are.

pub(super) const WIDTH: f64 = 1_000.0;
pub(super) const LEFT: f64 = 84.0;
pub(super) const RIGHT: f64 = 926.0;
pub(super) const TOP: f64 = 96.0;
pub(super) const BOTTOM: f64 = 396.0;

/// Values from zero to a round number, drawn from the bottom up.
pub(super) struct Scale {
    step: f64,
    pub end: f64,
}

impl Scale {
    /// About five steps of 1, 2 or 5 times a power of ten.
    pub fn to(highest: f64) -> Scale {
        let rough = (highest / 5.0).max(1.0);
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough);
        let step = factor.unwrap_or(10.0) * power;
        Scale { step, end: (highest / step).ceil().max(1.0) * step }
    }

    pub fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / self.end
    }

    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as u32;
        (0..=count).map(|at| f64::from(at) * self.step)
    }
}

/// Seconds, drawn from left to right.
pub(super) struct TimeScale {
    pub start: f64,
    pub end: f64,
}

impl TimeScale {
    pub fn of(seconds: &[f64]) -> TimeScale {
        TimeScale {
            start: seconds.first().copied().unwrap_or_default(),
            end: seconds.last().copied().unwrap_or_default(),
        }
    }

    pub fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds - self.start) / (self.end - self.start)
    }
}

/// A line of values, each at its second.
pub(super) fn points(
    time: &TimeScale,
    seconds: &[f64],
    scale: &Scale,
    values: &[u64],
) -> Vec<String> {
    let point =
        |(s, value): (&f64, &u64)| format!("{:.1},{:.1}", time.x(*s), scale.y(*value as f64));
    seconds.iter().zip(values).map(point).collect()
}
