//! `timeline.csv`, read back.

use std::path::Path;

use analysis::category;
use anyhow::Context;
use report::timeline::{Series, Timeline};

use crate::failure::Failure;

/// The time line of a run; `None` when it has none. Columns that are no group of memory are left
/// out.
pub fn read(path: &Path) -> Result<Option<Timeline>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(parse(&text).with_context(|| path.display().to_string())?))
}

fn parse(text: &str) -> anyhow::Result<Timeline> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headings = reader.headers()?.clone();
    let place = |name: &str| headings.iter().position(|heading| heading == name);
    let needed = |name: &str| place(name).with_context(|| format!("has no column {name:?}"));
    let (seconds, connections, rss) = (needed("seconds")?, needed("connections")?, needed("rss")?);
    let groups: Vec<(usize, &str)> =
        category::groups().filter_map(|group| Some((place(group.name)?, group.name))).collect();
    let series = groups
        .iter()
        .map(|(_, group)| Series { group: (*group).to_owned(), bytes: Vec::new() })
        .collect();
    let mut timeline = Timeline { series, ..Timeline::default() };
    let phase = place("phase");
    for (at, record) in reader.records().enumerate() {
        let record = record?;
        let line = at + 2;
        let second = number(&record, seconds, "seconds", line)?;
        timeline.seconds.push(second);
        let phase = phase.and_then(|column| record.get(column)).unwrap_or_default();
        if !phase.is_empty() && timeline.phases.last().is_none_or(|(_, last)| last != phase) {
            timeline.phases.push((second, phase.to_owned()));
        }
        timeline.connections.push(number(&record, connections, "connections", line)?);
        timeline.rss.push(number(&record, rss, "rss", line)?);
        for ((column, group), series) in groups.iter().zip(&mut timeline.series) {
            series.bytes.push(number(&record, *column, group, line)?);
        }
    }
    Ok(timeline)
}

fn number<T: std::str::FromStr>(
    record: &csv::StringRecord,
    column: usize,
    name: &str,
    line: usize,
) -> anyhow::Result<T> {
    let text = record.get(column).unwrap_or_default();
    text.parse().ok().with_context(|| {
        format!("line {line}: expected a number in the column {name}, found {text:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_in_their_order_whatever_stands_between() {
        let text = "seconds,phase,connections,rss,x509,tls\n0.0,baseline,0,100,7,5\n\
                    0.25,hold,2,200,8,6\n0.5,hold,2,200,8,6\n";
        let timeline = parse(text).unwrap();
        assert_eq!(timeline.seconds, [0.0, 0.25, 0.5]);
        assert_eq!(timeline.connections, [0, 2, 2]);
        assert_eq!(timeline.rss, [100, 200, 200]);
        assert_eq!(timeline.phases, [(0.0, "baseline".to_owned()), (0.25, "hold".to_owned())]);
        let series: Vec<_> =
            timeline.series.iter().map(|s| (s.group.as_str(), s.bytes.as_slice())).collect();
        assert_eq!(series, [("tls", &[5, 6, 6][..]), ("x509", &[7, 8, 8])]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let said = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert_eq!(said("seconds,rss\n"), "has no column \"connections\"");
        assert_eq!(
            said("seconds,connections,rss\n0,0,0\n1,x,0\n"),
            "line 3: expected a number in the column connections, found \"x\""
        );
    }
}
