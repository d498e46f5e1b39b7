//! Timelines: an SVG picture of what memory did while connections came and went.

mod areas;
mod colours;
mod labels;
mod layers;
mod resident;
mod scales;

use std::fmt::Write as _;

pub use analysis::over_time::Series;
pub use analysis::timeline::Timeline;
use profile::harmless::harmless_document;
use thiserror::Error;

use crate::fit::shorten;
use crate::flamegraph::escape;

use areas::{areas, said};
use colours::{CONNECTIONS_COLOUR, RSS_COLOUR};
use labels::{axes, legend, phases};
use resident::connected;
use scales::{Scale, TimeScale, WIDTH, points};

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

const HEIGHT: f64 = 440.0;

/// How much higher than the most connections their scale is at least.
const HEADROOM: f64 = 1.05;

/// Where in the picture the first and the last second are, and the highest and the lowest value.
pub(crate) const PLOT: [f64; 4] = [scales::LEFT, scales::RIGHT, scales::TOP, scales::BOTTOM];

/// Draws stacked areas of bytes in use, the largest group lowest, with the rest of resident memory
/// on top, and connections as a line with its own scale on the right. Where OpenSSL's bytes are
/// estimates, there is a band around their sum, and each area says how far it may be off.
pub fn timeline(timeline: &Timeline, title: &str) -> Result<String, TimelineError> {
    check(timeline)?;
    let areas = areas(timeline);
    let openssl = timeline.estimated_openssl();
    let tops = areas.iter().flat_map(|area| &area.above);
    let band = openssl.iter().flat_map(|openssl| &openssl.high);
    let highest = tops.chain(band).copied().max().unwrap_or_default();
    let bytes = Scale::to(highest as f64);
    let open = timeline.connections.as_ref();
    // With some room above, so that the line does not lie on the edge, and on others there.
    let connections = open
        .map(|open| Scale::to(open.iter().copied().max().unwrap_or_default() as f64 * HEADROOM));
    let time = TimeScale::of(&timeline.seconds);

    let mut svg = String::new();
    let title = escape(&shorten(title, 90));
    let _ =
        write!(svg, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" "#);
    let _ = write!(
        svg,
        r##"width="{WIDTH}" height="{HEIGHT}" font-family="monospace" font-size="12" role="img">
<title>{title}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{}" y="24" font-size="17" text-anchor="middle">{title}</text>
"##,
        WIDTH / 2.0,
    );
    legend(&mut svg, timeline, &areas);
    for area in &areas {
        let points = outline(timeline, &bytes, &area.below, &area.above);
        let _ = writeln!(
            svg,
            r#"<polygon fill="{}" points="{points}"><title>{}</title></polygon>"#,
            area.colour,
            escape(&area.title),
        );
    }
    if let Some(openssl) = &openssl {
        // The areas below it keep their titles.
        let points = outline(timeline, &bytes, &openssl.low, &openssl.high);
        let style = format!(r#"fill="{RSS_COLOUR}" fill-opacity="0.2" pointer-events="none""#);
        let _ = writeln!(svg, r#"<polygon {style} points="{points}"/>"#);
    }
    axes(&mut svg, &bytes, connections.as_ref(), &time);
    phases(&mut svg, &timeline.phases, &time);
    let mut line_from = |first: usize, scale: &Scale, values: &[u64], style: &str, name: &str| {
        let points = points(&time, &timeline.seconds[first..], scale, values).join(" ");
        let style = format!(r#"fill="none" {style} stroke-linejoin="round""#);
        let title = format!("<title>{name}</title>");
        let _ = writeln!(svg, r#"<polyline {style} points="{points}">{title}</polyline>"#);
    };
    if let Some(openssl) = &openssl {
        let style = format!(r#"stroke="{RSS_COLOUR}" stroke-width="1.5" stroke-dasharray="2 3""#);
        let name = said("OpenSSL together", timeline, &openssl.bytes, &openssl.margins);
        line_from(0, &bytes, &openssl.bytes, &style, &name);
    }
    let style = |colour: &str| format!(r#"stroke="{colour}" stroke-width="2""#);
    for (first, resident) in known_stretches(&connected(timeline)) {
        line_from(first, &bytes, &resident, &style(RSS_COLOUR), "resident memory");
    }
    if let (Some(open), Some(scale)) = (open, &connections) {
        line_from(0, scale, open, &style(CONNECTIONS_COLOUR), "connections");
    }
    svg.push_str("</svg>\n");
    Ok(harmless_document(svg))
}

/// The stretches over which a figure is known, each with the moment at which it begins.
fn known_stretches(values: &[Option<u64>]) -> Vec<(usize, Vec<u64>)> {
    let mut stretches: Vec<(usize, Vec<u64>)> = Vec::new();
    let mut goes_on = false;
    for (at, value) in values.iter().enumerate() {
        match (value, stretches.last_mut()) {
            (Some(value), Some((_, stretch))) if goes_on => stretch.push(*value),
            (Some(value), _) => stretches.push((at, vec![*value])),
            (None, _) => {}
        }
        goes_on = value.is_some();
    }
    stretches
}

/// The points of what lies between two lines.
fn outline(timeline: &Timeline, scale: &Scale, below: &[u64], above: &[u64]) -> String {
    let time = TimeScale::of(&timeline.seconds);
    let there = points(&time, &timeline.seconds, scale, above);
    let mut back = points(&time, &timeline.seconds, scale, below);
    back.reverse();
    format!("{} {}", there.join(" "), back.join(" "))
}

fn check(timeline: &Timeline) -> Result<(), TimelineError> {
    let moments = timeline.seconds.len();
    if moments < 2 {
        return Err(TimelineError::TooShort { moments });
    }
    let of_series = timeline.series.iter().flat_map(|series| {
        let margins = series.margins.as_ref().map(Vec::len);
        let margins = margins.map(|values| (format!("the margin of {}", series.group), values));
        [Some((series.group.clone(), series.bytes.len())), margins]
    });
    let of = |name: &str, values: Option<&Vec<u64>>| Some((name.to_owned(), values?.len()));
    let resident = Some(("rss".to_owned(), timeline.rss.len()));
    let mut lengths = [
        of("connections", timeline.connections.as_ref()),
        resident,
        of("the margin of OpenSSL", timeline.openssl_margins.as_ref()),
    ]
    .into_iter()
    .chain(of_series)
    .flatten();
    if let Some((series, values)) = lengths.find(|(_, values)| *values != moments) {
        return Err(TimelineError::Uneven { series, values, moments });
    }
    let rises = |pair: &[f64]| pair[0].is_finite() && pair[1].is_finite() && pair[0] < pair[1];
    match timeline.seconds.windows(2).position(|pair| !rises(pair)) {
        Some(at) => Err(TimelineError::NotRising { at: at + 1 }),
        // Numbers that are finite may lie further apart than any number says.
        None if !(timeline.seconds[moments - 1] - timeline.seconds[0]).is_finite() => {
            Err(TimelineError::NotRising { at: moments - 1 })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
