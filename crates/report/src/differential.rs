//! Differential flamegraphs: what grew, what shrank.

use std::num::NonZeroU64;

use analysis::notation::{give_or_take, human, interval, rounded};
use profile::Profile;
use profile::folded::{Amount, Stacks};

use crate::flamegraph::{Caption, Direction, FlameError, background, draw, kind_of, layout};
use crate::folded::{DrawnStack, Held, Values, visible};
use crate::frame_intervals::Scales;
use crate::palette::Rgb;

/// Colours that inferno gives to the extremes.
const GROWN: Rgb = Rgb(0xff, 0x64, 0x64);
const SHRUNK: Rgb = Rgb(0x64, 0x64, 0xff);
const SAME: Rgb = Rgb(0xfa, 0xfa, 0xfa);

/// An exact factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Multiply by this,
    pub numerator: u64,
    /// then divide by this.
    pub denominator: NonZeroU64,
}

impl Ratio {
    /// Leaves everything as it is.
    pub const ONE: Ratio = Ratio { numerator: 1, denominator: NonZeroU64::MIN };

    /// `value` scaled, rounded to the nearest whole number.
    fn scale(self, value: u64) -> u64 {
        let denominator = u128::from(self.denominator.get());
        let scaled = u128::from(value) * u128::from(self.numerator) + denominator / 2;
        u64::try_from(scaled / denominator).unwrap_or(u64::MAX)
    }

    /// The same of what a stack holds. How far off that may be stays the profile's own.
    fn scale_held(self, held: Held) -> Held {
        Held { amount: self.scale(held.amount), ..held }
    }

    fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator.get() as f64
    }
}

/// Whose values make the widths. A stack without width cannot be seen: with the widths of one
/// side, stacks that only the other side has are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Widths {
    /// The profile before: shows what went away.
    Before,
    /// The profile after: shows what is new.
    After,
    /// The side with the larger total after scaling.
    #[default]
    Larger,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct SideOf<'a> {
    /// The samples.
    pub profile: &'a Profile,
    /// Which column to compare.
    pub column: usize,
    /// What to call it, e.g. the configuration.
    pub name: &'a str,
    /// Scales its values, e.g. to the other side's number of connections.
    pub scale: Ratio,
}

/// What a differential flamegraph looks like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DifferentialOptions {
    /// The heading; the names of the sides follow it.
    pub title: String,
    /// From where to where stacks grow.
    pub direction: Direction,
    /// Frames narrower than this percentage of the picture are left out.
    pub min_width: f64,
    /// Whose values make the widths.
    pub widths: Widths,
}

impl DifferentialOptions {
    /// A flame with that heading, as wide as the larger side.
    pub fn titled(title: &str) -> DifferentialOptions {
        DifferentialOptions {
            title: title.to_owned(),
            direction: Direction::Flame,
            min_width: 0.05,
            widths: Widths::Larger,
        }
    }
}

