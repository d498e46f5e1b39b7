//! Flamegraphs: interactive SVG pictures of one column of a profile.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::num::NonZeroU64;

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction as InfernoDirection, Options, TextTruncateDirection};
use profile::folded::{self, Stacks};
use profile::{Frame, LocationId, Profile};
use thiserror::Error;

use analysis::category;
use analysis::origin::Origin;

use crate::fit::{shorten, width};
use crate::folded::{DrawnStack, Held, Values, visible};
use crate::frame_intervals::{Drawing, Scales};
use crate::palette::{self, Rgb};

/// Why no picture was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FlameError {
    /// The options are at fault: the profile has no such column.
    #[error("the profile has no column number {column}, only {columns}")]
    NoSuchColumn {
        /// The column asked for, from 0.
        column: usize,
        /// How many there are.
        columns: usize,
    },
    /// The profile is at fault: an empty picture would look like an answer.
    #[error("nothing to draw: no sample of the {which} has {kind} above zero")]
    NothingToDraw {
        /// `profile`, or which of two.
        which: &'static str,
        /// The column's name, e.g. `inuse_space`.
        kind: String,
    },
    /// The two columns of a comparison do not count the same thing.
    #[error("the profile before counts {before}, the profile after {after}: nothing to compare")]
    DifferentUnits {
        /// Kind and unit of the column before.
        before: String,
        /// Kind and unit of the column after.
        after: String,
    },
    /// We are at fault: the picture could not be written to memory.
    #[error("the picture could not be drawn")]
    Drawing(#[from] std::io::Error),
}

/// From where to where stacks grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Callers below, allocations on top.
    #[default]
    Flame,
    /// Callers on top, allocations hang down.
    Icicle,
}

/// What a flamegraph looks like.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlameOptions {
    /// The heading.
    pub title: String,
    /// A line below the heading.
    pub subtitle: Option<String>,
    /// From where to where stacks grow.
    pub direction: Direction,
    /// Frames narrower than this percentage of the picture are left out.
    pub min_width: f64,
    /// Show figures per connection instead of the whole: each is divided by this number.
    pub connections: Option<NonZeroU64>,
}

impl FlameOptions {
    /// A flame with that heading, and nothing left out that can be seen.
    pub fn titled(title: &str) -> FlameOptions {
        FlameOptions {
            title: title.to_owned(),
            subtitle: None,
            direction: Direction::Flame,
            min_width: 0.05,
            connections: None,
        }
    }
}

/// Draws column `column` of a profile as an SVG picture.
///
/// OpenSSL's frames have the colour of their category's group, everything else is grey. The
/// innermost frame is OpenSSL's own `file:line`. Where the profile was sampled, frames have the 95 %
/// intervals of what they hold in their titles. The same profile gives the same bytes.
pub fn flamegraph(
    profile: &Profile,
    column: usize,
    options: &FlameOptions,
) -> Result<Vec<u8>, FlameError> {
    let kind = kind_of(profile, column)?;
    let stacks = Stacks::of([(profile, column)]);
    let positive = stacks.iter().filter_map(|stack| Held::positive(stack.amounts[0]));
    let total = positive.fold(0, |total: u64, held| total.saturating_add(held.amount));
    if total == 0 {
        return Err(FlameError::NothingToDraw { which: "profile", kind });
    }
    let values =
        |[amount]: [_; 1]| Some(Values { width: Held::positive(amount)?, other: Held::default() });
    let mut lines = visible(&stacks, values, total, options.min_width);
    for line in &mut lines {
        line.write(line.values.width.amount);
    }
    drop(stacks);
    let colours = Colours::of(profile, column);
    let mut palette = colours.palette();

    let mut inferno = layout(&options.title, options.direction, options.min_width);
    let unit = &profile.sample_types()[column].unit;
    inferno.count_name = match options.connections {
        Some(_) => format!("{unit} per connection"),
        None => unit.clone(),
    };
    inferno.factor = options.connections.map_or(1.0, |n| 1.0 / n.get() as f64);
    inferno.palette_map = Some(&mut palette);
    let legend = legend(&colours.groups_by_size());
    inferno.notes = legend
        .iter()
        .map(|(colour, name)| format!("{} {name}", colour.hex()))
        .collect::<Vec<_>>()
        .join(", ");
    let scales = profile.sampling.map(|_| Scales { width: inferno.factor, other: 1.0 });
    let caption = Caption { subtitle: options.subtitle.as_deref(), legend: &legend };
    draw(inferno, lines, &caption, scales)
}

