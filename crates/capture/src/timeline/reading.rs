//! `timeline.csv`, read back.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use analysis::category::{self, OPENSSL_DOMAIN};
use analysis::over_time::Series;
use analysis::timeline::Timeline;
use csv::StringRecord;

use super::table::{CAPTURE, CONNECTIONS, PHASE, RSS, SECONDS, margin_of};
use crate::CaptureError;
use crate::part_of_folder::{MAX_TIMELINE_BYTES, read_text};

/// The time line of a run; `None` when it has none. Columns that are no group of memory are left
/// out.
pub fn read(path: &Path) -> Result<Option<Timeline>, CaptureError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(path, MAX_TIMELINE_BYTES)?;
    let timeline =
        parse(&text).map_err(|why| CaptureError::Timeline { path: path.to_owned(), why })?;
    Ok(Some(timeline))
}

/// The captures of a series, by the names of their files, each with the second at which it was
/// made; none where there is no table, or it is of no series.
pub fn captured(path: &Path) -> Result<BTreeMap<String, f64>, CaptureError> {
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = read_text(path, MAX_TIMELINE_BYTES)?;
    let read = || {
        let rows = Rows::of(&text)?;
        let seconds: Vec<f64> = rows.needed(SECONDS)?;
        let fields = rows.fields(CAPTURE).into_iter().flatten().zip(seconds);
        let named = fields.filter_map(|((_, field), seconds)| {
            Some((Path::new(field).file_name()?.to_str()?.to_owned(), seconds))
        });
        Ok(named.collect())
    };
    read().map_err(|why| CaptureError::Timeline { path: path.to_owned(), why })
}

/// Reads the table's text. What is wrong with it comes back as the end of a sentence.
pub fn parse(text: &str) -> Result<Timeline, String> {
    let rows = Rows::of(text)?;
    let seconds: Vec<f64> = rows.needed(SECONDS)?;
    let openssl_margins = rows.figures(&margin_of(OPENSSL_DOMAIN))?;
    Ok(Timeline {
        connections: rows.connections()?,
        rss: rows.resident()?,
        series: category::over_time()
            .filter_map(|group| rows.series(group.name, openssl_margins.as_ref()).transpose())
            .collect::<Result<_, _>>()?,
        openssl_margins,
        phases: rows.phases(&seconds),
        seconds,
    })
}

/// The table, every field of it still a text.
struct Rows {
    headings: StringRecord,
    /// What is below the headings, with its number in the file.
    lines: Vec<(u64, StringRecord)>,
}

