//! Timelines: an SVG picture of what memory did while connections came and went.

use std::fmt::Write as _;

use analysis::category::RUST_DOMAIN;
use thiserror::Error;

use crate::bytes::{exact, human};
use crate::fit::shorten;
use crate::flamegraph::escape;
use crate::palette;

/// What was measured, one value of every series for each moment.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Seconds since the start, rising.
    pub seconds: Vec<f64>,
    /// Connections open.
    pub connections: Vec<u64>,
    /// Resident memory of the process in bytes.
    pub rss: Vec<u64>,
    /// Bytes in use, one series for each top-level group and one named `rust`.
    pub series: Vec<Series>,
    /// What was going on, and from which second on; may be empty.
    pub phases: Vec<(f64, String)>,
}

/// One area of the picture.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The top-level group.
    pub group: String,
    /// Bytes in use at each moment.
    pub bytes: Vec<u64>,
}

/// Why no picture was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The run was too short: an area needs two moments.
    #[error("nothing to draw: the timeline has {moments} moments, two are needed")]
    TooShort {
        /// How many moments there are.
        moments: usize,
    },
    /// The caller is at fault: a series is of another length.
    #[error("the timeline has {moments} moments, but {series} has {values} values")]
    Uneven {
        /// The series.
        series: String,
        /// Its values.
        values: usize,
        /// The moments.
        moments: usize,
    },
    /// The caller is at fault: time stands still or runs backwards.
    #[error("the seconds of the timeline do not rise at moment {at}")]
    NotRising {
        /// The moment, from 0.
        at: usize,
    },
}

/// Groups that never reach this share of the highest value are drawn as one.
const SMALL: f64 = 0.01;

/// The name of all small groups together.
const SMALL_GROUPS: &str = "other OpenSSL";

/// The colour of small groups together, and that of resident memory that is in no series.
const SMALL_COLOUR: &str = "#d9d5c8";
const REST_COLOUR: &str = "#ececec";

const RSS_COLOUR: &str = "#333333";
const CONNECTIONS_COLOUR: &str = "#7a3fb0";

/// Entries in one line of the legend.
const LEGEND_ENTRIES: usize = 7;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 926.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 396.0;

/// Draws stacked areas of bytes in use, the largest group lowest, with the rest of resident memory
/// on top, and connections as a line with its own scale on the right.
pub fn timeline(timeline: &Timeline, title: &str) -> Result<String, TimelineError> {
    check(timeline)?;
    let mut areas = Vec::new();
    let mut stack = vec![0_u64; timeline.seconds.len()];
    for layer in layers(timeline) {
        let below = stack.clone();
        for (sum, bytes) in stack.iter_mut().zip(&layer.bytes) {
            *sum = sum.saturating_add(*bytes);
        }
        areas.push(Area { name: layer.name, colour: layer.colour, below, above: stack.clone() });
    }
    // Nothing above zero remains where pages in use were never touched.
    let above: Vec<u64> =
        timeline.rss.iter().zip(&stack).map(|(rss, stack)| (*rss).max(*stack)).collect();
    areas.push(Area {
        name: "rest of resident memory".to_owned(),
        colour: REST_COLOUR.to_owned(),
        below: stack.clone(),
        above,
    });
    let highest = stack.iter().chain(&timeline.rss).copied().max().unwrap_or_default();
    let bytes = Scale::to(highest as f64);
    let open = timeline.connections.iter().copied().max().unwrap_or_default();
    let connections = Scale::to(open as f64);
    let time = TimeScale::of(&timeline.seconds);

    let mut svg = String::new();
    let title = escape(&shorten(title, 90));
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="monospace" font-size="12" role="img">
<title>{title}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{}" y="24" font-size="17" text-anchor="middle">{title}</text>
"##,
        WIDTH / 2.0,
    );
    legend(&mut svg, &areas);
    for area in &areas {
        let there = points(&timeline.seconds, &bytes, &area.above);
        let mut back = points(&timeline.seconds, &bytes, &area.below);
        back.reverse();
        let _ = writeln!(
            svg,
            r#"<polygon fill="{}" points="{} {}"><title>{}</title></polygon>"#,
            area.colour,
            there.join(" "),
            back.join(" "),
            escape(&area.name),
        );
    }
    axes(&mut svg, &bytes, &connections, &time);
    phases(&mut svg, &timeline.phases, &time);
    let mut line = |scale: &Scale, values: &[u64], colour: &str, name: &str| {
        let points = points(&timeline.seconds, scale, values).join(" ");
        let _ = writeln!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round" points="{points}"><title>{name}</title></polyline>"#
        );
    };
    line(&bytes, &timeline.rss, RSS_COLOUR, "resident memory");
    line(&connections, &timeline.connections, CONNECTIONS_COLOUR, "connections");
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// One coloured part of the picture.
struct Area {
    name: String,
    colour: String,
    below: Vec<u64>,
    above: Vec<u64>,
}

