//! Pictures of sampled profiles: each frame has the interval that a table gives to its samples.

mod synthetic;

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use analysis::diff::Margins;
use analysis::group::Counts;
use analysis::notation::rounded;
use analysis::ratio::Estimated;
use profile::{Function, Line, Location, Metric, Profile, Sample, Sampling, ValueType, folded};
use report::differential::{DifferentialOptions, Ratio, SideOf, Widths, differential};
use report::flamegraph::{Direction, FlameOptions, flamegraph};

/// OpenSSL's part sampled: each sample's blocks have one size.
fn sampled(mut profile: Profile, every: u64) -> Profile {
    profile.sampling = Sampling::every(every);
    // All that one function asked for in small blocks is freed. That there is none is an estimate.
    let session = |sample: &&Sample| sample.label("category") == Some("tls.session");
    let mut freed = profile.samples().iter().find(session).expect("a session").clone();
    let name = "freed".to_owned();
    let function = profile.function(Function { name, ..Function::default() });
    let lines = vec![Line { function, line: 1 }];
    freed.stack.insert(0, profile.location(Location { lines, ..Location::default() }));
    freed.values = vec![0, 0, 50_000, 400_000, 0, 0];
    profile.push(freed);
    for sample in profile.samples_mut() {
        if sample.label("domain") == Some("openssl") {
            sample.set_block_bytes((sample.values[3] / sample.values[2]) as u64);
        }
    }
    profile
}

/// The figures in the title of each frame whose name is that of no other.
fn titles(svg: &str) -> BTreeMap<String, String> {
    let mut titles: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for title in svg.split("<title>").skip(1) {
        let title = title.split("</title>").next().unwrap();
        let title = title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let (name, figures) = title.rsplit_once(" (").unwrap();
        titles.entry(name.to_owned()).or_default().push(figures.trim_end_matches(')').to_owned());
    }
    let only = |mut figures: Vec<String>| figures.pop().filter(|_| figures.is_empty());
    let titles = titles.into_iter().filter_map(|(name, figures)| Some((name, only(figures)?)));
    titles.collect()
}

/// The sum of all samples whose stacks go through a frame of that name.
fn through(profile: &Profile, name: &str) -> Counts {
    let mut part = profile.clone();
    part.samples_mut().retain(|sample| {
        let mut frames = profile.frames(sample);
        let site = profile.frames(sample).next().as_ref().and_then(folded::site_name);
        name == "all"
            || site.as_deref() == Some(name)
            || frames.any(|frame| folded::function_name(&frame) == name)
    });
    Counts::total(&part)
}

/// `None` where all is Rust's, whose samples have no interval of ours.
fn margin(counts: &Counts, metric: Metric) -> Option<f64> {
    counts.margin(metric).filter(|margin| *margin > 0.0)
}

fn give_or_take(figure: f64, margin: Option<f64>) -> String {
    rounded(figure) + &margin.map_or_else(String::new, |margin| format!(" ± {}", rounded(margin)))
}

#[test]
fn each_frame_has_the_interval_of_its_samples() {
    let profile = sampled(synthetic::old(), 65_536);
    for direction in [Direction::Flame, Direction::Icicle] {
        for (metric, connections) in [
            (Metric::InuseSpace, None),
            (Metric::InuseObjects, NonZeroU64::new(7)),
            (Metric::AllocObjects, None),
        ] {
            let mut options = FlameOptions::titled("sampled");
            options.direction = direction;
            options.connections = connections;
            let column = profile.column(metric).unwrap();
            let svg = flamegraph(&profile, column, &options).unwrap();
            let each = connections.map_or(1.0, |connections| connections.get() as f64);
            let titles = titles(&String::from_utf8(svg).unwrap());
            assert!(titles.len() > 15, "{titles:#?}");
            for (name, figures) in titles {
                let counts = through(&profile, &name);
                let expected = give_or_take(
                    counts.of(metric).unwrap() as f64 / each,
                    margin(&counts, metric).map(|margin| margin / each),
                );
                let unit = if metric.unit() == "bytes" { " bytes" } else { " count" };
                let (shown, _) = figures.split_once(unit).unwrap();
                assert_eq!(shown, expected, "{name} {metric:?} {direction:?}");
            }
        }
    }
}

#[test]
fn names_with_blanks_stand_where_inferno_sorts_them() {
    // As stacks, `f` comes first; as lines with values, `f (x)` does.
    let text = "f 500\nf (x);y 300\nf;g 200\n";
    let value_type = ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() };
    let mut profile = folded::read(text.as_bytes(), "text", value_type).unwrap();
    profile.sampling = Sampling::every(1_000);
    for (sample, bytes) in profile.samples_mut().iter_mut().zip([10, 100, 2_000]) {
        sample.set_block_bytes(bytes);
    }
    let svg = flamegraph(&profile, 0, &FlameOptions::titled("blanks")).unwrap();
    let titles = titles(&String::from_utf8(svg).unwrap());
    assert_eq!(titles.len(), 5, "{titles:#?}");
    for (name, bytes) in [("all", 1_000.0), ("f", 700.0), ("f (x)", 300.0), ("g", 200.0)] {
        let margin = margin(&through(&profile, name), Metric::InuseSpace);
        // There may be nothing at all: so there are no parts of it, but that all is all.
        let share = if name == "all" { ", 100%" } else { "" };
        assert_eq!(titles[name], give_or_take(bytes, margin) + " bytes" + share, "{name}");
    }
}