/// How many characters a legend may take: more would leave the picture at both sides.
const LEGEND_WIDTH: usize = 140;

/// Colours and names of the largest groups, as many as there is room for, and of the callers.
fn legend(groups: &[&'static str]) -> Vec<(Rgb, &'static str)> {
    let callers = (palette::PROGRAM_CODE, "callers outside OpenSSL");
    // A square and four blanks stand around each name.
    let room = |name: &str| width(name) + 5;
    let mut left = LEGEND_WIDTH - room(callers.1);
    let mut legend = Vec::new();
    for group in groups {
        let Some(rest) = left.checked_sub(room(group)) else { break };
        left = rest;
        legend.push((palette::of_group(group), *group));
    }
    legend.push(callers);
    legend
}

/// The kind of a column, if there is such a column.
pub(crate) fn kind_of(profile: &Profile, column: usize) -> Result<String, FlameError> {
    let columns = profile.sample_types().len();
    match profile.sample_types().get(column) {
        Some(value_type) => Ok(value_type.kind.clone()),
        None => Err(FlameError::NoSuchColumn { column, columns }),
    }
}

/// What all our pictures have in common.
pub(crate) fn layout(title: &str, direction: Direction, min_width: f64) -> Options<'static> {
    let mut inferno = Options::default();
    // The heading stands between two buttons.
    inferno.title = shorten(title, 96);
    inferno.subtitle = Some(CAPTION.to_owned());
    inferno.direction = match direction {
        Direction::Flame => InfernoDirection::Straight,
        Direction::Icicle => InfernoDirection::Inverted,
    };
    inferno.min_width = min_width;
    inferno.deterministic = true;
    inferno.bgcolors = Some(background(Rgb(0xff, 0xff, 0xff)));
    inferno.text_truncate_direction = TextTruncateDirection::Right;
    "Frame:".clone_into(&mut inferno.name_type);
    inferno
}

/// Draws lines that have their columns; with `scales`, as estimates.
pub(crate) fn draw(
    mut inferno: Options<'_>,
    mut lines: Vec<DrawnStack>,
    caption: &Caption<'_>,
    scales: Option<Scales>,
) -> Result<Vec<u8>, FlameError> {
    // As inferno sorts them.
    lines.sort_by(|one, other| one.text.cmp(&other.text));
    let mut svg = Vec::new();
    let texts = lines.iter().map(|line| line.text.as_str());
    inferno::flamegraph::from_lines(&mut inferno, texts, &mut svg)?;
    let mut svg = String::from_utf8(svg)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    if let Some(scales) = scales {
        svg = Drawing::with(&inferno, scales).with_intervals(&svg, &lines)?;
    }
    // A heading may hold the placeholder's text, but no quotes: those are escaped.
    let subtitle = svg.find(r#"id="subtitle""#).unwrap_or_default();
    let (before, after) = svg.split_at(subtitle);
    Ok((before.to_owned() + &after.replacen(CAPTION, &caption.svg(), 1)).into_bytes())
}

/// Where the caption goes: inferno draws one line of plain text only.
const CAPTION: &str = "{caption}";

/// The lines below the heading: a sentence, and which colour means what.
pub(crate) struct Caption<'a> {
    pub(crate) subtitle: Option<&'a str>,
    pub(crate) legend: &'a [(Rgb, &'a str)],
}

