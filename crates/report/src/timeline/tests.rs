use super::layers::{SMALL_GROUPS, layers};
use super::*;

fn two_moments() -> Timeline {
    Timeline {
        seconds: vec![0.0, 10.0],
        connections: Some(vec![0, 200]),
        rss: vec![Some(0), Some(1_000)],
        series: vec![series("rust", 250), series("tls", 250)],
        ..Timeline::default()
    }
}

/// An exact one, which begins with nothing.
fn series(group: &str, bytes: u64) -> Series {
    Series { group: group.to_owned(), bytes: vec![0, bytes], margins: None }
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
fn a_line_that_is_known_later_begins_where_it_is_known() {
    let mut later = two_moments();
    later.seconds = vec![0.0, 5.0, 10.0];
    later.rss = vec![None, Some(500), Some(1_000)];
    later.connections = None;
    for series in &mut later.series {
        let bytes = series.bytes.len();
        series.bytes.resize(bytes + 1, 0);
    }
    let svg = timeline(&later, "").unwrap();
    let line = svg.lines().find(|line| line.contains("<title>resident memory</title>")).unwrap();
    assert!(line.contains(r#"points="505.0,246.0 926.0,96.0""#), "{line}");
}

#[test]
fn groups_that_cannot_be_seen_are_one_and_the_largest_lies_lowest() {
    let mut many = two_moments();
    many.series = vec![series("bio", 3), series("err", 2), series("tls", 300), series("x509", 600)];
    let names: Vec<_> =
        layers(&many).into_iter().map(|layer| (layer.name, layer.bytes[1])).collect();
    let expected = [("x509", 600), ("tls", 300), (SMALL_GROUPS, 5)];
    assert_eq!(names, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
}

#[test]
fn small_parts_of_what_is_mapped_are_drawn_with_the_rest_of_it() {
    let mut many = two_moments();
    many.series = vec![
        series("tls", 900),
        series("heap", 1),
        series("mapping", 20),
        series("mapping.v8_young", 100),
        series("mapping.v8_code", 9),
        series("python", 1),
    ];
    let names: Vec<_> =
        layers(&many).into_iter().map(|layer| (layer.name, layer.bytes[1])).collect();
    let expected = [
        ("tls", 900),
        ("heap", 1),
        ("mapping.v8_young", 100),
        ("python", 1),
        ("other mappings", 29),
    ];
    assert_eq!(names, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    many.series.retain(|series| series.group != "mapping.v8_young");
    let last = layers(&many).pop().unwrap();
    assert_eq!((last.name.as_str(), last.bytes[1]), ("mapping", 29), "there are no others");
}

#[test]
fn a_line_of_the_legend_has_what_there_is_room_for() {
    let mut many = two_moments();
    let parts =
        ["v8_young", "v8_old", "v8_large", "v8_code", "v8_read_only", "v8", "python", "apr"];
    many.series = parts.map(|part| series(&format!("mapping.{part}"), 100)).into();
    let svg = timeline(&many, "").unwrap();
    let lines: Vec<&str> = svg.lines().filter(|line| line.contains("<tspan")).collect();
    assert_eq!(lines.len(), 2);
    let names = lines.concat();
    for part in parts {
        assert!(names.contains(&format!("mapping.{part}&#160;")), "{part}: {names}");
    }
    assert!(names.contains("rest&#160;of&#160;resident"));
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
    assert_eq!(error.to_string(), "nothing to draw: the timeline has 0 moments, two are needed");
    let mut uneven = two_moments();
    uneven.series[1].bytes.pop();
    assert_eq!(
        timeline(&uneven, "").unwrap_err().to_string(),
        "the timeline has 2 moments, but tls has 1 values"
    );
    let mut standing = two_moments();
    standing.seconds[1] = 0.0;
    assert!(matches!(timeline(&standing, ""), Err(TimelineError::NotRising { at: 1 })));
    standing.seconds = vec![f64::MIN, f64::MAX];
    assert!(matches!(timeline(&standing, ""), Err(TimelineError::NotRising { at: 1 })));
}

#[test]
fn scales_end_at_round_numbers() {
    let ends = [0.0, 7.0, 999.0, 1_001.0, 233_000_000.0].map(|highest| Scale::to(highest).end);
    assert_eq!(ends.map(|end| end as i64), [1, 8, 1_000, 1_500, 250_000_000]);
}

/// What a sampled recording has: no connections, but margins.
fn estimated() -> Timeline {
    let series = |group: &str, bytes: [u64; 2], margins: [u64; 2]| Series {
        group: group.to_owned(),
        bytes: bytes.to_vec(),
        margins: Some(margins.to_vec()),
    };
    Timeline {
        connections: None,
        series: vec![
            series("tls", [0, 500], [90, 100]),
            series("bio", [0, 3], [3, 3]),
            series("err", [0, 2], [4, 4]),
            series("rust", [250, 250], [10, 10]),
        ],
        openssl_margins: Some(vec![95, 105]),
        ..two_moments()
    }
}

#[test]
fn estimates_have_a_band_and_say_how_far_they_may_be_off() {
    let svg = timeline(&estimated(), "").unwrap();
    for title in [
        "tls: 500 B ± 100 B at its highest, after 10.0 s",
        // √(3² + 4²)
        "other OpenSSL: 5 B ± 5 B at its highest, after 10.0 s",
        "rust: 250 B ± 10 B at its highest, after 0.0 s",
        "OpenSSL together: 505 B ± 105 B at its highest, after 10.0 s",
    ] {
        assert!(svg.contains(&format!("<title>{title}</title>")), "{title}: {svg}");
    }
    let band = svg.lines().find(|line| line.contains("fill-opacity")).unwrap();
    // From 400 to 610 at the end and from 0 to 95 at the beginning, of 1,000.
    assert!(band.contains(r#"points="84.0,367.5 926.0,213.0 926.0,276.0 84.0,396.0""#), "{band}");
    assert!(svg.contains("OpenSSL's&#160;95&#160;%&#160;interval"));
    assert!(!svg.contains("connections"), "they are not known");
}

#[test]
fn what_is_exact_has_no_band() {
    let svg = timeline(&two_moments(), "").unwrap();
    assert!(!svg.contains('±') && !svg.contains("fill-opacity") && !svg.contains("95"));
}

#[test]
fn the_band_is_in_the_picture() {
    let mut wide = estimated();
    wide.openssl_margins = Some(vec![0, 4_000]);
    let svg = timeline(&wide, "").unwrap();
    assert!(svg.contains(">5 KB</text>"), "the scale ends above 4,505: {svg}");
}

#[test]
fn margins_are_of_as_many_moments_as_bytes() {
    let mut uneven = estimated();
    uneven.series[0].margins = Some(vec![1]);
    assert_eq!(
        timeline(&uneven, "").unwrap_err().to_string(),
        "the timeline has 2 moments, but the margin of tls has 1 values"
    );
}
