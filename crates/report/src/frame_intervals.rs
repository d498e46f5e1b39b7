//! The 95 % intervals of the frames of a picture of estimates.
//!
//! inferno says in a frame's title what the frame holds, and knows nothing of intervals. But it
//! says of each where it begins and how wide it is, in the unit of the lines (`fg:x` and `fg:w`,
//! which its script reads too), and its row can be told from its height in the picture. So the
//! same frames are made of the same lines here, with what is known of their lines added up, and
//! each title is given its intervals:
//!
//! ```text
//! SSL_new (1,234 bytes, 5.60%)           SSL_new (1,234 ± 210 bytes, 5.60 ± 0.91%)
//! SSL_new (1,234 bytes, 5.60%; 0.00%)    SSL_new (1,234 ± 210 bytes, 5.60 ± 0.91%; -3.20 ± 1.10%)
//! ```
//!
//! The change is that of the whole frame then. inferno's is that of the stacks which end in it: no
//! change of any caller, and no estimate that could have an interval.

use std::collections::HashMap;
use std::io::{Error, ErrorKind};

use analysis::diff::Margins;
use analysis::notation::rounded;
use analysis::ratio::Estimated;
use inferno::flamegraph::{Direction, Options};
use profile::Uncertainty;

use crate::folded::{DrawnStack, Values};

/// How the figures of a picture follow from its profiles, of which one at least was sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scales {
    /// What is shown of a frame is so many times what the profile has whose values are the widths.
    pub(crate) width: f64,
    /// The same of the other side.
    pub(crate) other: f64,
}

impl Scales {
    /// How far off what is shown of a frame may be; `after` is that of its width, `before` that of
    /// what it is compared with.
    pub(crate) fn margins(self, values: Values) -> Margins {
        let scaled = |off, scale| Some(margin(off)? * scale);
        Margins::of(scaled(values.other.off, self.other), scaled(values.width.off, self.width))
    }
}

/// Half the width of an interval; `None` of what is exact, or an estimate of somebody else's.
pub(crate) fn margin(off: Uncertainty) -> Option<f64> {
    (off != Uncertainty::default()).then(|| off.margin())
}

/// How inferno was told to draw a picture of estimates.
pub(crate) struct Drawing {
    pub(crate) scales: Scales,
    direction: Direction,
    row_height: u64,
    /// How much of a figure in a title one of the lines' units is.
    factor: f64,
    negate_differentials: bool,
}

impl Drawing {
    pub(crate) fn with(options: &Options<'_>, scales: Scales) -> Drawing {
        Drawing {
            scales,
            direction: options.direction,
            row_height: options.frame_height as u64,
            factor: options.factor,
            negate_differentials: options.negate_differentials,
        }
    }

    /// The picture with intervals in the titles of its frames. `lines` come in the order in which
    /// inferno draws them.
    pub(crate) fn with_intervals(&self, svg: &str, lines: &[DrawnStack]) -> Result<String, Error> {
        let sums = sums_by_place(lines);
        let (before, frames) = svg.split_at(svg.find(FRAMES).ok_or_else(|| unknown(FRAMES))?);
        let total = attribute(frames, "total_samples")?;
        let all = Place { depth: 0, start: 0, width: total };
        let whole = self.shown(total, *sums.get(&all).ok_or_else(|| unknown("all"))?);
        let first_row = self.first_row(frames)?;
        let mut text = before.to_owned();
        let mut rest = frames;
        while let Some(frame) = next_frame(rest)? {
            let place = Place {
                depth: frame.y.abs_diff(first_row) / self.row_height,
                start: frame.start,
                width: frame.width,
            };
            let values = sums.get(&place).ok_or_else(|| unknown(frame.title))?;
            text += frame.before;
            text += &self.title(&frame, *values, whole)?;
            rest = frame.after;
        }
        Ok(text + rest)
    }

    /// Where the frame is drawn that holds all others.
    fn first_row(&self, frames: &str) -> Result<u64, Error> {
        let mut rows = Vec::new();
        let mut rest = frames;
        while let Some(frame) = next_frame(rest)? {
            rows.push(frame.y);
            rest = frame.after;
        }
        let first = match self.direction {
            Direction::Straight => rows.iter().max(),
            Direction::Inverted => rows.iter().min(),
        };
        first.copied().ok_or_else(|| unknown("all"))
    }

    /// What is said of a frame of that width.
    fn shown(&self, width: u64, values: Values) -> Estimated {
        let margin = self.scales.margins(values).after;
        Estimated { figure: width as f64 * self.factor, margin }
    }

