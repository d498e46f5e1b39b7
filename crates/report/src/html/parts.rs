//! Bars of parts: bytes by group, in the colours of every other picture.

use analysis::composition::Part;
use analysis::notation::{give_or_take, human, percent_give_or_take};
use maud::{Markup, html};

use super::estimate::{self, estimate};
use crate::palette;

/// A bar that is `share` of its box wide, its parts side by side. Negative parts have no width.
/// Decoration for readers who see it: the figures stand in text beside it.
pub(super) fn bar(parts: &[Part], most: f64, label: &str) -> Markup {
    let mut left = 0.0;
    let placed: Vec<(&Part, f64, f64)> = parts
        .iter()
        .filter(|part| part.bytes > 0.0 && most > 0.0)
        .map(|part| {
            let width = part.bytes / most * 100.0;
            left += width;
            (part, left - width, width)
        })
        .collect();
    html! {
        svg.bar role="img" aria-label=(label) {
            title { (label) }
            @for (part, left, width) in placed {
                rect x=(share(left)) width=(share(width)) height="100%"
                    fill=(palette::of_group(&part.group).hex()) {
                    title { (describe(part)) }
                }
            }
            rect.outline x="0" width=(share(left)) height="100%" {}
        }
    }
}

/// Which colour means what, with figures if `figures` has them.
pub(super) fn legend(parts: &[Part], figures: Figures) -> Markup {
    html! {
        ul.legend {
            @for part in parts {
                li {
                    (swatch(&part.group)) " " (part.group)
                    @if figures == Figures::Shown {
                        " " span.muted {
                            (estimate(part.bytes, part.bytes_margin, human))
                            @if let Some(share) = part.share {
                                ", " (estimate::share(share, part.share_margin))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a legend says how much each part is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Figures {
    Shown,
    Hidden,
}

/// A small square in the colour of a group.
pub(super) fn swatch(group: &str) -> Markup {
    square(&palette::of_group(group).hex())
}

/// A small square.
pub(super) fn square(colour: &str) -> Markup {
    html! {
        svg.swatch aria-hidden="true" width="12" height="12" {
            rect width="12" height="12" fill=(colour) {}
        }
    }
}

/// The parts in one line of text.
pub(super) fn in_words(parts: &[Part]) -> String {
    parts.iter().map(describe).collect::<Vec<_>>().join("; ")
}

fn describe(part: &Part) -> String {
    let bytes = give_or_take(part.bytes, part.bytes_margin, human);
    let share = part.share.map(|share| percent_give_or_take(share, part.share_margin));
    let share = share.map_or_else(String::new, |share| format!(", {share}"));
    format!("{}: {bytes}{share}", part.group)
}

/// A percentage as an attribute: four decimals are a tenth of a pixel on the widest screen.
pub(super) fn share(percent: f64) -> String {
    format!("{percent:.4}%")
}
