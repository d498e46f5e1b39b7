//! What the pictures hold.

mod synthetic;

use std::num::NonZeroU64;

use profile::{Metric, Profile};
use report::differential::{DifferentialOptions, Ratio, SideOf, Widths, differential};
use report::flamegraph::{Direction, FlameOptions, flamegraph};

const BYTES: usize = 1;

fn drawn(profile: &Profile, options: &FlameOptions) -> String {
    String::from_utf8(flamegraph(profile, BYTES, options).unwrap()).unwrap()
}

fn side<'a>(profile: &'a Profile, name: &'a str) -> SideOf<'a> {
    SideOf { profile, column: BYTES, name, scale: Ratio::ONE }
}

fn compared(before: &Profile, after: &Profile, widths: Widths) -> String {
    let mut options = DifferentialOptions::titled("Bytes in use");
    options.widths = widths;
    let svg = differential(&side(before, "old"), &side(after, "new"), &options).unwrap();
    String::from_utf8(svg).unwrap()
}

/// The `<g>` of the first frame whose title begins with `name`.
fn frame<'a>(svg: &'a str, name: &str) -> Option<&'a str> {
    let at = svg.find(&format!("<title>{name} ("))?;
    Some(&svg[at..at + svg[at..].find("</g>")?])
}

#[test]
fn the_bytes_column_is_the_one_drawn_here() {
    assert_eq!(synthetic::old().column(Metric::InuseSpace), Some(BYTES));
}

#[test]
fn a_flamegraph_shows_the_paths_with_openssls_lines_as_leaves() {
    let svg = drawn(&synthetic::old(), &FlameOptions::titled("node-0.4"));
    for name in [
        "echo_server::trust_store::build_trust_store",
        "d2i_X509",
        "crypto/asn1/tasn_new.c:135",
        "SSL_do_handshake",
        "deflateInit2_",
        "crypto/comp/c_zlib.c:43",
    ] {
        assert!(frame(&svg, name).is_some(), "{name} is missing");
    }
    assert!(frame(&svg, "deflateInit2_").unwrap().contains("107,244,800 bytes"));
}

#[test]
fn per_connection_the_figures_are_divided() {
    let mut options = FlameOptions::titled("node-0.4");
    options.connections = Some(synthetic::CONNECTIONS);
    let svg = drawn(&synthetic::old(), &options);
    assert!(frame(&svg, "deflateInit2_").unwrap().contains("536,224 bytes per connection"));
}

#[test]
fn the_same_profile_gives_the_same_picture() {
    let options = FlameOptions::titled("node-0.4");
    assert_eq!(drawn(&synthetic::old(), &options), drawn(&synthetic::old(), &options));
    let both = || compared(&synthetic::old(), &synthetic::new(), Widths::Larger);
    assert_eq!(both(), both());
}

#[test]
fn what_the_user_writes_cannot_break_the_picture() {
    let mut options = FlameOptions::titled("a < b & \"c\" {caption}");
    options.subtitle = Some("<script>\u{1}&amp;".to_owned());
    options.direction = Direction::Icicle;
    let svg = drawn(&synthetic::old(), &options);
    assert!(svg.contains("a &lt; b &amp; &quot;c&quot; {caption}</text>"));
    assert!(svg.contains("&lt;script&gt; &amp;amp;"));
    assert!(!svg.contains("<script>\u{1}"));
}

#[test]
fn the_legend_names_the_groups_that_are_drawn() {
    let svg = drawn(&synthetic::new(), &FlameOptions::titled("no-compression"));
    assert!(svg.contains("■</tspan><tspan>&#160;tls<"));
    assert!(!svg.contains("■</tspan><tspan>&#160;compression<"));
}

#[test]
fn nothing_to_draw_is_an_error_that_says_so() {
    let options = FlameOptions::titled("empty");
    let error = flamegraph(&Profile::of_heap(), BYTES, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing to draw: no sample of the profile has inuse_space above zero"
    );
    let error = flamegraph(&synthetic::old(), 9, &options).unwrap_err();
    assert_eq!(error.to_string(), "the profile has no column number 9, only 6");
}

#[test]
fn a_comparison_of_nothing_or_of_different_things_is_an_error() {
    let (old, empty) = (synthetic::old(), Profile::of_heap());
    let options = DifferentialOptions::titled("Bytes");
    let error = differential(&side(&empty, "a"), &side(&empty, "b"), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing to draw: no sample of the profile after has inuse_space above zero"
    );
    let blocks = SideOf { column: 0, ..side(&old, "b") };
    let error = differential(&side(&old, "a"), &blocks, &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the profile before counts inuse_space in bytes, the profile after inuse_objects in \
         count: nothing to compare"
    );
}

#[test]
fn what_went_away_is_drawn_blue_in_the_widths_of_the_larger_side() {
    let svg = compared(&synthetic::old(), &synthetic::new(), Widths::Larger);
    assert!(svg.contains("Bytes in use: old → new"));
    assert!(svg.contains("widths are those of old"));
    let zlib = frame(&svg, "crypto/comp/c_zlib.c:43").unwrap();
    assert!(zlib.contains("; -"), "{zlib}");
    assert!(zlib.contains(",255)\""), "{zlib}");
    let buffer = frame(&svg, "ssl/record/methods/tls_common.c:261").unwrap();
    assert!(buffer.contains("; 0.00%"), "{buffer}");
}

#[test]
fn what_is_new_is_drawn_red() {
    let svg = compared(&synthetic::new(), &synthetic::old(), Widths::Larger);
    let zlib = frame(&svg, "crypto/comp/c_zlib.c:43").unwrap();
    assert!(zlib.contains("; +"), "{zlib}");
    assert!(zlib.contains("rgb(255,"), "{zlib}");
}

#[test]
fn scaled_to_the_same_connections_equal_servers_do_not_differ() {
    let profile = synthetic::new();
    let mut twice = synthetic::new();
    for sample in twice.samples_mut() {
        sample.values.iter_mut().for_each(|value| *value *= 2);
    }
    let half = Ratio { numerator: 1, denominator: NonZeroU64::new(2).unwrap() };
    let after = SideOf { scale: half, ..side(&twice, "twice") };
    let options = DifferentialOptions::titled("Bytes");
    let svg = differential(&side(&profile, "once"), &after, &options).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("%; 0.00%") && !svg.contains("%; +") && !svg.contains("%; -"));
}
