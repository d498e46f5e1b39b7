//! Callers and callees, the tree of calls and whole stacks, as text.

use analysis::call_graph::{Branch, Held, Peeked};
use analysis::column::Column;
use analysis::group::Call;
use analysis::notation::{give_or_take, percent, rounded};
use analysis::row_stacks::RowStack;
use anstyle::Style;
use profile::harmless::harmless;

use crate::fit::{shorten, told, width};
use crate::medium::Medium;

/// What figures are divided by, and what they are parts of.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Connections that figures are put down to; 1 for a whole process.
    pub connections: u64,
    /// What all stacks hold, undivided.
    pub whole: i64,
    /// What it is printed on.
    pub medium: Medium,
}

impl Scale {
    fn bytes(&self, held: Held) -> String {
        let connections = self.connections.max(1) as f64;
        let margin = (held.off != Held::default().off).then(|| held.off.margin() / connections);
        give_or_take(held.sum as f64 / connections, margin, rounded)
    }

    fn share(&self, held: Held) -> String {
        match self.whole {
            0 => String::new(),
            whole => percent(held.sum as f64 / whole as f64),
        }
    }

    fn named(&self, before: &str, name: &str) -> String {
        let name = harmless(name);
        let room = self.medium.room_for_names().saturating_sub(width(before)).max(LEAST_NAME);
        format!("{before}{}", shorten(&name, room))
    }
}

/// A name is not cut to less: nobody would know it again.
const LEAST_NAME: usize = 18;

/// Callers above each function, callees below it, each with its bytes and its share of all.
pub fn peeked(found: &[Peeked], rows: usize, scale: &Scale) -> String {
    let mut text = String::new();
    for one in found.iter().take(rows) {
        if !text.is_empty() {
            text.push('\n');
        }
        let around = one.callers.iter().chain(&one.callees).map(|(_, held)| *held);
        let figures = around.chain([one.all]);
        let wide = figures.map(|held| width(&scale.bytes(held))).max().unwrap_or_default();
        let line = |held: Held| format!("{:>wide$}  {:>7}  ", scale.bytes(held), scale.share(held));
        for (caller, held) in &one.callers {
            let name = if caller.is_empty() { "[outermost]" } else { caller };
            text += &scale.named(&(line(*held) + "  "), name);
            text.push('\n');
        }
        let own = match one.own.sum {
            0 => String::new(),
            _ => format!(" ({} of its own)", scale.bytes(one.own)),
        };
        let named = scale.named(&line(one.all), &one.function);
        text += &scale.medium.paint(Style::new().bold(), &named);
        text += &own;
        text.push('\n');
        for (callee, held) in &one.callees {
            text += &scale.named(&(line(*held) + "    "), callee);
            text.push('\n');
        }
    }
    if let Some(more) = found.len().checked_sub(rows).filter(|more| *more > 0) {
        text += &format!("\n… and {more} more functions with that in their names\n");
    }
    text
}

/// Branches that hold less of the whole are put together.
const LEAST_SHARE: f64 = 0.01;

/// How much is drawn of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Branches of a hundredth of the whole and more.
    Usual,
    /// All of them.
    Everything,
}

/// The calls below their callers. Calls one after another that hold the same are on one line.
pub fn tree(branches: &[Branch], depth: Depth, scale: &Scale) -> String {
    let mut text = String::new();
    let figures = branches.iter().map(|it| width(&scale.bytes(it.all)));
    let wide = figures.max().unwrap_or_default();
    // Deep trees are many: a stack of its own instead of one of the program's.
    let mut open: Vec<(&[Branch], usize)> = vec![(branches, 0)];
    while let Some((siblings, level)) = open.pop() {
        let Some((first, others)) = siblings.split_first() else { continue };
        let least = scale.whole as f64 * LEAST_SHARE;
        let indent = "  ".repeat(level.min(MOST_LEVELS));
        if depth == Depth::Usual && (first.all.sum as f64) < least {
            // The others hold less.
            let rest = siblings.iter().fold(0, |sum: i64, it| sum.saturating_add(it.all.sum));
            if rest != 0 {
                let rest = Held { sum: rest, ..Held::default() };
                let figures = format!("{:>wide$}  {:>7}", scale.bytes(rest), scale.share(rest));
                let line = format!("{figures}  {indent}… {} more", siblings.len());
                text += &scale.medium.paint(Style::new().dimmed(), &line);
                text.push('\n');
            }
            continue;
        }
        open.push((others, level));
        let mut names = vec![first.function.clone()];
        let mut end = first;
        while let [only] = end.calls.as_slice()
            && only.all == end.all
        {
            names.push(only.function.clone());
            end = only;
        }
        let before =
            format!("{:>wide$}  {:>7}  {indent}", scale.bytes(first.all), scale.share(first.all));
        for (at, line) in told(&names, width(&before), scale.medium).into_iter().enumerate() {
            let before = if at == 0 { before.clone() } else { " ".repeat(width(&before)) };
            text += &format!("{before}{line}\n");
        }
        open.push((&end.calls, level + 1));
    }
    text
}

