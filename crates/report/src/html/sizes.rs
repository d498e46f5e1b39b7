//! How large live blocks are: a row for each power of two, drawn by the bytes in it.

use analysis::notation::{exact, human};
use maud::{Markup, html};

use super::page::{BlockSizes, SizeClass, Subject};
use super::parts::share;

/// The table, or why there is none; nothing for a subject of which nobody would expect one.
pub(super) fn section(subject: &Subject) -> Markup {
    html! {
        @match &subject.sizes {
            BlockSizes::OutOfPlace => {}
            BlockSizes::Unknown(why) => { h3 { "Sizes of blocks" } p { (why) } }
            BlockSizes::Known { moment, classes } => {
                h3 { "Sizes of blocks" }
                (table(subject, moment, classes))
            }
        }
    }
}

fn table(subject: &Subject, moment: &str, classes: &[SizeClass]) -> Markup {
    let bytes = |class: &SizeClass| class.bytes as f64;
    let (sum, most) = classes
        .iter()
        .map(bytes)
        .fold((0.0, 1.0), |(sum, most): (f64, f64), it| (sum + it, most.max(it)));
    let blocks: u64 = classes.iter().map(|class| class.blocks).sum();
    let label = format!("Sizes of the blocks of {} {moment}", subject.name);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.account {
                caption {
                    span {
                        (exact(signed(blocks))) " blocks of " (human(sum)) " were live " (moment)
                        ", in memory or not. Mappings are none of them."
                    }
                }
                thead {
                    tr {
                        th scope="col" { "bytes of a block" }
                        th.n scope="col" { "blocks" }
                        th.n scope="col" { "bytes" }
                        td aria-hidden="true" {}
                        th scope="col" { "of these bytes" }
                    }
                }
                tbody {
                    @for class in classes {
                        tr {
                            th scope="row" { (sizes(class)) }
                            td.n { (exact(signed(class.blocks))) }
                            td.n { (exact(signed(class.bytes))) }
                            td.fall aria-hidden="true" {
                                svg {
                                    rect.part x="0" height="100%"
                                        width=(share(bytes(class) / most * 100.0)) {}
                                }
                            }
                            td { (class.owners) }
                        }
                    }
                }
            }
        }
    }
}

/// From which size to which.
fn sizes(class: &SizeClass) -> String {
    match class.up_to {
        2 => "2".to_owned(),
        3.. => format!("{}–{}", exact(signed(class.up_to / 2 + 1)), exact(signed(class.up_to))),
        _ => "0–1".to_owned(),
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_says_its_smallest_and_its_largest_size() {
        let class = |up_to| SizeClass { up_to, ..SizeClass::default() };
        let said = [1, 2, 4, 16_384].map(|up_to| sizes(&class(up_to)));
        assert_eq!(said, ["0–1", "2", "3–4", "8,193–16,384"]);
    }
}