#[test]
fn what_rust_holds_has_no_interval_of_ours() {
    let profile = sampled(synthetic::old(), 65_536);
    let svg = flamegraph(&profile, 1, &FlameOptions::titled("sampled")).unwrap();
    let titles = titles(&String::from_utf8(svg).unwrap());
    assert!(titles["all"].contains(" ± "));
    // Only what part of all it is, since all is hardly known.
    let (held, share) = titles["library/alloc/src/raw_vec.rs:500"].split_once(", ").unwrap();
    assert!(!held.contains('±') && share.contains(" ± "), "{held}, {share}");
}

/// Both sides have a frame's figures scaled, as they are drawn.
struct Compared<'a> {
    before: (&'a Profile, Ratio),
    after: (&'a Profile, Ratio),
    widths: Widths,
}

impl Compared<'_> {
    fn check(&self) -> String {
        let side = |(profile, scale), name| SideOf { profile, column: 1, name, scale };
        let mut options = DifferentialOptions::titled("Bytes");
        options.widths = self.widths;
        let svg =
            differential(&side(self.before, "old"), &side(self.after, "new"), &options).unwrap();
        let svg = String::from_utf8(svg).unwrap();
        // What is new is a part of what is old: a name may be at several places there only.
        let once = flamegraph(self.before.0, 1, &FlameOptions::titled("before")).unwrap();
        let once = titles(&String::from_utf8(once).unwrap());
        let mut titles = titles(&svg);
        titles.retain(|name, _| once.contains_key(name));
        assert!(titles.len() > 15, "{titles:#?}");
        for (name, figures) in titles {
            assert_eq!(figures, self.expected(&name), "{name} {:?}", self.widths);
        }
        svg
    }

    fn expected(&self, name: &str) -> String {
        let side = |(profile, scale): (&Profile, Ratio), name| {
            let scale = scale.numerator as f64 / scale.denominator.get() as f64;
            let counts = through(profile, name);
            let margin = margin(&counts, Metric::InuseSpace).map(|margin| margin * scale);
            (counts.inuse_bytes.unwrap() as f64 * scale, margin)
        };
        let [(old, before), (new, after)] = [self.before, self.after].map(|of| side(of, name));
        let (shown, off, (all, off_all)) = match self.widths {
            Widths::Before => (old, before, side(self.before, "all")),
            _ => (new, after, side(self.after, "all")),
        };
        let part = Estimated { figure: shown, margin: off }
            .part_of(Estimated { figure: all, margin: off_all })
            .unwrap();
        // All is all of itself.
        let off_share = part.margin.filter(|_| part.figure < 1.0);
        let off_share =
            off_share.map_or_else(String::new, |margin| format!(" ± {:.2}", 100.0 * margin));
        let share = format!("{:.2}{off_share}", 100.0 * part.figure);
        let held = give_or_take(shown, off);
        if name == "all" {
            return format!("{held} bytes, 100%");
        }
        let change = 100.0 * (new - old) / all;
        let change = if change == 0.0 { "0.00".to_owned() } else { format!("{change:+.2}") };
        let change_off = Margins::of(before, after)
            .change
            .map_or_else(String::new, |margin| format!(" ± {:.2}", 100.0 * margin / all));
        format!("{held} bytes, {share}%; {change}{change_off}%")
    }
}

#[test]
fn each_frame_of_a_comparison_has_the_intervals_of_both_sides() {
    let (old, new) = (sampled(synthetic::old(), 65_536), sampled(synthetic::new(), 4_096));
    let twice = Ratio { numerator: 2, denominator: NonZeroU64::MIN };
    for widths in [Widths::Before, Widths::After] {
        for scale in [Ratio::ONE, twice] {
            let svg = Compared { before: (&old, scale), after: (&new, Ratio::ONE), widths }.check();
            let (every, other) = (svg.find("(every 64 KiB) → "), svg.find("(every 4 KiB); widths"));
            assert!(every.is_some() && every < other);
        }
    }
}

#[test]
fn an_exact_side_adds_nothing_to_the_interval_of_the_change() {
    let (exact, estimates) = (synthetic::old(), sampled(synthetic::old(), 65_536));
    let [exact, estimates] = [&exact, &estimates].map(|profile| (profile, Ratio::ONE));
    for widths in [Widths::Before, Widths::After] {
        Compared { before: exact, after: estimates, widths }.check();
        Compared { before: estimates, after: exact, widths }.check();
    }
}
