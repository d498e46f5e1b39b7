//! The page of captures: what [`crate::html`] shows, gathered from what captures know.

mod choices;
pub mod live;
mod measured;
mod sizes;
mod stays;
mod subject;
mod tried;

use std::path::{Path, PathBuf};

use analysis::column::Column;
use capture::records::comparison::{Comparison, Figures};
use capture::records::what_if::WhatIf;
use capture::{Capture, CaptureError, folder};

use crate::column_note::column_note;
use crate::html::{self, Page, Subject};

pub use subject::Told;

/// Reads the captures of a page: run folders, profiles and ledgers; in the place of a comparison's
/// folder, the run of each of its configurations, and in that of `what-if`'s the run without fixes. `summaries` knows what standard configurations
/// are, by their names.
pub fn read(
    paths: &[PathBuf],
    summaries: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Told>, CaptureError> {
    let mut told = Vec::new();
    for path in paths {
        let fixes = path.join(folder::WHAT_IF);
        if fixes.exists() {
            let run = Capture::open_whole(&path.join(folder::AS_IT_IS))?;
            let fixes = WhatIf::read(&fixes)?;
            told.push(Told::new(run, None, summaries)?.with_fixes(fixes));
            continue;
        }
        let comparison = path.join(folder::COMPARISON);
        if !comparison.exists() {
            told.push(Told::new(Capture::open_whole(path)?, None, summaries)?);
            continue;
        }
        for figures in Comparison::read(&comparison)?.configurations {
            let run = run_of(path, &figures)?;
            told.push(Told::new(Capture::open_whole(&run)?, Some(figures), summaries)?);
        }
    }
    Ok(told)
}

/// The page of these captures, in this order; the same captures give the same bytes. Without a
/// choice it shows what is in use, or the peaks where a program has given that back.
pub fn page(mut told: Vec<Told>, chosen: Option<Column>) -> Result<String, CaptureError> {
    let shown = Shown::of(&told, chosen)?;
    subject::name_apart(&mut told);
    let mut subjects: Vec<Subject> = Vec::new();
    for (at, one) in told.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &told[before]);
        subjects.push(subject::subject(one, before, &shown)?);
    }
    let measured = measured::take_common(&mut subjects);
    Ok(html::page(&Page { subjects, measured }))
}

/// Which figures a page shows, and why.
struct Shown {
    column: Column,
    /// As [`Subject::moment`].
    moment: String,
    /// What the figures of one capture's stacks may take of the page.
    choices_bytes: usize,
}

impl Shown {
    fn of(told: &[Told], chosen: Option<Column>) -> Result<Shown, CaptureError> {
        let captures: Vec<&Capture> = told.iter().map(|one| &one.capture).collect();
        let column = Capture::common_column(&captures, chosen)?;
        let choices_bytes = choices::MOST_BYTES / told.len().max(1);
        // The rest of the process may hold much when what the figures are of is gone.
        let nothing_left = || told.iter().all(Told::gave_everything_back);
        if chosen.is_none() && column == Column::InUse && !told.is_empty() && nothing_left() {
            let moment = "at the peak: all of it has been given back; --column in-use for the \
                          capture's own moment";
            return Ok(Shown { column: Column::Peak, moment: moment.to_owned(), choices_bytes });
        }
        let moment = column_note(&captures, column, chosen).unwrap_or_default();
        Ok(Shown { column, moment, choices_bytes })
    }
}

/// The run folder of a comparison's configuration, which has its name.
fn run_of(comparison: &Path, figures: &Figures) -> Result<PathBuf, CaptureError> {
    let folder = comparison.join(&figures.name);
    // A name with slashes or dots in it would lead out of the folder.
    if folder.file_name() != Some(figures.name.as_ref()) || folder.parent() != Some(comparison) {
        return Err(CaptureError::NoFolderBeside {
            path: comparison.join(folder::COMPARISON),
            name: figures.name.clone(),
        });
    }
    Ok(folder)
}
