//! `tlsheap report`: runs, or a comparison, as one HTML page.

mod measured;
mod subject;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use report::html::{Page, Subject};

use crate::commands::compare::COMPARISON;
use crate::commands::compare::figures::{Comparison, Figures};
use crate::commands::report::subject::{Told, subject};
use crate::failure::Failure;
use crate::{output, whole_file};

/// The page in the folder that it tells of.
pub const REPORT: &str = "report.html";

#[derive(Debug, Args)]
pub struct Options {
    /// Run folders or profiles, in the order in which they are to be told, or the folder of a
    /// comparison
    #[arg(value_name = "RUN|COMPARISON", required = true)]
    pub captures: Vec<PathBuf>,
    /// Where to write the page; `-` is standard output. Without it: report.html in the folder, or
    /// here for several captures and for files
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Writes the page, and says where.
pub fn run(options: &Options) -> Result<(), Failure> {
    let page = page_of(&options.captures)?;
    let path = match (&options.output, options.captures.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [folder]) if folder.is_dir() => folder.join(REPORT),
        (None, _) => PathBuf::from(REPORT),
    };
    if path == Path::new("-") {
        return match std::io::stdout().lock().write_all(page.as_bytes()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Err(Failure::BrokenPipe)
            }
            result => Ok(result?),
        };
    }
    whole_file::write(&path, page.as_bytes())?;
    output::print(&path.display().to_string())
}

/// The page of these captures; the same captures give the same bytes.
pub fn page_of(captures: &[PathBuf]) -> Result<String, Failure> {
    let mut told: Vec<Told> = Vec::new();
    for path in captures {
        if path.join(COMPARISON).exists() {
            let comparison = Comparison::read(&path.join(COMPARISON))?;
            for figures in comparison.configurations {
                told.push(open_configuration(path, figures)?);
            }
        } else {
            told.push(Told::open(path, None)?);
        }
    }
    subject::name_apart(&mut told);
    let mut subjects: Vec<Subject> = Vec::new();
    for (at, one) in told.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &told[before]);
        subjects.push(subject(one, before)?);
    }
    let measured = measured::take_common(&mut subjects);
    Ok(report::html::page(&Page { subjects, measured }))
}

/// One configuration of a comparison, which has a run folder of its name.
fn open_configuration(comparison: &Path, figures: Figures) -> Result<Told, Failure> {
    let folder = comparison.join(&figures.name);
    // A name with slashes or dots in it would lead out of the folder.
    if folder.file_name() != Some(figures.name.as_ref()) || folder.parent() != Some(comparison) {
        return Err(Failure::usage(format!(
            "{}: the configuration {:?} names no folder beside it",
            comparison.join(COMPARISON).display(),
            figures.name
        )));
    }
    Told::open(&folder, Some(figures))
}
