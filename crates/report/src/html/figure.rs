//! A figure as text of the page: what it is of, how it is written, and what stands in its place
//! where it is not known.

use analysis::column::Column;
use analysis::top::{Figures, Top};
use maud::{Markup, Render, html};

/// What the figures of a subject are figures of.
pub(super) fn per(top: &Top) -> &'static str {
    match top.figures {
        Figures::PerConnection(_) => match top.column {
            Column::Allocated => "ever allocated per connection",
            _ => "per connection",
        },
        Figures::Process => top.column.phrase(),
    }
}

/// A figure, or a dash that says that it is not known.
pub(super) fn known(figure: Option<impl Render>) -> Markup {
    html! {
        @match figure {
            Some(figure) => (figure),
            None => (unknown("not measured")),
        }
    }
}

/// A dash in place of a figure, and why there is none.
pub(super) fn unknown(why: &str) -> Markup {
    html! { span.unknown title=(why) { "–" } }
}

/// A figure with the minus sign of print, which is as wide as a digit.
pub(super) fn minus(figure: &str) -> String {
    figure.replacen('-', "−", 1)
}
