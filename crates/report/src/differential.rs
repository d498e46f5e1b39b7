//! Differential flamegraphs: what grew, what shrank.

use std::num::NonZeroU64;

use analysis::notation::{give_or_take, human, interval, rounded};
use profile::Profile;
use profile::folded::{Amount, Stacks};

use crate::drawable::drawable;
use crate::flamegraph::{
    Caption, Direction, FlameError, background, draw, kind_of, layout, total, visible,
};
use crate::frame_titles::{Drawn, Figures, Label, margin, named, titled};
use crate::frame_tree::{Held, Node};
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

    /// What a stack holds, scaled and rounded to the nearest whole number; nothing of what is
    /// below nothing, which cannot be drawn.
    fn scale(self, amount: Amount) -> Amount {
        let Ok(value) = u64::try_from(amount.sum) else { return Amount::default() };
        let denominator = u128::from(self.denominator.get());
        let scaled = u128::from(value) * u128::from(self.numerator) + denominator / 2;
        let sum = i64::try_from(scaled / denominator).unwrap_or(i64::MAX);
        Amount { sum, off: amount.off.times(self.as_f64()) }
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
    let (old, new) = (drawable(before.profile), drawable(after.profile));
    let before = &SideOf { profile: &old, ..*before };
    let after = &SideOf { profile: &new, ..*after };
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
    let scaled = |[old, new]: [Amount; 2]| [before.scale.scale(old), after.scale.scale(new)];
    let old_total = total(&stacks, |amounts| scaled(amounts)[0].sum);
    let new_total = total(&stacks, |amounts| scaled(amounts)[1].sum);
    let drawn = match options.widths {
        Widths::Before => Drawn::Before,
        Widths::Larger if new_total < old_total => Drawn::Before,
        Widths::After | Widths::Larger => Drawn::After,
    };
    let (total, which, wide) = match drawn {
        Drawn::Before => (old_total, "profile before", before),
        Drawn::After | Drawn::Alone => (new_total, "profile after", after),
    };
    if total == 0 {
        let kind = kind_of(wide.profile, wide.column)?;
        return Err(FlameError::NothingToDraw { which, kind });
    }
    let held = |amounts: [Amount; 2]| {
        let [before, after] = scaled(amounts);
        let [width, other] = sides(drawn, before, after);
        let difference = width.sum.saturating_sub(other.sum);
        let held = Held { before, after, width: width.sum as f64, difference };
        (held != Held::default()).then_some(held)
    };
    let least_width = total as f64 * options.min_width / 100.0;
    let frames = visible(&stacks, held, least_width);
    let sampled = before.profile.sampling.or(after.profile.sampling);
    let mut subtitle = format!("widths are those of {}", wide.name);
    if sampled.is_some() {
        let (old, new) = (in_words(before, frames.all.before), in_words(after, frames.all.after));
        subtitle = format!("estimates from samples: {old} → {new}; {subtitle}");
    }

    let title = format!("{}: {} → {}", options.title, before.name, after.name);
    let mut inferno = layout(&title, options.direction, options.min_width);
    let unit = &before.profile.sample_types()[before.column].unit;
    inferno.count_name.clone_from(unit);
    inferno.negate_differentials = drawn == Drawn::Before;
    let frames = if sampled.is_some() {
        let figures = Figures { unit, factor: 1.0, drawn, whole: frames.all };
        inferno.count_name = figures.unit_of_all();
        let (frames, titles) = titled(frames, |id| stacks.name(id), &figures, least_width)?;
        inferno.func_frameattrs = titles;
        frames
    } else {
        named(frames, |id| stacks.name(id))
    };
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
    draw(inferno, &frames.lines(|frame| columns(frame, drawn)), &caption)
}

/// What makes the widths, and what it is compared with.
fn sides(drawn: Drawn, before: Amount, after: Amount) -> [Amount; 2] {
    if drawn == Drawn::Before { [before, after] } else { [after, before] }
}

/// The columns of a line: inferno takes widths from the second, and colours by the change from the
/// first to the second.
fn columns(frame: &Node<Label>, drawn: Drawn) -> String {
    let Held { before, after, difference, .. } = frame.own;
    let [width, other] = sides(drawn, before, after);
    // A frame that took others in shows the largest change of them all; where there was but one
    // stack, that is its own.
    let other_in_colour = match frame.children.as_slice() {
        [] => width.sum.saturating_sub(difference).max(0),
        _ => other.sum,
    };
    format!("{other_in_colour} {}", width.sum)
}

/// What one side of a picture of estimates holds.
fn in_words(side: &SideOf<'_>, held: Amount) -> String {
    let say = match side.profile.sample_types()[side.column].unit.as_str() {
        "bytes" => human,
        _ => rounded,
    };
    let how = side
        .profile
        .sampling
        .map_or_else(String::new, |sampling| format!(" (every {})", interval(sampling)));
    give_or_take(held.sum as f64, margin(held.off), say) + &how
}
