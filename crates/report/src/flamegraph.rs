//! Flamegraphs: interactive SVG pictures of one column of a profile.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::num::NonZeroU64;

use inferno::flamegraph::color::BackgroundColor;
use inferno::flamegraph::{Direction as InfernoDirection, Options, TextTruncateDirection};
use profile::Profile;
use profile::folded::{Amount, NameId, Stacks};
use profile::harmless::harmless_document;
use thiserror::Error;

use crate::drawable::drawable;
use crate::fit::{shorten, width};
use crate::frame_colours::{Colours, rgb};
use crate::frame_titles::{Drawn, Figures, named, titled};
use crate::frame_tree::{Held, Node, Tree};
use crate::palette::{self, Rgb};
use crate::program_stacks::program_stacks;

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

/// Where stacks begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// With the program's first function.
    #[default]
    Program,
    /// With the runtime around it, as they were recorded.
    Runtime,
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
    /// Where stacks begin.
    pub roots: Roots,
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
            roots: Roots::Program,
            min_width: 0.05,
            connections: None,
        }
    }
}

/// Draws column `column` of a profile as an SVG picture.
///
/// OpenSSL's frames have the colour of their category's group, everything else is grey. The
/// innermost frame is OpenSSL's own `file:line`. Where the profile was sampled, frames have the 95
/// % intervals of what they hold in their titles. The same profile gives the same bytes.
pub fn flamegraph(
    profile: &Profile,
    column: usize,
    options: &FlameOptions,
) -> Result<Vec<u8>, FlameError> {
    let begun = match options.roots {
        Roots::Program => Cow::Owned(program_stacks(profile)),
        Roots::Runtime => Cow::Borrowed(profile),
    };
    let profile = &*drawable(&begun);
    let kind = kind_of(profile, column)?;
    let stacks = Stacks::of([(profile, column)]);
    let held = |[after]: [Amount; 1]| {
        let (width, difference) = (after.sum as f64, after.sum);
        (after.sum >= 0).then(|| Held { after, width, difference, ..Held::default() })
    };
    let total = total(&stacks, |amounts| held(amounts).map_or(0, |held| held.after.sum));
    if total == 0 {
        return Err(FlameError::NothingToDraw { which: "profile", kind });
    }
    let least_width = total as f64 * options.min_width / 100.0;
    let frames = visible(&stacks, held, least_width);
    let colours = Colours::of(profile, column);

    let mut inferno = layout(&options.title, options.direction, options.min_width);
    let unit = &profile.sample_types()[column].unit;
    inferno.count_name = match options.connections {
        Some(_) => format!("{unit} per connection"),
        None => unit.clone(),
    };
    inferno.factor = options.connections.map_or(1.0, |n| 1.0 / n.get() as f64);
    let frames = if profile.sampling.is_some() {
        let unit = inferno.count_name.clone();
        let (factor, whole) = (inferno.factor, frames.all);
        let figures = Figures { unit: &unit, factor, drawn: Drawn::Alone, whole };
        inferno.count_name = figures.unit_of_all();
        let (frames, titles) = titled(frames, |id| stacks.name(id), &figures, least_width)?;
        inferno.func_frameattrs = titles;
        frames
    } else {
        named(frames, |id| stacks.name(id))
    };
    let mut palette = colours.palette(&frames, |id| stacks.name(id));
    inferno.palette_map = Some(&mut palette);
    let legend = legend(&colours.groups_by_size());
    inferno.notes = legend
        .iter()
        .map(|(colour, name)| format!("{} {name}", colour.hex()))
        .collect::<Vec<_>>()
        .join(", ");
    let caption = Caption { subtitle: options.subtitle.as_deref(), legend: &legend };
    draw(inferno, &frames.lines(|frame| frame.own.after.sum.to_string()), &caption)
}

/// What is drawn of all stacks together.
pub(crate) fn total<const N: usize>(
    stacks: &Stacks<'_, N>,
    drawn: impl Fn([Amount; N]) -> i64,
) -> i64 {
    stacks.iter().fold(0, |total: i64, stack| total.saturating_add(drawn(stack.amounts)))
}

/// The frames of the stacks when everything is gathered that is narrower than `least_width`. `held`
/// is what is to be drawn of a stack, if anything is. The frame that holds all has no name.
pub(crate) fn visible<const N: usize>(
    stacks: &Stacks<'_, N>,
    held: impl Fn([Amount; N]) -> Option<Held>,
    least_width: f64,
) -> Node<Option<NameId>> {
    let mut tree = Tree::new(None, least_width);
    for stack in stacks.iter() {
        let Some(held) = held(stack.amounts) else { continue };
        // Of a narrow stack, what is above the last frame that others may have goes into that one.
        let frames = if tree.is_narrow(held) { stack.own_depth } else { usize::MAX };
        tree.add(stack.frames.take(frames).map(Some), held);
    }
    tree.finish()
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

/// Draws folded lines.
pub(crate) fn draw(
    mut inferno: Options<'_>,
    lines: &[String],
    caption: &Caption<'_>,
) -> Result<Vec<u8>, FlameError> {
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut inferno, lines.iter().map(String::as_str), &mut svg)?;
    let svg = String::from_utf8(svg)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    // A heading may hold the placeholder's text, but no quotes: those are escaped.
    let subtitle = svg.find(r#"id="subtitle""#).unwrap_or_default();
    let (before, after) = svg.split_at(subtitle);
    let svg = before.to_owned() + &after.replacen(CAPTION, &caption.svg(), 1);
    Ok(harmless_document(usable(&svg)).into_bytes())
}

/// The picture with what inferno's lack: texts that are read at night, a search that is seen, and
/// the keyboard.
fn usable(svg: &str) -> String {
    // Before the first style ends there is nothing but what inferno writes; the picture ends last.
    let style = svg.find("</style>").unwrap_or(0);
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    let (head, rest) = svg.split_at(style);
    let (body, end) = rest.split_at(end.max(style) - style);
    format!("{head}{LOOK}{body}<script><![CDATA[\n{KEYS}]]></script>{end}")
}

const LOOK: &str = include_str!("flamegraph/look.css");
const KEYS: &str = include_str!("flamegraph/keys.js");

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

#[cfg(test)]
mod tests {
    use analysis::category;

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
