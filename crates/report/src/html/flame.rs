//! Flamegraphs on the page: callers on top, what they call below, one script for all of them.

use std::collections::BTreeMap;

use analysis::category::RUST_DOMAIN;
use analysis::diff::Margins;
use analysis::group::{Call, Key};
use analysis::notation::{
    give_or_take, human, interval, percent, percent_give_or_take, rounded, signed,
};
use analysis::stacks::Stack;
use analysis::top::Figures;
use maud::{Markup, html};

use super::change::percent_in_words;
use super::figure::{minus, per};
use super::flame_frames::{self, Frame, LEAST_WIDTH, Side};
use super::page::Subject;
use super::parts::{share, square};
use crate::palette::Rgb;

/// From row to row, in pixels.
const ROW: usize = 18;

/// Below this part of the picture a name shows no letter; the script adds it when it zooms.
const NAMED_WIDTH: f64 = 0.01;

/// Light enough for black names on them, and told apart by readers who see no red or green.
const GROWN: Rgb = Rgb(0xf5, 0x8c, 0x80);
const SHRUNK: Rgb = Rgb(0x84, 0xa9, 0xf8);
const SAME: Rgb = Rgb(0xee, 0xed, 0xe8);

/// What one subject holds, by stack. `None` where there is nothing to draw.
pub(super) fn picture(subject: &Subject, id: &str) -> Option<Markup> {
    let all: Vec<Stack> = subject.stacks.iter().chain(&subject.other_stacks).cloned().collect();
    let frames = flame_frames::frames(None, Side { stacks: &all, ..side(subject) });
    let root = frames.first()?;
    let unit = per(&subject.top);
    let whole = root.after;
    let estimate = estimate(subject);
    let others = subject.other_stacks.first().map(|stack| {
        let owner = match stack.group {
            RUST_DOMAIN => "Rust's, sampled",
            _ => "the program's and its libraries', exact",
        };
        (whole - subject.top.bytes.unwrap_or_default(), owner)
    });
    let describe = |frame: &Frame| {
        let bytes = give_or_take(frame.after, frame.margins.after, rounded);
        let share = frame.estimated_after().part_of(root.estimated_after());
        let share = share.map_or_else(String::new, |share| {
            format!(", {}", percent_give_or_take(share.figure, share.margin))
        });
        format!("{bytes} bytes {unit}{share}")
    };
    let words = Words {
        title: format!("Flamegraph of {}", subject.name),
        description: format!(
            "{} {unit}. Each frame is a function or a site; it is as wide as the bytes that were \
             allocated below it. The table of sites has the same figures.",
            give_or_take(whole, root.margins.after, human)
        ),
        caption: html! {
            "Callers on top, allocations below; the last frame of a stack is the line that "
            "asked. " (human(whole)) " " (unit)
            @if let Some((bytes, owner)) = others {
                ", of which " (human(bytes)) " are " (owner) "; the rest is OpenSSL's"
            }
            @match (&estimate, others) {
                (Some(estimate), _) => { ", " (estimate) }
                (None, Some(_)) => { ", exact" }
                (None, None) => {}
            }
            "; frames narrower than " (percent(LEAST_WIDTH)) " are left out."
        },
        kind: Kind::Stacks,
    };
    Some(draw(&frames, id, &words, |frame| frame.colour, describe))
}

/// What changed from one subject to the next, by stack.
pub(super) fn difference(before: &Subject, after: &Subject, id: &str) -> Option<Markup> {
    let moved = moved(before, after);
    let frames = flame_frames::frames(Some(Side { stacks: &moved, ..side(before) }), side(after));
    let root = frames.first()?;
    let unit = per(&after.top);
    let describe = |frame: &Frame| {
        let delta = frame.after - frame.before;
        let relative = frame.estimated_after().change_from(frame.estimated_before());
        let relative = relative
            .map_or_else(String::new, |relative| format!(", {}", percent_in_words(relative)));
        let Margins { before, after, change } = frame.margins;
        let off = change.map_or_else(String::new, |margin| format!(" ± {}", rounded(margin)));
        format!(
            "{} → {} bytes {unit} ({}{off}{relative})",
            give_or_take(frame.before, before, rounded),
            give_or_take(frame.after, after, rounded),
            minus(&signed(delta)),
        )
    };
    let words = Words {
        title: format!("What changed from {} to {}", before.name, after.name),
        description: format!(
            "{} to {} {unit}. Each stack is as wide as the larger of its two sides. The table of \
             changes has the same figures.",
            give_or_take(root.before, root.margins.before, human),
            give_or_take(root.after, root.margins.after, human)
        ),
        caption: html! {
            (square(&SHRUNK.hex())) " less in " (after.name) ", "
            (square(&GROWN.hex())) " more, " (square(&SAME.hex())) " the same. Each stack is as "
            "wide as the larger of its two sides, so that what went away can be seen."
            @for side in [before, after] {
                @if let Some(estimate) = estimate(side) {
                    " What " (side.name) " holds is " (estimate) "."
                }
            }
        },
        kind: Kind::Change,
    };
    Some(draw(&frames, id, &words, change_colour, describe))
}

/// What a subject's bytes are, unless they are exact.
fn estimate(subject: &Subject) -> Option<String> {
    let margin = human(subject.top.bytes_margin?);
    let how = subject.sampling.map(|sampling| format!(", sampled every {}", interval(sampling)));
    Some(format!("an estimate ± {margin}{}", how.unwrap_or_default()))
}