/// What is drawn as one area, lowest first.
struct Layer {
    name: String,
    colour: String,
    bytes: Vec<u64>,
}

/// The groups by their highest value, the largest first; small ones together behind them, and Rust
/// last, whatever its size.
fn layers(timeline: &Timeline) -> Vec<Layer> {
    let most = |bytes: &[u64]| bytes.iter().copied().max().unwrap_or_default();
    let highest = timeline.series.iter().map(|series| most(&series.bytes)).max();
    let smallest = highest.unwrap_or_default() as f64 * SMALL;
    let (rust, openssl): (Vec<&Series>, Vec<&Series>) =
        timeline.series.iter().partition(|series| series.group == RUST_DOMAIN);
    let (mut large, small): (Vec<&Series>, Vec<&Series>) =
        openssl.into_iter().partition(|series| most(&series.bytes) as f64 > smallest);
    large.sort_by_key(|series| std::cmp::Reverse(most(&series.bytes)));
    let layer = |series: &Series| Layer {
        name: series.group.clone(),
        colour: palette::of_group(&series.group).hex(),
        bytes: series.bytes.clone(),
    };
    let mut layers: Vec<Layer> = large.into_iter().map(layer).collect();
    if small.iter().any(|series| most(&series.bytes) > 0) {
        let sum = |at: usize| small.iter().map(|series| series.bytes[at]).sum();
        layers.push(Layer {
            name: SMALL_GROUPS.to_owned(),
            colour: SMALL_COLOUR.to_owned(),
            bytes: (0..timeline.seconds.len()).map(sum).collect(),
        });
    }
    layers.extend(rust.into_iter().map(layer));
    layers
}

fn check(timeline: &Timeline) -> Result<(), TimelineError> {
    let moments = timeline.seconds.len();
    let uneven = |series: &str, values: usize| {
        Err(TimelineError::Uneven { series: series.to_owned(), values, moments })
    };
    if moments < 2 {
        return Err(TimelineError::TooShort { moments });
    }
    if timeline.connections.len() != moments {
        return uneven("connections", timeline.connections.len());
    }
    if timeline.rss.len() != moments {
        return uneven("rss", timeline.rss.len());
    }
    if let Some(series) = timeline.series.iter().find(|series| series.bytes.len() != moments) {
        return uneven(&series.group, series.bytes.len());
    }
    let rises = |pair: &[f64]| pair[0].is_finite() && pair[1].is_finite() && pair[0] < pair[1];
    match timeline.seconds.windows(2).position(|pair| !rises(pair)) {
        Some(at) => Err(TimelineError::NotRising { at: at + 1 }),
        None => Ok(()),
    }
}

/// Values from zero to a round number, drawn from the bottom up.
struct Scale {
    step: f64,
    end: f64,
}

