//! A change as a figure: its sign, a colour that repeats the sign, and how far off it may be.

use analysis::diff::{Change, Margins};
use analysis::notation::{one_decimal, percent_give_or_take};
use analysis::ratio::Estimated;
use maud::{Markup, html};

use super::estimate::in_one_line;
use super::figure::minus;

/// What changed in a colour that a sign repeats, and in none where chance may have made it.
pub(super) fn coloured(change: Change, margins: Margins, what: &Markup) -> Markup {
    let class = match change.delta() {
        _ if !change.is_significant(margins) => "muted",
        more if more > 0.0 => "more",
        less if less < 0.0 => "less",
        _ => "muted",
    };
    html! { span class=(class) { (what) } }
}

/// A remark behind a change that chance may have made.
pub(super) fn within_error(change: Change, margins: Margins) -> Markup {
    html! { @if !change.is_significant(margins) { " " span.muted { "within error" } } }
}

/// By how much, as `say` says it: signed or without a plus.
pub(super) fn by(delta: f64, margin: Option<f64>, say: impl Fn(f64) -> String) -> Markup {
    // Of a margin there is only the size.
    let margin = margin.map(|margin| say(margin).trim_start_matches('+').to_owned());
    in_one_line(&with_sign(delta, &say(delta)), margin.as_deref(), "")
}

/// By how much as a part of what was before.
pub(super) fn by_percent(relative: Estimated) -> Markup {
    let margin = relative.margin.map(|margin| one_decimal(margin * 100.0));
    let text = one_decimal(relative.figure * 100.0);
    let sign_of = if text == "0.0" { 0.0 } else { relative.figure };
    in_one_line(&with_sign(sign_of, &text), margin.as_deref(), " %")
}

/// By how much as a part of what was before, where there is text only.
pub(super) fn percent_in_words(relative: Estimated) -> String {
    let text = percent_give_or_take(relative.figure, relative.margin);
    let sign_of = if text.starts_with("0.0 ") { 0.0 } else { relative.figure };
    with_sign(sign_of, &text)
}

fn with_sign(delta: f64, text: &str) -> String {
    let plus = if delta > 0.0 && !text.starts_with('+') { "+" } else { "" };
    format!("{plus}{}", minus(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_carries_its_sign_and_how_far_off_it_may_be() {
        let words = |figure, margin| percent_in_words(Estimated { figure, margin });
        let exact = [-0.984, 0.03, 0.0, 0.000_01].map(|figure| words(figure, None));
        assert_eq!(exact, ["−98.4 %", "+3.0 %", "0.0 %", "0.0 %"]);
        assert_eq!(words(0.03, Some(0.01)), "+3.0 ± 1.0 %");
        assert_eq!(words(-0.03, Some(0.01)), "−3.0 ± 1.0 %");
    }
}
