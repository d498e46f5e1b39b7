//! `tlsheap compare`: the same load on each configuration, in fresh processes.

mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use capture::folder::{self, COMPARISON, NewFolder, REPORT};
use capture::records::comparison::Comparison;
use capture::whole_file;
use clap::{Args, ValueEnum};
use echo_server::Configuration;
use echo_server::configuration::{staircase, standard_names};
use report::folder::{draw_step, write};
use report::page::{self, Told};
use report::wrapping::wrapped;
use trial::compare::{self, Compared};
use trial::scale;

use crate::commands::report::summary_of;
use crate::failure::Failure;
use crate::output;
use crate::trials::{Bar, Workload, front_end, helper};
use crate::values::connections;

#[derive(Debug, Args)]
pub struct Options {
    /// Standard configurations, or paths of TOML files; without any, the staircase of 2011
    #[arg(value_name = "CONFIG")]
    pub configurations: Vec<String>,
    /// Every standard configuration
    #[arg(long, conflicts_with = "configurations")]
    pub all: bool,
    /// Measure nothing: print the figures of a comparison made before
    #[arg(long, value_name = "DIR", conflicts_with_all = ["configurations", "all", "out"])]
    pub show: Option<PathBuf>,
    #[command(flatten)]
    pub workload: Workload,
    /// Measure at these numbers of connections too, and fit a line: bytes = fixed + slope × N
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = connections)]
    pub scale: Vec<usize>,
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How to print the figures
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Print the figures as JSON (docs/json.md)
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for the terminal
    Table,
    /// JSON, as in docs/json.md
    Json,
    /// Comma-separated values
    Csv,
    /// A Markdown table
    Markdown,
}

/// Measures, writes the folder, and prints the figures.
pub fn run(options: &Options) -> Result<(), Failure> {
    if let Some(folder) = &options.show {
        let comparison = Comparison::read(&folder.join(COMPARISON))?;
        return print(options, &comparison, folder);
    }
    let configurations = configurations(options)?;
    compare::check(&configurations)?;
    scale::check(&options.scale)?;
    let path = options.out.clone().unwrap_or_else(|| folder::default_path("compare"));
    let mut folder = NewFolder::prepare(&path)?;
    let (helper, bar) = (helper()?, Bar::of_steps());
    let compared = trial::compare(
        &configurations,
        &(&options.workload).into(),
        &options.scale,
        &front_end(&helper, &bar),
        folder.path(),
    );
    bar.finish();
    let compared = compared?;
    write_all(&compared, folder.path())?;
    let path = folder.finish()?;
    print(options, &compared.comparison, &path)
}

/// The folder: a run folder for each configuration, a picture of each step, the figures, the page.
fn write_all(compared: &Compared, path: &Path) -> Result<(), Failure> {
    let Compared { comparison, captures, .. } = compared;
    for capture in captures {
        let run = path.join(&capture.name);
        fs::create_dir(&run).with_context(|| format!("cannot make {}", run.display()))?;
        write(capture, &run)?;
    }
    for pair in captures.windows(2) {
        draw_step(&pair[0], &pair[1], path)?;
    }
    whole_file::write_json(&path.join(COMPARISON), comparison)?;
    let told = captures
        .iter()
        .zip(&comparison.configurations)
        .map(|(capture, figures)| Told::new(capture.clone(), Some(figures.clone()), &summary_of))
        .collect::<Result<_, _>>()?;
    // As `tlsheap report` makes it of the finished folder, byte for byte.
    let page = page::page(told, None)?;
    Ok(whole_file::write(&path.join(REPORT), page.as_bytes())?)
}

/// Configurations that were named, or the staircase.
fn configurations(options: &Options) -> Result<Vec<Configuration>, Failure> {
    let named: Vec<String> = match (options.all, options.configurations.as_slice()) {
        (true, _) => standard_names().map(str::to_owned).collect(),
        (false, []) => staircase().map(str::to_owned).collect(),
        (false, names) => names.to_vec(),
    };
    let found = named.iter().map(|given| Configuration::find(given));
    Ok(found.collect::<Result<_, _>>()?)
}

fn print(options: &Options, comparison: &Comparison, path: &Path) -> Result<(), Failure> {
    match if options.json { Format::Json } else { options.format } {
        Format::Json => output::print_json(comparison),
        Format::Csv => output::print_whole(&table::csv(comparison)),
        Format::Markdown => output::print_whole(&table::markdown(comparison)),
        Format::Table => {
            let mut text = table::terminal(comparison, output::medium());
            let files = format!(
                "in {}: {REPORT} (open it in a browser), {COMPARISON}, a run folder for each \
                 configuration, a differential flamegraph for each step",
                path.display()
            );
            text += &format!("\n{}\n", wrapped(&files, 0, output::medium()));
            output::print(&text)
        }
    }
}