impl Caption<'_> {
    /// Two centred lines in the place of one.
    fn svg(&self) -> String {
        let mut svg = String::new();
        if let Some(subtitle) = self.subtitle {
            let subtitle = escape(&shorten(subtitle, 150));
            let _ = write!(svg, r#"<tspan x="50%" dy="-9">{subtitle}</tspan>"#);
        }
        let down = if self.subtitle.is_some() { 15 } else { 0 };
        for (at, (colour, name)) in self.legend.iter().enumerate() {
            let place = if at == 0 { format!(r#" x="50%" dy="{down}""#) } else { String::new() };
            let colour = colour.hex();
            let name = escape(name);
            let gap = if at == 0 { "" } else { "\u{a0}\u{a0}\u{a0}" };
            let _ = write!(
                svg,
                r#"<tspan{place} fill="{colour}">{gap}■</tspan><tspan>&#160;{name}</tspan>"#
            );
        }
        svg
    }
}

pub(crate) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One colour behind everything.
pub(crate) fn background(colour: Rgb) -> BackgroundColor {
    BackgroundColor::Flat(rgb(colour))
}

fn rgb(colour: Rgb) -> Color {
    Color { r: colour.0, g: colour.1, b: colour.2 }
}

/// The colours of all frames of a picture, by name: that is what inferno can be told.
struct Colours {
    /// For each name, how much of each colour it should have; the heaviest is taken.
    wishes: HashMap<String, BTreeMap<[u8; 3], u64>>,
    /// Values of the leaves' groups.
    groups: BTreeMap<&'static str, u64>,
}

impl Colours {
    fn of(profile: &Profile, column: usize) -> Colours {
        let mut colours = Colours { wishes: HashMap::new(), groups: BTreeMap::new() };
        // What stacks have in common is looked at once.
        let mut of_locations: HashMap<LocationId, u64> = HashMap::new();
        let mut of_leaves: HashMap<(LocationId, &str), u64> = HashMap::new();
        for sample in profile.samples() {
            let value = u64::try_from(sample.values[column]).unwrap_or_default();
            if value == 0 {
                continue;
            }
            let group = category::of_sample(profile, sample).group();
            let add = |sum: &mut u64| *sum = sum.saturating_add(value);
            add(colours.groups.entry(group).or_default());
            for id in &sample.stack {
                add(of_locations.entry(*id).or_default());
            }
            if let Some(leaf) = sample.stack.first() {
                add(of_leaves.entry((*leaf, group)).or_default());
            }
        }
        for (id, value) in of_locations {
            for frame in profile.frames_of(id) {
                colours.wish(folded::function_name(&frame), frame_colour(&frame), value);
            }
        }
        for ((leaf, group), value) in of_leaves {
            let frame = profile.frames_of(leaf).next();
            if let Some(site) = frame.as_ref().and_then(folded::site_name) {
                colours.wish(site, palette::of_group(group), value);
            }
        }
        colours
    }

    fn wish(&mut self, name: String, Rgb(r, g, b): Rgb, value: u64) {
        let sum = self.wishes.entry(name).or_default().entry([r, g, b]).or_default();
        *sum = sum.saturating_add(value);
    }

    /// The groups of the leaves, most first.
    fn groups_by_size(&self) -> Vec<&'static str> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, value)| std::cmp::Reverse(**value));
        groups.into_iter().map(|(group, _)| *group).collect()
    }

    fn palette(&self) -> PaletteMap {
        let mut palette = PaletteMap::default();
        // The root frame that inferno draws below all others.
        palette.insert("", rgb(palette::RUNTIME_CODE));
        for (name, wishes) in &self.wishes {
            let heaviest = wishes.iter().max_by_key(|(_, value)| **value);
            if let Some(([r, g, b], _)) = heaviest {
                palette.insert(name, rgb(shade(Rgb(*r, *g, *b), name)));
            }
        }
        palette
    }
}

/// The colour of a function's frame, wherever it stands.
pub(crate) fn frame_colour(frame: &Frame<'_>) -> Rgb {
    match Origin::of(frame) {
        Origin::OpenSsl => {
            let category = category::of_source(frame.file, frame.function);
            palette::of_group(category.map_or("crypto", category::Category::group))
        }
        Origin::BelowOpenSsl => palette::of_group("compression"),
        Origin::Program => palette::PROGRAM_CODE,
        Origin::Binding | Origin::Runtime | Origin::Unknown => palette::RUNTIME_CODE,
    }
}

/// Neighbours of one colour differ a little, so that they can be told apart: up to 8 % darker,
/// by a hash of the name (FNV-1a, the same on every machine).
pub(crate) fn shade(Rgb(r, g, b): Rgb, name: &str) -> Rgb {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let percent = 100 - ((hash >> 32) % 5) as u16 * 2;
    let darker = |part: u8| (u16::from(part) * percent / 100) as u8;
    Rgb(darker(r), darker(g), darker(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legend_of_every_group_stays_inside_the_picture() {
        let groups: Vec<_> = category::groups().map(|group| group.name).collect();
        let legend = legend(&groups);
        let length: usize = legend.iter().map(|(_, name)| width(name) + 5).sum();
        assert!(length <= LEGEND_WIDTH);
        assert!(legend.len() > 8, "only {} groups fit", legend.len());
        assert_eq!(legend[0].1, groups[0]);
        assert_eq!(legend.last().unwrap().1, "callers outside OpenSSL");
    }
}