    fn title(
        &self,
        frame: &DrawnFrame<'_>,
        values: Values,
        whole: Estimated,
    ) -> Result<String, Error> {
        let title = frame.title;
        let figure = format!(" ({}", rounded(frame.width as f64 * self.factor));
        let end = title.rfind(&(figure.clone() + " ")).ok_or_else(|| unknown(title))?;
        let (name, rest) = title.split_at(end + figure.len());
        let margins = self.scales.margins(values);
        let mut text = name.to_owned();
        if let Some(margin) = margins.after {
            text += &format!(" ± {}", rounded(margin));
        }
        let (unit, percentages) = rest.split_once(", ").ok_or_else(|| unknown(title))?;
        text += unit;
        let (share, change) = percentages.split_once('%').ok_or_else(|| unknown(title))?;
        // Of what may be nothing there are no parts.
        if let Some(part) = self.shown(frame.width, values).part_of(whole) {
            text += &format!(", {share}");
            // All is all of itself.
            let margin = part.margin.filter(|_| part.figure < 1.0);
            text += &margin.map_or_else(String::new, |off| format!(" ± {:.2}", 100.0 * off));
            text += "%";
        }
        if !change.starts_with(CHANGE) {
            return Ok(text + change);
        }
        let sign = if self.negate_differentials { -1.0 } else { 1.0 };
        let percent = |bytes: f64| 100.0 * bytes / whole.figure;
        let change = match values.change() {
            0 => "0.00".to_owned(),
            change => format!("{:+.2}", percent(sign * change as f64)),
        };
        let off = margins.change.map(|margin| format!(" ± {:.2}", percent(margin)));
        Ok(format!("{text}{CHANGE}{change}{}%)", off.unwrap_or_default()))
    }
}

/// Where inferno begins to write frames. There are no titles before.
const FRAMES: &str = "<svg id=\"frames\"";

/// What stands between a frame's share of all and its change.
const CHANGE: &str = "; ";

/// We are at fault: this is not what inferno writes.
fn unknown(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the picture has no such frame: {what}"))
}

/// A frame as inferno has drawn it.
struct DrawnFrame<'a> {
    before: &'a str,
    title: &'a str,
    after: &'a str,
    y: u64,
    start: u64,
    width: u64,
}

/// The first frame of what is left of a picture, if there is one.
fn next_frame(svg: &str) -> Result<Option<DrawnFrame<'_>>, Error> {
    const TITLE: &str = "<title>";
    let Some(at) = svg.find(TITLE) else { return Ok(None) };
    let (before, rest) = svg.split_at(at + TITLE.len());
    let end = rest.find("</title><rect ").ok_or_else(|| unknown(rest))?;
    let (title, after) = rest.split_at(end);
    let (rectangle, _) = after.split_once("/>").ok_or_else(|| unknown(title))?;
    Ok(Some(DrawnFrame {
        before,
        title,
        after,
        y: attribute(rectangle, "y")?,
        start: attribute(rectangle, "fg:x")?,
        width: attribute(rectangle, "fg:w")?,
    }))
}

/// The first attribute of that name.
fn attribute(svg: &str, name: &str) -> Result<u64, Error> {
    let value = svg.split_once(&format!(" {name}=\"")).and_then(|(_, value)| value.split_once('"'));
    value.and_then(|(value, _)| value.parse().ok()).ok_or_else(|| unknown(name))
}

/// Where a frame stands: rows above the one that holds all, and from the left in the lines' unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    depth: u64,
    start: u64,
    width: u64,
}

/// A frame to which the next line may belong.
struct Open<'a> {
    name: &'a str,
    start: u64,
    values: Values,
}

/// What each frame holds, those without a width included: inferno leaves them out.
fn sums_by_place(lines: &[DrawnStack]) -> HashMap<Place, Values> {
    let mut sums = HashMap::new();
    // The frame that holds all has no name.
    let mut open = vec![Open { name: "", start: 0, values: Values::default() }];
    let mut end = 0;
    for line in lines {
        let frames: Vec<&str> = line.stack().split(';').collect();
        let same = open[1..].iter().zip(&frames).take_while(|(open, name)| open.name == **name);
        let same = same.count();
        close(&mut open, same + 1, end, &mut sums);
        let new = frames[same..].iter();
        open.extend(new.map(|name| Open { name, start: end, values: Values::default() }));
        if let Some(last) = open.last_mut() {
            last.values = last.values.plus(line.values);
        }
        end += line.values.width.amount;
    }
    close(&mut open, 0, end, &mut sums);
    sums
}

/// Closes the open frames from this depth on, which end here.
fn close(open: &mut Vec<Open<'_>>, depth: usize, end: u64, sums: &mut HashMap<Place, Values>) {
    while open.len() > depth {
        let Some(Open { start, values, .. }) = open.pop() else { return };
        let place = Place { depth: open.len() as u64, start, width: end - start };
        // Those without a width that stand at one place are told as one.
        let sum: &mut Values = sums.entry(place).or_default();
        *sum = sum.plus(values);
        if let Some(caller) = open.last_mut() {
            caller.values = caller.values.plus(values);
        }
    }
}
