//! An estimate as a figure: its margin stands back, and stays in the figure's line.

use analysis::notation::one_decimal;
use maud::{Markup, html};

/// A figure, and where it is an estimate, half the width of its 95 % interval, both as `say` says
/// them.
pub(super) fn estimate(figure: f64, margin: Option<f64>, say: impl Fn(f64) -> String) -> Markup {
    in_one_line(&say(figure), margin.map(say).as_deref(), "")
}

/// A share, like [`analysis::notation::percent_give_or_take`].
pub(super) fn share(share: f64, margin: Option<f64>) -> Markup {
    let margin = margin.map(|margin| one_decimal(margin * 100.0));
    in_one_line(&one_decimal(share * 100.0), margin.as_deref(), " %")
}

/// A text and its margin, which may be none, with the unit of both behind them.
pub(super) fn in_one_line(text: &str, margin: Option<&str>, unit: &str) -> Markup {
    html! {
        @match margin {
            None => { (text) (unit) }
            Some(margin) => span.estimate {
                (text) " " span.margin { "± " (margin) } (unit)
            }
        }
    }
}