impl Scale {
    /// About five steps of 1, 2 or 5 times a power of ten.
    fn to(highest: f64) -> Scale {
        let rough = (highest / 5.0).max(1.0);
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough);
        let step = factor.unwrap_or(10.0) * power;
        Scale { step, end: (highest / step).ceil().max(1.0) * step }
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * value / self.end
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as u32;
        (0..=count).map(|at| f64::from(at) * self.step)
    }
}

/// Seconds, drawn from left to right.
struct TimeScale {
    start: f64,
    end: f64,
}

impl TimeScale {
    fn of(seconds: &[f64]) -> TimeScale {
        TimeScale {
            start: seconds.first().copied().unwrap_or_default(),
            end: seconds.last().copied().unwrap_or_default(),
        }
    }

    fn x(&self, seconds: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (seconds - self.start) / (self.end - self.start)
    }
}

fn points(seconds: &[f64], scale: &Scale, values: &[u64]) -> Vec<String> {
    let time = TimeScale::of(seconds);
    let point =
        |(s, value): (&f64, &u64)| format!("{:.1},{:.1}", time.x(*s), scale.y(*value as f64));
    seconds.iter().zip(values).map(point).collect()
}

/// Which colour means what, below the heading.
fn legend(svg: &mut String, areas: &[Area]) {
    let lines = [(RSS_COLOUR, "━", "resident memory"), (CONNECTIONS_COLOUR, "━", "connections")];
    let areas = areas.iter().map(|area| (area.colour.as_str(), "■", area.name.as_str()));
    let entries: Vec<(&str, &str, &str)> = lines.into_iter().chain(areas).collect();
    for (row, entries) in entries.chunks(LEGEND_ENTRIES).take(2).enumerate() {
        let y = 46 + 16 * row;
        let _ = write!(svg, r#"<text x="{}" y="{y}" text-anchor="middle">"#, WIDTH / 2.0);
        for (colour, mark, name) in entries {
            let name = escape(&shorten(name, 24)).replace(' ', "&#160;");
            let _ =
                write!(svg, r#"<tspan fill="{colour}">{mark}</tspan>&#160;{name}&#160;&#160; "#);
        }
        svg.push_str("</text>\n");
    }
}

fn axes(svg: &mut String, bytes: &Scale, connections: &Scale, time: &TimeScale) {
    let mut label = |x: f64, y: f64, anchor: &str, colour: &str, text: &str| {
        let _ = writeln!(
            svg,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#
        );
    };
    for tick in bytes.ticks() {
        let text = human(tick).replace(".0 ", " ");
        label(LEFT - 6.0, bytes.y(tick) + 4.0, "end", RSS_COLOUR, &text);
    }
    for tick in connections.ticks() {
        let text = exact(tick as i64);
        label(RIGHT + 6.0, connections.y(tick) + 4.0, "start", CONNECTIONS_COLOUR, &text);
    }
    let seconds = Scale::to((time.end - time.start).max(1.0));
    for tick in seconds.ticks().map(|tick| time.start + tick).filter(|tick| *tick <= time.end) {
        label(time.x(tick), BOTTOM + 18.0, "middle", RSS_COLOUR, &format!("{tick:.0} s"));
    }
    for y in bytes.ticks().map(|tick| bytes.y(tick)) {
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke="#000000" stroke-opacity="0.12"/>"##
        );
    }
}

/// A line where a phase begins, and its name where there is room for it.
fn phases(svg: &mut String, phases: &[(f64, String)], time: &TimeScale) {
    for (at, (start, name)) in phases.iter().enumerate() {
        let from = time.x(start.clamp(time.start, time.end));
        let to =
            phases.get(at + 1).map_or(RIGHT, |(end, _)| time.x(end.clamp(time.start, time.end)));
        if at > 0 {
            let _ = writeln!(
                svg,
                r##"<line x1="{from:.1}" x2="{from:.1}" y1="{}" y2="{BOTTOM}" stroke="#000000" stroke-opacity="0.35" stroke-dasharray="3 3"/>"##,
                TOP - 14.0,
            );
        }
        // A letter of this size is about seven points wide.
        if to - from > 7.0 * name.chars().count() as f64 + 6.0 {
            let _ = writeln!(
                svg,
                r##"<text x="{:.1}" y="{}" text-anchor="middle" fill="#555555">{}</text>"##,
                f64::midpoint(from, to),
                TOP - 5.0,
                escape(name),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_moments() -> Timeline {
        Timeline {
            seconds: vec![0.0, 10.0],
            connections: vec![0, 200],
            rss: vec![0, 1_000],
            series: vec![
                Series { group: "rust".to_owned(), bytes: vec![0, 250] },
                Series { group: "tls".to_owned(), bytes: vec![0, 250] },
            ],
            phases: Vec::new(),
        }
    }

    /// The points of the area of that name.
    fn area<'a>(svg: &'a str, name: &str) -> &'a str {
        let line = svg.lines().find(|line| line.contains(&format!("<title>{name}</title>")));
        line.and_then(|line| line.split('"').nth(3)).unwrap_or_default()
    }

    #[test]
    fn areas_stand_on_each_other_and_the_rest_of_resident_memory_on_top() {
        let svg = timeline(&two_moments(), "a < b").unwrap();
        // The scale ends at 1,000: 250 is a quarter of the height above the bottom.
        assert_eq!(area(&svg, "tls"), "84.0,396.0 926.0,321.0 926.0,396.0 84.0,396.0");
        assert_eq!(area(&svg, "rust"), "84.0,396.0 926.0,246.0 926.0,321.0 84.0,396.0");
        let rest = area(&svg, "rest of resident memory");
        assert_eq!(rest, "84.0,396.0 926.0,96.0 926.0,246.0 84.0,396.0");
        assert!(svg.contains("a &lt; b"));
    }

    #[test]
    fn groups_that_cannot_be_seen_are_one_and_the_largest_lies_lowest() {
        let series =
            |group: &str, most: u64| Series { group: group.to_owned(), bytes: vec![0, most] };
        let mut many = two_moments();
        many.series =
            vec![series("bio", 3), series("err", 2), series("tls", 300), series("x509", 600)];
        let names: Vec<_> =
            layers(&many).into_iter().map(|layer| (layer.name, layer.bytes[1])).collect();
        let expected = [("x509", 600), ("tls", 300), (SMALL_GROUPS, 5)];
        assert_eq!(names, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }

    #[test]
    fn phases_are_named_where_there_is_room() {
        let mut phased = two_moments();
        let phase = |from: f64, name: &str| (from, name.to_owned());
        phased.phases = vec![phase(0.0, "baseline"), phase(5.0, "hold"), phase(9.99, "after")];
        let svg = timeline(&phased, "").unwrap();
        assert!(svg.contains(">baseline</text>") && svg.contains(">hold</text>"));
        assert!(!svg.contains(">after</text>"));
        assert_eq!(svg.matches("stroke-dasharray").count(), 2);
    }

    #[test]
    fn what_cannot_be_drawn_is_an_error() {
        let error = timeline(&Timeline::default(), "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "nothing to draw: the timeline has 0 moments, two are needed"
        );
        let mut uneven = two_moments();
        uneven.series[1].bytes.pop();
        assert_eq!(
            timeline(&uneven, "").unwrap_err().to_string(),
            "the timeline has 2 moments, but tls has 1 values"
        );
        let mut standing = two_moments();
        standing.seconds[1] = 0.0;
        assert!(matches!(timeline(&standing, ""), Err(TimelineError::NotRising { at: 1 })));
    }

    #[test]
    fn scales_end_at_round_numbers() {
        let ends = [0.0, 7.0, 999.0, 1_001.0, 233_000_000.0].map(|highest| Scale::to(highest).end);
        assert_eq!(ends.map(|end| end as i64), [1, 8, 1_000, 1_500, 250_000_000]);
    }
}