/// Draws what changed between two profiles: red sites grew, blue ones shrank. Where one of them was
/// sampled, frames have the 95 % intervals of their figures in their titles.
pub fn differential(
    before: &SideOf<'_>,
    after: &SideOf<'_>,
    options: &DifferentialOptions,
) -> Result<Vec<u8>, FlameError> {
    kind_of(before.profile, before.column)?;
    kind_of(after.profile, after.column)?;
    let counts = |side: &SideOf<'_>| {
        let value_type = &side.profile.sample_types()[side.column];
        format!("{} in {}", value_type.kind, value_type.unit)
    };
    if counts(before) != counts(after) {
        return Err(FlameError::DifferentUnits { before: counts(before), after: counts(after) });
    }
    let stacks = Stacks::of([before, after].map(|side| (side.profile, side.column)));
    let [old_total, new_total] = totals(&stacks, [before.scale, after.scale]);
    let wide = match options.widths {
        Widths::Larger if new_total >= old_total => Widths::After,
        Widths::Larger => Widths::Before,
        chosen => chosen,
    };
    // inferno takes widths from its second column, and the change from the first to the second.
    let (total, which, drawn, faint) = match wide {
        Widths::Before => (old_total, "profile before", before, after),
        Widths::After | Widths::Larger => (new_total, "profile after", after, before),
    };
    if total == 0 {
        let kind = kind_of(drawn.profile, drawn.column)?;
        return Err(FlameError::NothingToDraw { which, kind });
    }
    let values = |sides: [Amount; 2]| {
        let [old, new] = sides.map(|side| Held::positive(side).unwrap_or_default());
        let (width, other) = if wide == Widths::Before { (old, new) } else { (new, old) };
        let drawn = drawn.scale.scale_held(width);
        (Values { width, other } != Values::default())
            .then(|| Values { width: drawn, other: faint.scale.scale_held(other) })
    };
    let mut lines = visible(&stacks, values, total, options.min_width);
    drop(stacks);
    for line in &mut lines {
        line.write(line.other_in_colour);
        line.write(line.values.width.amount);
    }
    let sampled = before.profile.sampling.or(after.profile.sampling);
    let scales = Scales { width: drawn.scale.as_f64(), other: faint.scale.as_f64() };
    let mut subtitle = format!("widths are those of {}", drawn.name);
    if sampled.is_some() {
        let (drawn, faint) = estimates(drawn, faint, &lines, scales);
        let [old, new] = if wide == Widths::Before { [drawn, faint] } else { [faint, drawn] };
        subtitle = format!("estimates from samples: {old} → {new}; {subtitle}");
    }

    let title = format!("{}: {} → {}", options.title, before.name, after.name);
    let mut inferno = layout(&title, options.direction, options.min_width);
    inferno.count_name.clone_from(&before.profile.sample_types()[before.column].unit);
    inferno.negate_differentials = wide == Widths::Before;
    let legend = [
        (GROWN, format!("more in {}", after.name)),
        (SHRUNK, format!("less in {}", after.name)),
        (SAME, "callers, and sites without a change".to_owned()),
    ];
    // Frames without a change are nearly white.
    inferno.bgcolors = Some(background(Rgb(0xde, 0xde, 0xde)));
    let legend: Vec<(Rgb, &str)> =
        legend.iter().map(|(colour, text)| (*colour, text.as_str())).collect();
    let caption = Caption { subtitle: Some(&subtitle), legend: &legend };
    draw(inferno, lines, &caption, sampled.map(|_| scales))
}

/// What both sides hold, scaled.
fn totals(stacks: &Stacks<'_, 2>, scales: [Ratio; 2]) -> [u64; 2] {
    let mut totals = [0_u64; 2];
    for stack in stacks.iter() {
        for ((total, amount), scale) in totals.iter_mut().zip(stack.amounts).zip(scales) {
            let held = Held::positive(amount).unwrap_or_default();
            *total = total.saturating_add(scale.scale(held.amount));
        }
    }
    totals
}

/// What both sides of a picture of estimates hold: the one that is drawn, and the other.
fn estimates(
    drawn: &SideOf<'_>,
    faint: &SideOf<'_>,
    lines: &[DrawnStack],
    scales: Scales,
) -> (String, String) {
    let all = lines.iter().fold(Values::default(), |all, line| all.plus(line.values));
    let margins = scales.margins(all);
    let side = |side: &SideOf<'_>, held: Held, margin| {
        let say = match side.profile.sample_types()[side.column].unit.as_str() {
            "bytes" => human,
            _ => rounded,
        };
        let how = side
            .profile
            .sampling
            .map_or_else(String::new, |sampling| format!(" (every {})", interval(sampling)));
        give_or_take(held.amount as f64, margin, say) + &how
    };
    (side(drawn, all.width, margins.after), side(faint, all.other, margins.before))
}