/// The stacks of `before` with the lines that their sites have in `after`, as the table of changes
/// has them: a site that has moved is one frame.
fn moved(before: &Subject, after: &Subject) -> Vec<Stack> {
    let rows = after.step.iter().flat_map(|step| &step.rows);
    let site =
        |key: &Key| Call { function: key.function.clone(), file: key.file.clone(), line: key.line };
    let now: BTreeMap<Call, Call> =
        rows.filter_map(|row| Some((site(row.was.as_ref()?), site(&row.key)))).collect();
    let mut stacks = before.stacks.clone();
    for leaf in stacks.iter_mut().filter_map(|stack| stack.calls.last_mut()) {
        if let Some(site) = now.get(leaf) {
            leaf.clone_from(site);
        }
    }
    stacks
}

fn side(subject: &Subject) -> Side<'_> {
    let connections = match subject.top.figures {
        Figures::PerConnection(connections) => connections.get(),
        Figures::Process => 1,
    };
    Side { stacks: &subject.stacks, connections }
}

/// What stands around a picture.
struct Words {
    title: String,
    description: String,
    caption: Markup,
    kind: Kind,
}

/// What a picture is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Stacks, which the script has all figures of.
    Stacks,
    /// Two sides.
    Change,
}

fn draw(
    frames: &[Frame],
    id: &str,
    words: &Words,
    colour: impl Fn(&Frame) -> Rgb,
    describe: impl Fn(&Frame) -> String,
) -> Markup {
    let rows = frames.iter().map(|frame| frame.depth).max().unwrap_or_default() + 1;
    html! {
        figure.flame data-flame=(id) {
            figcaption { (words.caption) }
            div.tools {
                label {
                    span { "Search" }
                    input type="search" placeholder="regular expression" autocomplete="off"
                        spellcheck="false";
                }
                button.whole type="button" disabled { "Whole picture" }
                @if words.kind == Kind::Stacks {
                    button.about type="button" { "Callers and callees" }
                    button.row type="button" { "Its rows in the table" }
                }
                output.matched aria-live="polite" {}
            }
            (looks(words.kind))
            div.stage tabindex="0" role="application" aria-label=(words.title)
                aria-describedby={ (id) "-help" } {
                svg role="img" width="100%" height=(rows * ROW)
                    aria-labelledby={ (id) "-title" } aria-describedby={ (id) "-description" } {
                    title id={ (id) "-title" } { (words.title) }
                    desc id={ (id) "-description" } { (words.description) }
                    @for frame in frames {
                        (draw_frame(
                            frame, colour(frame), &describe(frame), sides(frame, words.kind)
                        ))
                     }
                }
            }
            p.said { output aria-live="polite" { (frames[0].name) ": " (describe(&frames[0])) } }
            p.help id={ (id) "-help" } {
                "Click a frame to enlarge it, or move with the arrow keys and press Enter; Escape "
                "shows everything again."
                @if words.kind == Kind::Stacks {
                    " The key c shows who calls the chosen function, and what it calls."
                }
            }
        }
    }
}

/// A picture of its own for each frame: names end where their frame ends, at any width.
fn draw_frame(frame: &Frame, Rgb(r, g, b): Rgb, figures: &str, sides: Option<String>) -> Markup {
    html! {
        svg x=(share(frame.left * 100.0)) y=(frame.depth * ROW)
            width=(share(frame.width * 100.0)) height=(ROW - 1) data-sides=[sides] {
            title { (frame.name) "\n" (figures) }
            rect fill=(Rgb(r, g, b).hex()) {}
            @if frame.width >= NAMED_WIDTH { text x="3" y="12.5" { (frame.name) } }
        }
    }
}

/// What the frame of a comparison holds on each side, for a script that draws one of them alone.
fn sides(frame: &Frame, kind: Kind) -> Option<String> {
    (kind == Kind::Change).then(|| format!("{:.1} {:.1}", frame.before, frame.after))
}

/// How a picture is drawn; the script shows it.
fn looks(kind: Kind) -> Markup {
    html! {
        div.tools.looks hidden {
            label {
                span { "Roots" }
                select name="roots" {
                    option value="above" { "above" }
                    option value="below" { "below" }
                }
            }
            label {
                span { "Order" }
                select name="order" {
                    option value="size" { "largest first" }
                    option value="name" { "by name" }
                }
            }
            @if kind == Kind::Stacks {
                label.box { input type="checkbox" name="runtime"; span { "the runtime's frames" } }
                a.link { "Link to this view" }
            } @else {
                label {
                    span { "Widths" }
                    select name="side" {
                        option value="change" { "the larger side" }
                        option value="before" { "before" }
                        option value="after" { "after" }
                    }
                }
            }
        }
    }
}

/// Between the colour of no change and that of what is new or gone, by how much changed.
fn change_colour(frame: &Frame) -> Rgb {
    let larger = frame.before.abs().max(frame.after.abs());
    let change = if larger > 0.0 { (frame.after - frame.before) / larger } else { 0.0 };
    let end = if change > 0.0 { GROWN } else { SHRUNK };
    let mix = |from: u8, to: u8| {
        let part = change.abs().min(1.0);
        (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8
    };
    Rgb(mix(SAME.0, end.0), mix(SAME.1, end.1), mix(SAME.2, end.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(before: f64, after: f64) -> Rgb {
        change_colour(&Frame {
            name: String::new(),
            depth: 0,
            left: 0.0,
            width: 1.0,
            before,
            after,
            margins: Margins::default(),
            colour: SAME,
        })
    }

    #[test]
    fn what_is_gone_or_new_has_the_full_colour() {
        assert_eq!(changed(5.0, 0.0), SHRUNK);
        assert_eq!(changed(0.0, 5.0), GROWN);
        assert_eq!(changed(5.0, 5.0), SAME);
        assert_eq!(changed(0.0, 0.0), SAME);
        let Rgb(r, _, b) = changed(4.0, 3.0);
        assert!(r < SAME.0 && r > SHRUNK.0 && b > SAME.2, "a quarter less is a light blue");
    }
}
