//! What is written into the picture: the legend, the figures of its axes, and phases.

use analysis::notation::{exact, human};
use analysis::timeline::Timeline;

use std::fmt::Write as _;

use super::areas::Area;
use super::colours::{CONNECTIONS_COLOUR, RSS_COLOUR};
use super::scales::{BOTTOM, LEFT, RIGHT, Scale, TOP, TimeScale, WIDTH};
use crate::fit::shorten;
use crate::flamegraph::escape;

/// Characters in one line of the legend. One is about seven points wide, and a little more in some
/// fonts.
const LEGEND_WIDTH: usize = 126;

/// Lines of the legend that there is room for; every group, and what else there may be, fits.
const LEGEND_LINES: usize = 3;

/// Which colour means what, below the heading.
pub(super) fn legend(svg: &mut String, timeline: &Timeline, areas: &[Area]) {
    let connections =
        timeline.connections.as_ref().map(|_| (CONNECTIONS_COLOUR, "━", "connections"));
    let band =
        timeline.openssl_margins.as_ref().map(|_| (RSS_COLOUR, "▒", "OpenSSL's 95 % interval"));
    let lines = [Some((RSS_COLOUR, "━", "resident memory")), connections, band];
    let areas = areas.iter().map(|area| (area.colour.as_str(), "■", area.name.as_str()));
    let mut rows: Vec<Vec<(&str, &str, String)>> = Vec::new();
    let mut room = 0;
    for (colour, mark, name) in lines.into_iter().flatten().chain(areas) {
        let name = shorten(name, 24);
        // The mark, and the gaps beside it and behind the name.
        let width = name.chars().count() + 5;
        if width > room {
            rows.push(Vec::new());
            room = LEGEND_WIDTH;
        }
        room -= width;
        rows.last_mut().expect("the first entry has made a row").push((colour, mark, name));
    }
    for (row, entries) in rows.into_iter().take(LEGEND_LINES).enumerate() {
        let y = 46 + 16 * row;
        let _ = write!(svg, r#"<text x="{}" y="{y}" text-anchor="middle">"#, WIDTH / 2.0);
        for (colour, mark, name) in entries {
            let name = escape(&name).replace(' ', "&#160;");
            let _ =
                write!(svg, r#"<tspan fill="{colour}">{mark}</tspan>&#160;{name}&#160;&#160; "#);
        }
        svg.push_str("</text>\n");
    }
}

/// Bytes on the left, connections on the right where they are known, seconds below.
pub(super) fn axes(svg: &mut String, bytes: &Scale, connections: Option<&Scale>, time: &TimeScale) {
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
    for (tick, y) in
        connections.into_iter().flat_map(|scale| scale.ticks().map(|tick| (tick, scale.y(tick))))
    {
        let text = exact(tick as i64);
        label(RIGHT + 6.0, y + 4.0, "start", CONNECTIONS_COLOUR, &text);
    }
    let seconds = Scale::to((time.end - time.start).max(1.0));
    for tick in seconds.ticks().map(|tick| time.start + tick).filter(|tick| *tick <= time.end) {
        label(time.x(tick), BOTTOM + 18.0, "middle", RSS_COLOUR, &format!("{tick:.0} s"));
    }
    for y in bytes.ticks().map(|tick| bytes.y(tick)) {
        let stroke = r##"stroke="#000000" stroke-opacity="0.12""##;
        let place = format!(r#"x1="{LEFT}" x2="{RIGHT}" y1="{y:.1}" y2="{y:.1}""#);
        let _ = writeln!(svg, "<line {place} {stroke}/>");
    }
}

/// A line where a phase begins, and its name where there is room for it.
pub(super) fn phases(svg: &mut String, phases: &[(f64, String)], time: &TimeScale) {
    for (at, (start, name)) in phases.iter().enumerate() {
        let from = time.x(start.clamp(time.start, time.end));
        let to =
            phases.get(at + 1).map_or(RIGHT, |(end, _)| time.x(end.clamp(time.start, time.end)));
        if at > 0 {
            let stroke = r##"stroke="#000000" stroke-opacity="0.35" stroke-dasharray="3 3""##;
            let top = TOP - 14.0;
            let place = format!(r#"x1="{from:.1}" x2="{from:.1}" y1="{top}" y2="{BOTTOM}""#);
            let _ = writeln!(svg, "<line {place} {stroke}/>");
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
