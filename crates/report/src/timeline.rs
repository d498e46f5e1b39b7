//! Timelines: an SVG picture of what memory did while connections came and went.

use std::fmt::Write as _;

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
    /// Bytes in use, one series for each top-level group and one named `rust`; the first is
    /// drawn lowest.
    pub series: Vec<Series>,
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

/// Entries in one line of the legend.
const LEGEND_ENTRIES: usize = 10;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 372.0;

/// Draws stacked areas of bytes in use by group, resident memory as a dark line, and connections
/// as a dotted one with its own scale on the right.
pub fn timeline(timeline: &Timeline, title: &str) -> Result<String, TimelineError> {
    check(timeline)?;
    let moments = timeline.seconds.len();
    let mut stack = vec![0_u64; moments];
    let mut areas = Vec::new();
    for series in &timeline.series {
        let below = stack.clone();
        for (sum, bytes) in stack.iter_mut().zip(&series.bytes) {
            *sum = sum.saturating_add(*bytes);
        }
        areas.push((series.group.as_str(), below, stack.clone()));
    }
    let highest = stack.iter().chain(&timeline.rss).copied().max().unwrap_or_default();
    let bytes = Scale::to(highest as f64);
    let open = timeline.connections.iter().copied().max().unwrap_or_default();
    let connections = Scale::to(open as f64);
    let time = TimeScale::of(&timeline.seconds);

    let mut svg = String::new();
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="monospace" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{}" y="24" font-size="17" text-anchor="middle">{}</text>
"##,
        WIDTH / 2.0,
        escape(&shorten(title, 90)),
    );
    legend(&mut svg, &areas);
    axes(&mut svg, &bytes, &connections, &time);
    for (group, below, above) in &areas {
        let there = points(&timeline.seconds, &bytes, above);
        let mut back = points(&timeline.seconds, &bytes, below);
        back.reverse();
        let _ = writeln!(
            svg,
            r#"<polygon fill="{}" points="{} {}"><title>{}</title></polygon>"#,
            palette::of_group(group).hex(),
            there.join(" "),
            back.join(" "),
            escape(group),
        );
    }
    let rss = points(&timeline.seconds, &bytes, &timeline.rss).join(" ");
    let _ = writeln!(
        svg,
        r##"<polyline fill="none" stroke="#333333" stroke-width="1.5" points="{rss}"><title>resident memory</title></polyline>"##
    );
    let open = points(&timeline.seconds, &connections, &timeline.connections).join(" ");
    let _ = writeln!(
        svg,
        r##"<polyline fill="none" stroke="#7a3fb0" stroke-width="1.5" stroke-dasharray="2 3" points="{open}"><title>connections</title></polyline>"##
    );
    svg.push_str("</svg>\n");
    Ok(svg)
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

/// Which colour means what, in two lines below the heading.
fn legend(svg: &mut String, areas: &[(&str, Vec<u64>, Vec<u64>)]) {
    let lines = [("#333333", "resident memory"), ("#7a3fb0", "connections (right)")];
    let areas = areas.iter().map(|(group, ..)| (palette::of_group(group).hex(), *group));
    let entries: Vec<(String, &str)> =
        lines.map(|(colour, name)| (colour.to_owned(), name)).into_iter().chain(areas).collect();
    for (row, entries) in entries.chunks(LEGEND_ENTRIES).take(2).enumerate() {
        let y = 44 + 15 * row;
        let _ = write!(svg, r#"<text x="{}" y="{y}" text-anchor="middle">"#, WIDTH / 2.0);
        for (colour, name) in entries {
            let name = escape(&shorten(name, 20));
            let _ = write!(svg, r#"<tspan fill="{colour}">■</tspan>&#160;{name}&#160;&#160; "#);
        }
        svg.push_str("</text>\n");
    }
}

fn axes(svg: &mut String, bytes: &Scale, connections: &Scale, time: &TimeScale) {
    let mut label = |x: f64, y: f64, anchor: &str, text: &str| {
        let _ =
            writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
    };
    for tick in bytes.ticks() {
        label(LEFT - 6.0, bytes.y(tick) + 4.0, "end", &human(tick));
    }
    for tick in connections.ticks() {
        label(RIGHT + 6.0, connections.y(tick) + 4.0, "start", &exact(tick as i64));
    }
    let seconds = Scale::to((time.end - time.start).max(1.0));
    for tick in seconds.ticks().map(|tick| time.start + tick).filter(|tick| *tick <= time.end) {
        label(time.x(tick), BOTTOM + 18.0, "middle", &format!("{tick:.0} s"));
    }
    for y in bytes.ticks().map(|tick| bytes.y(tick)) {
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}" stroke="#dddddd"/>"##
        );
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
                Series { group: "tls".to_owned(), bytes: vec![0, 250] },
                Series { group: "rust".to_owned(), bytes: vec![0, 250] },
            ],
        }
    }

    #[test]
    fn areas_stand_on_each_other() {
        let svg = timeline(&two_moments(), "a < b").unwrap();
        // The scale ends at 1,000: 250 is a quarter of the height above the bottom.
        assert!(svg.contains("points=\"84.0,372.0 930.0,296.5 930.0,372.0 84.0,372.0\""), "{svg}");
        assert!(svg.contains("points=\"84.0,372.0 930.0,221.0 930.0,296.5 84.0,372.0\""), "{svg}");
        assert!(svg.contains("a &lt; b"));
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
            "the timeline has 2 moments, but rust has 1 values"
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
