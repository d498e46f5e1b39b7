//! What was seen, in sentences: for a screen, for lines, for the page.

use std::time::Duration;

use analysis::notation::{exact, human, one_decimal, rounded};
use capture::records::recorder::RecorderRecord;
use contract::Domain;
use report::losses::losses;

use crate::{Connections, Cost, View};

/// What growth is counted from where there is no mark.
pub const FIRST: &str = "the first look";

/// The processes that run.
pub fn processes(view: &View) -> String {
    let ended = match view.ended {
        0 => String::new(),
        ended => format!(", {} ended", exact(ended as i64)),
    };
    match &view.processes[..] {
        [] => format!("nothing runs{ended}"),
        [only] => format!("{} ({}){ended}", only.program, only.pid),
        several => format!("{} processes{ended}", exact(several.len() as i64)),
    }
}

/// Connections, and what each of them holds.
pub fn connections(view: &View) -> String {
    let Some(Connections { live, .. }) = view.connections else {
        return "a sample: connections are not counted".to_owned();
    };
    if live == 0 {
        let last = match &view.cost {
            Cost::Steps(cost) => format!("; each held {}", bytes_each(cost.open.bytes)),
            _ => String::new(),
        };
        return format!("no connections{last}");
    }
    let (noun, each) = match live {
        1 => ("connection", "it"),
        _ => ("connections", "each"),
    };
    format!("{} {noun} (SSL objects), {each} holds {}", exact(live as i64), cost(&view.cost))
}

fn bytes_each(bytes: f64) -> String {
    format!("{} bytes", rounded(bytes))
}

fn cost(cost: &Cost) -> String {
    match cost {
        Cost::Steps(steps) if steps.is_certain() => format!(
            "{} in {} blocks, exact",
            bytes_each(steps.open.bytes),
            one_decimal(steps.open.blocks)
        ),
        Cost::Steps(steps) => format!(
            "about {}, between {} and {}",
            bytes_each(steps.open.bytes),
            rounded(steps.interval.low.max(0.0)),
            rounded(steps.interval.high)
        ),
        Cost::AtMost { bytes, .. } => format!("at most {}", bytes_each(*bytes)),
        _ => "nothing that is known".to_owned(),
    }
}

/// Connections and their cost in a few words.
pub fn connections_in_short(view: &View) -> String {
    let Some(Connections { live, .. }) = view.connections else {
        return "connections not counted".to_owned();
    };
    let noun = if live == 1 { "connection" } else { "connections" };
    let each = match &view.cost {
        Cost::Steps(steps) if steps.is_certain() => {
            format!(", {} each", bytes_each(steps.open.bytes))
        }
        Cost::Steps(steps) => format!(", about {} each", bytes_each(steps.open.bytes)),
        Cost::AtMost { bytes, .. } => format!(", at most {} each", bytes_each(*bytes)),
        _ => String::new(),
    };
    format!("{} {noun}{each}", exact(live as i64))
}

/// What a domain holds, or all of them, and by how much that has grown since `when`.
pub fn memory(view: &View, since: &View, domain: Option<Domain>, when: &str) -> String {
    let (bytes, blocks) = in_use(view, domain);
    let (then, _) = in_use(since, domain);
    let whose = match domain {
        Some(domain) => domain.word(),
        None => "all",
    };
    format!(
        "{whose}: {} in {} blocks, {} since {when}",
        human(bytes as f64),
        exact(blocks as i64),
        grown(bytes as f64 - then as f64)
    )
}

fn in_use(view: &View, domain: Option<Domain>) -> (u64, u64) {
    let of = |domain: &Domain| {
        let counts = view.in_use(*domain);
        (counts.inuse_bytes, counts.inuse_blocks)
    };
    match domain {
        Some(domain) => of(&domain),
        None => view.totals.keys().map(of).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1)),
    }
}

/// Bytes with a sign: `+1.2 MB`.
pub fn grown(bytes: f64) -> String {
    let sign = if bytes > 0.0 { "+" } else { "" };
    format!("{sign}{}", human(bytes))
}

/// What happens in a second.
pub fn rates(view: &View) -> String {
    let Some(rates) = view.rates else { return String::new() };
    let connections = match rates.connections {
        Some(connections) if connections > 0.0 => {
            format!(", {} connections/s", one_decimal(connections))
        }
        _ => String::new(),
    };
    format!("{} allocations/s, {}/s{connections}", rounded(rates.allocations), human(rates.bytes))
}

/// What the processes have in memory.
pub fn resident(view: &View) -> Option<String> {
    let each = view.processes.iter().map(|process| process.resident_bytes);
    let all: Option<u64> = each.sum();
    all.filter(|_| !view.processes.is_empty()).map(|all| format!("resident {}", human(all as f64)))
}

/// What is missing from the figures; `None` where nothing is.
pub fn missing(view: &View) -> Option<String> {
    let said = losses(&RecorderRecord::new(&view.recorder, view.sampling));
    let lost = !said.starts_with("recorded exactly");
    let said = said.trim_end().replace('\n', " ");
    let problems = view.problems.iter().cloned();
    let all: Vec<String> = lost.then_some(said).into_iter().chain(problems).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A time as `3.2 s` or `4 min 10 s`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{} s", one_decimal(time.as_secs_f64())),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The time of day, as clocks here have it in UTC.
pub fn clock(view: &View) -> String {
    let at = stamp(view);
    at.split('T').nth(1).map_or(at.clone(), |time| format!("{}Z", &time[..time.len().min(8)]))
}

/// As in ISO 8601, to the millisecond.
pub fn stamp(view: &View) -> String {
    let at = jiff::Timestamp::try_from(view.at).unwrap_or_default();
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_units_that_fit() {
        let said = |seconds| time(Duration::from_secs_f64(seconds));
        assert_eq!([said(3.21), said(250.0), said(7_265.0)], ["3.2 s", "4 min 10 s", "2 h 1 min"]);
    }
}