/// Deeper ones are not further in: there is no room.
const MOST_LEVELS: usize = 16;

/// Stacks that are shown of a row.
const MOST_STACKS: usize = 3;

/// The heaviest stacks of a row, whole, outermost call first, each call on a line of its own.
pub fn stacks(stacks: &[RowStack], column: Column, scale: &Scale) -> String {
    let figure = |stack: &RowStack| stack.counts.of(column.bytes()).unwrap_or_default();
    let connections = scale.connections.max(1) as f64;
    let mut text = String::new();
    for stack in stacks.iter().take(MOST_STACKS) {
        let margin = stack.counts.margin(column.bytes()).map(|margin| margin / connections);
        let bytes = give_or_take(figure(stack) as f64 / connections, margin, rounded);
        text += &format!("  {bytes} bytes through\n");
        for call in stack.calls.iter().rev() {
            text += &format!("    {}\n", harmless(&call_in_words(call)));
        }
    }
    let rest = stacks.get(MOST_STACKS..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = rest.iter().fold(0, |sum: i64, it| sum.saturating_add(figure(it)));
        let sum = Held { sum, ..Held::default() };
        text += &format!("  … and {} more stacks, {} bytes\n", rest.len(), scale.bytes(sum));
    }
    text
}

fn call_in_words(call: &Call) -> String {
    let function = if call.function.is_empty() { "[unknown]" } else { &call.function };
    match (call.file.as_str(), call.line) {
        ("", _) => function.to_owned(),
        (file, 0) => format!("{function} {file}"),
        (file, line) => format!("{function} {file}:{line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sum: i64) -> Held {
        Held { sum, ..Held::default() }
    }

    fn scale(whole: i64) -> Scale {
        Scale { connections: 2, whole, medium: Medium::PLAIN }
    }

    fn branch(function: &str, sum: i64, calls: Vec<Branch>) -> Branch {
        Branch { function: function.to_owned(), all: held(sum), calls }
    }

    #[test]
    fn callers_stand_above_and_callees_below() {
        let one = Peeked {
            function: "SSL_new".to_owned(),
            all: held(2_000),
            own: held(1_500),
            callers: vec![("accept".to_owned(), held(1_980)), (String::new(), held(20))],
            callees: vec![("ssl_\u{1b}[2J".to_owned(), held(500))],
        };
        let expected = "  990   49.5 %    accept\n   10    0.5 %    [outermost]\n\
                        1,000   50.0 %  SSL_new (750 of its own)\n  250   12.5 %      \
                        ssl_\\u{1b}[2J\n\n… and 1 more functions with that in their names\n";
        assert_eq!(peeked(&[one.clone(), one], 1, &scale(4_000)), expected);
    }

    #[test]
    fn a_tree_has_chains_on_one_line_and_says_what_is_small() {
        let leaves = vec![
            branch("read", 600, Vec::new()),
            branch("write", 398, Vec::new()),
            branch("a", 1, Vec::new()),
            branch("b", 1, Vec::new()),
        ];
        let serve = branch("serve", 1_000, leaves);
        let branches = [branch("main", 1_000, vec![serve])];
        assert_eq!(
            tree(&branches, Depth::Usual, &scale(1_000)),
            "500  100.0 %  main › serve\n300   60.0 %    read\n199   39.8 %    write\n  1    \
             0.2 %    … 2 more\n"
        );
        let all = tree(&branches, Depth::Everything, &scale(1_000));
        assert!(all.ends_with("    a\n  1    0.1 %    b\n") || all.lines().count() == 5, "{all}");
    }
}
