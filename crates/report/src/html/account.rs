//! The account of resident memory, as a waterfall: each part begins where the one before ends.

use analysis::notation::{exact, give_or_take, human, percent_give_or_take, rounded};
use maud::{Markup, html};

use super::figure::minus;
use super::page::{Account, AccountLine, Subject};
use super::parts::share;

/// A waterfall for each moment, those of one kind on one scale; nothing for a subject without an
/// account.
pub(super) fn section(subject: &Subject) -> Markup {
    html! {
        @if !subject.accounts.is_empty() {
            h3 { "What resident memory is made of" }
        }
        @for account in &subject.accounts { (waterfall(subject, account)) }
    }
}

fn waterfall(subject: &Subject, account: &Account) -> Markup {
    let scale = Scale::of(subject.accounts.iter().filter(|it| it.of == account.of));
    let label = format!("Resident memory of {} {}", subject.name, account.moment);
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.account {
                caption {
                    span {
                        (human(account.resident as f64)) " were resident " (account.moment)
                        ". Each part begins where the one before ends."
                    }
                }
                thead {
                    tr {
                        th scope="col" { "part" }
                        th.n scope="col" { "bytes" }
                        th.n scope="col" { "share" }
                        td aria-hidden="true" {}
                        th scope="col" { "belongs to" }
                    }
                }
                tbody {
                    @for (line, (from, to)) in account.lines.iter().zip(steps(&account.lines)) {
                        (part(line, account.resident, &scale.bar(from, to)))
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "resident" }
                        td.n { (exact(account.resident)) }
                        td.n { "100.0 %" }
                        td.fall aria-hidden="true" {
                            (scale.bar(0, account.resident).draw("total"))
                        }
                        td {}
                    }
                }
            }
        }
    }
}

fn part(line: &AccountLine, resident: i64, bar: &Bar) -> Markup {
    let of_resident = |bytes: f64| bytes / resident.max(1) as f64;
    let share_of =
        percent_give_or_take(of_resident(line.bytes as f64), line.margin.map(of_resident));
    let class = if line.bytes < 0 { "below" } else { "part" };
    html! {
        tr {
            th scope="row" { (line.name) }
            td.n { (minus(&give_or_take(line.bytes as f64, line.margin, rounded))) }
            td.n { (minus(&share_of)) }
            td.fall aria-hidden="true" { (bar.draw(class)) }
            td { (line.of) }
        }
    }
}

/// From where to where each line goes.
fn steps(lines: &[AccountLine]) -> Vec<(i64, i64)> {
    let mut at = 0_i64;
    lines
        .iter()
        .map(|line| {
            let from = at;
            at = at.saturating_add(line.bytes);
            (from, at)
        })
        .collect()
}

/// The bytes at both ends of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scale {
    lowest: i64,
    highest: i64,
}

/// From where to where a bar goes, in percent of the picture.
struct Bar {
    left: f64,
    width: f64,
}

impl Scale {
    fn of<'a>(accounts: impl Iterator<Item = &'a Account>) -> Scale {
        let mut scale = Scale { lowest: 0, highest: 1 };
        for account in accounts {
            let ends = steps(&account.lines).into_iter().map(|(_, to)| to);
            for end in ends.chain([account.resident]) {
                scale.lowest = scale.lowest.min(end);
                scale.highest = scale.highest.max(end);
            }
        }
        scale
    }

    fn bar(self, from: i64, to: i64) -> Bar {
        let whole = self.highest as f64 - self.lowest as f64;
        let place = |bytes: i64| (bytes as f64 - self.lowest as f64) / whole * 100.0;
        let (left, right) = (place(from.min(to)), place(from.max(to)));
        Bar { left, width: right - left }
    }
}

impl Bar {
    fn draw(&self, class: &str) -> Markup {
        html! {
            svg {
                rect class=(class) x=(share(self.left)) width=(share(self.width)) height="100%" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_begins_where_the_one_before_ends() {
        let line = |bytes| AccountLine { bytes, ..AccountLine::default() };
        let lines = vec![line(10), line(-3), line(5)];
        assert_eq!(steps(&lines), [(0, 10), (10, 7), (7, 12)]);
        let account = Account { lines, resident: 12, ..Account::default() };
        assert_eq!(Scale::of([&account].into_iter()), Scale { lowest: 0, highest: 12 });
    }
}
