//! `tlsheap check`: whether a capture keeps to a budget.

use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::budget::{Budget, Measured, Review, first_budget, review};
use analysis::column::Column;
use analysis::diagnosis::held_at::HeldAt;
use analysis::group::By;
use anyhow::Context;
use capture::json::review::ReviewJson;
use capture::{Capture, Examined, memory_of_others, whole_file};
use clap::Args;
use report::column_note::column_note;
use report::junit::junit;
use report::review::{Reviewed, annotations, markdown, terminal};
use report::wrapping::wrapped;

use crate::failure::Failure;
use crate::output;
use crate::view::columns;

#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 when the capture keeps to the budget, and 1 when it does not. What a budget may \
say, and a workflow for GitHub, is in docs/ci.md.")]
pub struct Options {
    /// A run folder, a profile of any format, or a ledger; `-` is a profile on standard input
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// The budget
    #[arg(long, value_name = "FILE", default_value = "budget.toml")]
    pub budget: PathBuf,
    /// Write a first budget to the file, from what the capture is now
    #[arg(long, conflicts_with_all = ["junit", "github", "json"])]
    pub init: bool,
    /// Compare with this capture instead of the one that the budget names
    #[arg(long, value_name = "CAPTURE")]
    pub baseline: Option<PathBuf>,
    /// Connections open at the capture, where it does not say so itself
    #[arg(long, short = 'n', value_name = "N")]
    pub connections: Option<NonZeroU64>,
    /// Write the result as JUnit's XML too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print GitHub's annotations too, and add a table to the step's summary (the file that
    /// GITHUB_STEP_SUMMARY names, if it does)
    #[arg(long)]
    pub github: bool,
    /// What is held against the budget; without it, in-use, or peak where the program has freed
    /// what it had when it ended
    #[arg(long, value_name = "COLUMN", value_parser = columns())]
    pub column: Option<Column>,
    /// Print the result as JSON (docs/json.md)
    #[arg(long, conflicts_with = "github")]
    pub json: bool,
}

/// Reviews, or writes a first budget.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.init {
        return init(options);
    }
    let file = options.budget.display().to_string();
    let text = read_budget(&options.budget).with_context(|| {
        format!("cannot read the budget {file}: `tlsheap check --init RUN` writes a first one")
    })?;
    if text.len() as u64 > MAX_BUDGET_BYTES {
        let sentence = format!("{file} is no budget: it has more than {MAX_BUDGET_BYTES} bytes");
        return Err(Failure::usage(sentence));
    }
    let budget = Budget::parse(&text, &file)?;
    let capture = open(&options.capture, options.connections)?;
    let baseline = match baseline_path(options, &budget) {
        Some(path) => Some(open(&path, options.connections)?),
        None => None,
    };
    let captures: Vec<&Capture> = [&capture].into_iter().chain(&baseline).collect();
    let column = Capture::common_column(&captures, options.column)?;
    let subject = Subject::of(&capture, column)?;
    let baseline = match &baseline {
        Some(baseline) => Some(Subject::of(baseline, column)?.measured),
        None => None,
    };
    let review =
        review(&budget, &subject.measured, baseline.as_ref(), &subject.examined.diagnosis)?;
    let note = column_note(&captures, column, options.column);
    tell(options, &review, &subject.measured, note.as_deref())?;
    if review.passes() { Ok(()) } else { Err(Failure::Breach) }
}

/// The largest budget that is read, in bytes.
const MAX_BUDGET_BYTES: u64 = 4 << 20;

/// The text of a budget, or of as much as tells that it is none.
fn read_budget(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BUDGET_BYTES + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Says what came of it in every form that is asked for.
fn tell(
    options: &Options,
    review: &Review,
    measured: &Measured,
    note: Option<&str>,
) -> Result<(), Failure> {
    let file = options.budget.display().to_string();
    let reviewed = Reviewed { capture: &measured.name, budget: &file, column: measured.column };
    if let Some(path) = &options.junit {
        let report = junit(review, &reviewed).context("cannot write the JUnit report")?;
        whole_file::write(path, &report)?;
    }
    if options.json {
        return output::print_json(&ReviewJson::new(review, &reviewed));
    }
    let mut text =
        note.map_or_else(String::new, |note| wrapped(note, 0, output::medium()) + "\n\n");
    text += &terminal(review, &reviewed, output::medium());
    output::print(&text)?;
    if options.github {
        output::print_whole(&annotations(review, &reviewed))?;
        add_to_summary(&markdown(review, &reviewed))?;
    }
    Ok(())
}

/// GitHub names a file for each step; elsewhere there is none.
fn add_to_summary(text: &str) -> Result<(), Failure> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let cannot = || format!("cannot add to the step's summary {}", Path::new(&path).display());
    let file = File::options().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(cannot)?;
    Ok(())
}

/// A baseline on the command line, or the budget's, whose path begins in the budget's folder.
fn baseline_path(options: &Options, budget: &Budget) -> Option<PathBuf> {
    let of_budget = || {
        let folder = options.budget.parent().unwrap_or(Path::new(""));
        budget.baseline.as_ref().map(|path| folder.join(path))
    };
    options.baseline.clone().or_else(of_budget)
}

/// Writes a first budget, where there is none yet.
fn init(options: &Options) -> Result<(), Failure> {
    let path = &options.budget;
    if path.exists() {
        return Err(Failure::usage(format!(
            "{} is there already: name another file with --budget, or remove it",
            path.display()
        )));
    }
    let capture = open(&options.capture, options.connections)?;
    let subject = Subject::of(&capture, capture.chosen_column(options.column)?)?;
    let column = options.column.map_or_else(String::new, |it| format!(" --column {}", it.word()));
    let command = format!("tlsheap check --init {}{column}", subject.examined.name);
    let text = first_budget(&subject.measured, &subject.examined.diagnosis, &command)?;
    whole_file::write(path, text.as_bytes())?;
    output::print(&format!(
        "{} is written; hold it with: tlsheap check RUN --budget {}",
        path.display(),
        path.display()
    ))
}

/// Reads what is to be held against a budget, whose rows and objects have to be exact.
fn open(path: &Path, connections: Option<NonZeroU64>) -> Result<Capture, Failure> {
    let capture = Capture::open(path)?.or_connections(connections);
    capture.counted_exactly("a budget")?;
    Ok(capture)
}

/// A capture, measured and looked through.
struct Subject {
    measured: Measured,
    examined: Examined,
}

impl Subject {
    fn of(capture: &Capture, column: Column) -> Result<Subject, Failure> {
        let examined = match column {
            _ if column == capture.usual_column() => Examined::of(capture)?,
            Column::Peak => Examined::at(capture, HeldAt::Peak)?,
            Column::InUse | Column::Allocated => Examined::at(capture, HeldAt::Capture)?,
        };
        let measured = Measured {
            name: capture.name.clone(),
            column,
            rows: capture.rows(By::Site, column),
            grown: match column {
                // What there was before the first connection may have been gone by then.
                Column::Peak => capture.rows(By::Site, column),
                Column::InUse | Column::Allocated => capture.grown_rows(By::Site, column),
            },
            connections: match column {
                Column::Allocated => capture.connections_of(column),
                Column::InUse | Column::Peak => examined.case.connections,
            },
            objects: Some(examined.case.objects.clone()),
            others: examined.recording.as_ref().map(memory_of_others).unwrap_or_default(),
        };
        Ok(Subject { measured, examined })
    }
}
