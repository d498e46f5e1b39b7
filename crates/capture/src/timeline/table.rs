//! The table of memory over time.

use analysis::category::{self, OPENSSL_DOMAIN};
use analysis::timeline::Timeline;

/// Memory over time, and what else its table says of each moment.
#[derive(Clone, Debug)]
pub struct Table {
    /// The columns before those of memory.
    pub leading: Vec<Column>,
    /// Memory, and what is drawn of it.
    pub timeline: Timeline,
}

/// A column of the table.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    /// One for each moment.
    fields: Vec<String>,
}

pub(super) const SECONDS: &str = "seconds";
pub(super) const CONNECTIONS: &str = "connections";
pub(super) const RSS: &str = "rss";
/// Of recordings with a series: the file of the moment's capture.
pub(super) const CAPTURE: &str = "capture";
/// Of runs alone.
pub(super) const PHASE: &str = "phase";

/// What the column of a group's margins is called.
pub(super) fn margin_of(group: &str) -> String {
    format!("{group}_margin95")
}

impl Column {
    /// A column with a field for each moment.
    pub fn of(name: &str, fields: impl Iterator<Item = String>) -> Column {
        Column { name: name.to_owned(), fields: fields.collect() }
    }

    /// Seconds since the start, in thousandths.
    pub fn seconds(timeline: &Timeline) -> Column {
        Column::of(SECONDS, timeline.seconds.iter().map(|seconds| format!("{seconds:.3}")))
    }

    /// Connections that were open; empty fields where they are not known.
    pub fn connections(timeline: &Timeline) -> Column {
        match &timeline.connections {
            Some(open) => Column::figures(CONNECTIONS, open),
            None => Column::of(CONNECTIONS, timeline.seconds.iter().map(|_| String::new())),
        }
    }

    /// Resident memory, in bytes; empty fields where it is not known.
    pub fn rss(timeline: &Timeline) -> Column {
        let field = |rss: &Option<u64>| rss.map_or_else(String::new, |rss| rss.to_string());
        Column::of(RSS, timeline.rss.iter().map(field))
    }

    /// What was going on.
    pub fn phase(names: impl Iterator<Item = &'static str>) -> Column {
        Column::of(PHASE, names.map(str::to_owned))
    }

    fn figures(name: &str, figures: &[u64]) -> Column {
        Column::of(name, figures.iter().map(u64::to_string))
    }
}

impl Table {
    /// Memory over time as whoever reads the file gets it: the groups in the order of their table.
    pub fn as_read(&self) -> Timeline {
        let series = category::over_time().filter_map(|group| {
            self.timeline.series.iter().find(|series| series.group == group.name).cloned()
        });
        Timeline { series: series.collect(), ..self.timeline.clone() }
    }

    /// The file's text.
    ///
    /// The margins stand behind all figures, so that each of these is in the same column as in an
    /// exact table.
    pub fn csv(&self) -> Vec<u8> {
        let Timeline { series, openssl_margins, .. } = &self.timeline;
        let memory = series.iter().map(|one| Column::figures(&one.group, &one.bytes));
        let margins =
            series.iter().filter_map(|one| Some((one.group.as_str(), one.margins.as_ref()?)));
        let of_openssl = openssl_margins.iter().map(|all| (OPENSSL_DOMAIN, all));
        let margins = margins
            .chain(of_openssl)
            .map(|(group, margins)| Column::figures(&margin_of(group), margins));
        let behind: Vec<Column> = memory.chain(margins).collect();
        let columns = || self.leading.iter().chain(&behind);

        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut write = |record: Vec<&str>| {
            writer.write_record(record).expect("memory takes records of equal length");
        };
        write(columns().map(|column| column.name.as_str()).collect());
        for at in 0..self.timeline.seconds.len() {
            write(columns().map(|column| column.fields[at].as_str()).collect());
        }
        writer.into_inner().expect("memory takes what is left")
    }
}
