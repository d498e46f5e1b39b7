//! What the frames of a picture of estimates are called: each says in its title how far off its
//! figures may be.
//!
//! ```text
//! SSL_new (1,234 ± 210 bytes, 5.60 ± 0.91%)
//! SSL_new (1,234 ± 210 bytes, 5.60 ± 0.91%; -3.20 ± 1.10%)
//! ```
//!
//! inferno makes titles by itself and knows nothing of intervals, but takes others by function.
//! A function may be called at several places and hold another amount at each. Where it is, what
//! inferno takes for its name has the figures of the place in it, so that each has its own title.
//! Its script shows the names alone, as it takes what stands in brackets off a title.
//!
//! The change is that of the whole frame. inferno's would be that of the stacks which end in it: no
//! change of any caller, and no estimate that could have an interval.

use std::collections::{HashMap, HashSet};

use analysis::diff::Margins;
use analysis::notation::rounded;
use analysis::ratio::Estimated;
use inferno::flamegraph::FuncFrameAttrsMap;
use profile::Uncertainty;
use profile::folded::NameId;

use crate::frame_tree::{Held, Node, SURELY_NARROW};

/// Half the width of an interval; `None` of what is exact, or an estimate of somebody else's.
pub(crate) fn margin(off: Uncertainty) -> Option<f64> {
    (off != Uncertainty::default()).then(|| off.margin())
}

/// Which side of what a frame holds is its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// There is one side, which stands as the one after.
    Alone,
    /// The side before, beside the other.
    Before,
    /// The side after, beside the other.
    After,
}

/// A frame as inferno is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// What tells it from others in the lines.
    pub(crate) text: String,
    /// The function or site; `None` of the frame that holds all.
    pub(crate) name: Option<NameId>,
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// How the figures of a picture of estimates are written.
pub(crate) struct Figures<'a> {
    /// What they count.
    pub(crate) unit: &'a str,
    /// How much is shown of what a frame holds.
    pub(crate) factor: f64,
    pub(crate) drawn: Drawn,
    /// What all frames together hold.
    pub(crate) whole: Held,
}

impl Figures<'_> {
    fn shown(&self, held: Held) -> Estimated {
        let drawn = if self.drawn == Drawn::Before { held.before } else { held.after };
        let margin = margin(drawn.off).map(|margin| margin * self.factor);
        Estimated { figure: drawn.sum as f64 * self.factor, margin }
    }

    /// How far off what all frames hold may be, and what it is.
    pub(crate) fn unit_of_all(&self) -> String {
        match self.shown(self.whole).margin {
            Some(margin) => format!("± {} {}", rounded(margin), self.unit),
            None => self.unit.to_owned(),
        }
    }

    /// The figures of a frame.
    fn of(&self, held: Held) -> String {
        let (whole, shown) = (self.shown(self.whole), self.shown(held));
        let mut text = rounded(shown.figure);
        if let Some(margin) = shown.margin {
            text += &format!(" ± {}", rounded(margin));
        }
        text += &format!(" {}", self.unit);
        let percent = |amount: f64| 100.0 * amount / whole.figure;
        // Of what may be nothing there are no parts.
        if let Some(part) = shown.part_of(whole) {
            text += &format!(", {:.2}", percent(shown.figure.round()));
            // All is all of itself.
            let margin = part.margin.filter(|_| part.figure < 1.0);
            text += &margin.map_or_else(String::new, |off| format!(" ± {:.2}", 100.0 * off));
            text += "%";
        }
        if self.drawn == Drawn::Alone {
            return text;
        }
        let change = match held.after.sum.saturating_sub(held.before.sum) {
            0 => "0.00".to_owned(),
            change => format!("{:+.2}", percent(change as f64)),
        };
        let off = Margins::of(margin(held.before.off), margin(held.after.off)).change;
        let off = off.map(|margin| format!(" ± {:.2}", percent(margin)));
        text + &format!("; {change}{}%", off.unwrap_or_default())
    }
}

/// Frames under the names of their functions.
pub(crate) fn named<'a>(
    root: Node<Option<NameId>>,
    name: impl Fn(NameId) -> &'a str,
) -> Node<Label> {
    root.relabelled(&mut |frame| Label {
        text: frame.label.map(&name).unwrap_or_default().to_owned(),
        name: frame.label,
    })
}

/// Frames under names that tell their figures apart, and the titles that these stand for. Frames
/// narrower than `least_width` are not drawn, and have none.
pub(crate) fn titled<'a>(
    root: Node<Option<NameId>>,
    name: impl Fn(NameId) -> &'a str,
    figures: &Figures<'_>,
    least_width: f64,
) -> std::io::Result<(Node<Label>, FuncFrameAttrsMap)> {
    let least_width = least_width * SURELY_NARROW;
    let mut first: HashMap<NameId, String> = HashMap::new();
    let mut several: HashSet<NameId> = HashSet::new();
    root.for_each(&mut |frame| {
        let Some(id) = frame.label.filter(|_| frame.all.width >= least_width) else { return };
        let of_frame = figures.of(frame.all);
        // Between a function's own line and those of what it calls, inferno may sort another's.
        let is_split = frame.own != Held::default() && !frame.children.is_empty();
        if is_split || *first.entry(id).or_insert_with(|| of_frame.clone()) != of_frame {
            several.insert(id);
        }
    });
    let mut titles = String::new();
    let labelled = root.relabelled(&mut |frame| {
        let plain = frame.label.map(&name).unwrap_or_default();
        let drawn = frame.label.filter(|_| frame.all.width >= least_width);
        let Some(id) = drawn else { return Label { text: plain.to_owned(), name: frame.label } };
        let title = format!("{plain} ({})", figures.of(frame.all));
        // In a line, a semicolon stands between frames.
        let text = if several.contains(&id) { title.replace(';', ",") } else { plain.to_owned() };
        titles += &format!("{text}\ttitle={title}\n");
        Label { text, name: Some(id) }
    });
    Ok((labelled, FuncFrameAttrsMap::from_reader(titles.as_bytes())?))
}
