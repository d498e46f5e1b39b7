//! The table of memory over time, and the picture of it.

use analysis::category::OPENSSL_DOMAIN;
use report::timeline::{Timeline, timeline};

use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::whole_file;

/// Memory over time, and what else its table says of each moment.
pub struct Table {
    /// The columns before those of memory.
    pub leading: Vec<Column>,
    pub timeline: Timeline,
}

/// A column of the table.
pub struct Column {
    name: String,
    /// One for each moment.
    fields: Vec<String>,
}

pub(super) const SECONDS: &str = "seconds";
pub(super) const CONNECTIONS: &str = "connections";
pub(super) const RSS: &str = "rss";
/// Of runs alone.
pub(super) const PHASE: &str = "phase";

/// What the column of a group's margins is called.
pub(super) fn margin_of(group: &str) -> String {
    format!("{group}_margin95")
}

impl Column {
    pub fn of(name: &str, fields: impl Iterator<Item = String>) -> Column {
        Column { name: name.to_owned(), fields: fields.collect() }
    }

    pub fn seconds(timeline: &Timeline) -> Column {
        Column::of(SECONDS, timeline.seconds.iter().map(|seconds| format!("{seconds:.3}")))
    }

    /// Empty fields where they are not known.
    pub fn connections(timeline: &Timeline) -> Column {
        match &timeline.connections {
            Some(open) => Column::figures(CONNECTIONS, open),
            None => Column::of(CONNECTIONS, timeline.seconds.iter().map(|_| String::new())),
        }
    }

    pub fn rss(timeline: &Timeline) -> Column {
        Column::figures(RSS, &timeline.rss)
    }

    pub fn phase(names: impl Iterator<Item = &'static str>) -> Column {
        Column::of(PHASE, names.map(str::to_owned))
    }

    fn figures(name: &str, figures: &[u64]) -> Column {
        Column::of(name, figures.iter().map(u64::to_string))
    }
}

impl Table {
    /// Writes `timeline.csv`, and the picture unless there is too little to draw.
    pub fn write(&self, folder: &NewFolder, title: &str) -> Result<(), Failure> {
        whole_file::write(&folder.file(run_folder::TIMELINE), &self.csv()?)?;
        if self.timeline.seconds.len() >= 2 {
            let svg = timeline(&self.timeline, title)?;
            whole_file::write(&folder.file(run_folder::TIMELINE_PICTURE), svg.as_bytes())?;
        }
        Ok(())
    }

    /// The margins stand behind all figures, so that each of these is in the same column as in an
    /// exact table.
    pub fn csv(&self) -> Result<Vec<u8>, Failure> {
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
        writer.write_record(columns().map(|column| &column.name))?;
        for at in 0..self.timeline.seconds.len() {
            writer.write_record(columns().map(|column| &column.fields[at]))?;
        }
        Ok(writer.into_inner().map_err(|error| anyhow::Error::msg(error.to_string()))?)
    }
}
