//! What fixes saved that were tried one by one.

use maud::{Markup, html};

use super::page::{Subject, Tried};

/// The table of fixes; nothing for a subject of which none was tried.
pub(super) fn section(subject: &Subject) -> Markup {
    if subject.tried.is_empty() {
        return html! {};
    }
    html! {
        h3 { "Fixes that were tried" }
        div.scroll tabindex="0" role="region" aria-label={ "Fixes tried on " (subject.name) } {
            table {
                caption {
                    span {
                        "Each was applied by itself, and everything measured again with it: what a "
                        "connection costs less of OpenSSL's memory, and the whole program of "
                        "resident memory, beside what the diagnosis says of the run without it."
                    }
                }
                thead {
                    tr {
                        th scope="col" { "fix" }
                        th.n scope="col" { "saved per connection" }
                        th.n scope="col" { "predicted" }
                        th.n scope="col" { "resident saved" }
                        th.n scope="col" { "handshakes/s" }
                        th scope="col" { "to be said" }
                    }
                }
                tbody { @for tried in &subject.tried { (row(tried)) } }
            }
        }
    }
}

fn row(tried: &Tried) -> Markup {
    let figure = |figure: &Option<String>| figure.clone().unwrap_or_else(|| "–".to_owned());
    html! {
        tr {
            th scope="row" { (tried.name) }
            td.n { (figure(&tried.saved)) }
            td.n { (figure(&tried.predicted)) }
            td.n { (figure(&tried.saved_resident)) }
            td.n { (figure(&tried.handshakes)) }
            td { @for sentence in &tried.said { (sentence) " " } }
        }
    }
}