impl Rows {
    fn of(text: &str) -> Result<Rows, String> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let said = |error: csv::Error| error.to_string();
        let headings = reader.headers().map_err(said)?.clone();
        let lines = reader
            .records()
            .map(|record| {
                let record = record.map_err(said)?;
                Ok((record.position().map_or(0, csv::Position::line), record))
            })
            .collect::<Result<_, String>>()?;
        Ok(Rows { headings, lines })
    }

    fn fields(&self, name: &str) -> Option<impl Iterator<Item = (u64, &str)>> {
        let column = self.headings.iter().position(|heading| heading == name)?;
        // The reader has seen to it that all lines have as many fields.
        Some(self.lines.iter().map(move |(line, record)| (*line, &record[column])))
    }

    /// A column of numbers; `None` when there is no such column.
    fn figures<T: FromStr>(&self, name: &str) -> Result<Option<Vec<T>>, String> {
        let number = |(line, text): (u64, &str)| {
            text.parse().map_err(|_| {
                format!("line {line}: expected a number in the column {name}, found {text:?}")
            })
        };
        self.fields(name).map(|fields| fields.map(number).collect()).transpose()
    }

    fn needed<T: FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        self.figures(name)?.ok_or_else(|| format!("has no column {name:?}"))
    }

    /// Resident memory is known in some lines.
    fn resident(&self) -> Result<Vec<Option<u64>>, String> {
        let fields = self.fields(RSS).ok_or_else(|| format!("has no column {RSS:?}"))?;
        let number = |(line, text): (u64, &str)| match text {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                format!("line {line}: expected a number in the column {RSS}, found {text:?}")
            }),
        };
        fields.map(number).collect()
    }

    /// Connections are known in each line or in none.
    fn connections(&self) -> Result<Option<Vec<u64>>, String> {
        let unknown = self.fields(CONNECTIONS).is_some_and(|mut fields| {
            !self.lines.is_empty() && fields.all(|(_, text)| text.is_empty())
        });
        if unknown { Ok(None) } else { self.needed(CONNECTIONS).map(Some) }
    }

    /// A group, if it is there. Either every one has margins and so has OpenSSL, or none has.
    fn series(
        &self,
        group: &str,
        openssl_margins: Option<&Vec<u64>>,
    ) -> Result<Option<Series>, String> {
        let Some(bytes) = self.figures(group)? else { return Ok(None) };
        let [of_group, of_openssl] = [group, OPENSSL_DOMAIN].map(margin_of);
        let margins = self.figures(&of_group)?;
        match (&margins, openssl_margins) {
            (Some(_), None) => {
                Err(format!("has a column {of_group:?}, and no column {of_openssl:?}"))
            }
            (None, Some(_)) => {
                Err(format!("has a column {of_openssl:?}, and no column {of_group:?}"))
            }
            _ => Ok(Some(Series { group: group.to_owned(), bytes, margins })),
        }
    }

    /// When each phase begins.
    fn phases(&self, seconds: &[f64]) -> Vec<(f64, String)> {
        let mut phases: Vec<(f64, String)> = Vec::new();
        for ((_, phase), second) in self.fields(PHASE).into_iter().flatten().zip(seconds) {
            if !phase.is_empty() && phases.last().is_none_or(|(_, last)| last != phase) {
                phases.push((*second, phase.to_owned()));
            }
        }
        phases
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Table};
    use super::*;

    #[test]
    fn groups_are_read_in_their_order_whatever_stands_between() {
        let text = "seconds,phase,connections,rss,x509,tls\n0.0,baseline,0,100,7,5\n\
                    0.25,hold,2,200,8,6\n0.5,hold,2,200,8,6\n";
        let timeline = parse(text).unwrap();
        assert_eq!(timeline.seconds, [0.0, 0.25, 0.5]);
        assert_eq!(timeline.connections, Some(vec![0, 2, 2]));
        assert_eq!(timeline.rss, [100, 200, 200].map(Some));
        assert_eq!(timeline.phases, [(0.0, "baseline".to_owned()), (0.25, "hold".to_owned())]);
        let series = |group: &str, bytes: [u64; 3]| Series {
            group: group.to_owned(),
            bytes: bytes.to_vec(),
            margins: None,
        };
        assert_eq!(timeline.series, [series("tls", [5, 6, 6]), series("x509", [7, 8, 8])]);
        assert_eq!(timeline.openssl_margins, None);
    }

    /// As a sampled recording has it.
    fn estimated() -> Timeline {
        let series = |group: &str, bytes: [u64; 2], margins: [u64; 2]| Series {
            group: group.to_owned(),
            bytes: bytes.to_vec(),
            margins: Some(margins.to_vec()),
        };
        Timeline {
            seconds: vec![0.25, 0.5],
            connections: None,
            rss: vec![Some(900), Some(1_000)],
            series: vec![series("tls", [5, 6], [1, 2]), series("rust", [7, 8], [3, 4])],
            openssl_margins: Some(vec![1, 3]),
            phases: vec![(0.25, "hold".to_owned())],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for connections in [None, Some(vec![3, 4])] {
            let timeline = Timeline { connections, ..estimated() };
            let leading = vec![
                Column::seconds(&timeline),
                Column::phase(["hold"; 2].into_iter()),
                Column::connections(&timeline),
                Column::rss(&timeline),
                Column::of("capture", ["", "heap.pb.gz"].map(str::to_owned).into_iter()),
            ];
            let table = Table { leading, timeline: timeline.clone() };
            let csv = String::from_utf8(table.csv()).unwrap();
            assert_eq!(
                csv.lines().next(),
                Some(
                    "seconds,phase,connections,rss,capture,tls,rust,tls_margin95,rust_margin95,\
                     openssl_margin95"
                )
            );
            assert_eq!(parse(&csv).unwrap(), timeline);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("seconds,rss\n", "has no column \"connections\""),
            (
                "seconds,connections,rss\n0,0,0\n1,x,0\n",
                "line 3: expected a number in the column connections, found \"x\"",
            ),
            (
                "seconds,connections,rss\n0,,0\n1,2,0\n",
                "line 2: expected a number in the column connections, found \"\"",
            ),
            (
                "seconds,connections,rss,tls,tls_margin95,openssl_margin95\n0,0,0,5,-1,2\n",
                "line 2: expected a number in the column tls_margin95, found \"-1\"",
            ),
            (
                "seconds,connections,rss,tls,bio,tls_margin95,openssl_margin95\n0,0,0,5,1,2,2\n",
                "has a column \"openssl_margin95\", and no column \"bio_margin95\"",
            ),
            (
                "seconds,connections,rss,tls,tls_margin95\n0,0,0,5,1\n",
                "has a column \"tls_margin95\", and no column \"openssl_margin95\"",
            ),
            (
                "seconds,connections,rss\n0,0\n",
                "CSV error: record 1 (line: 2, byte: 24): found record with 2 fields, but the \
                 previous record has 3 fields",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
