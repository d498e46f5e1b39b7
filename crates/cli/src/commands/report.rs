//! `tlsheap report`: runs, or a comparison, as one HTML page.

use std::path::{Path, PathBuf};

use analysis::column::Column;
use capture::{folder, whole_file};
use clap::Args;
use echo_server::Configuration;
use echo_server::configuration::standard_names;
use report::page;

use crate::failure::Failure;
use crate::output;
use crate::view::columns;

#[derive(Debug, Args)]
pub struct Options {
    /// Run folders or profiles, in the order in which they are to be told, or the folder of a
    /// comparison or of `what-if`
    #[arg(value_name = "RUN|COMPARISON", required = true)]
    pub captures: Vec<PathBuf>,
    /// Where to write the page; `-` is standard output. Without it: report.html in the folder, or
    /// here for several captures and for files
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What is shown and compared; without it, in-use, or peak where a program has freed what it
    /// had when it ended
    #[arg(long, value_name = "COLUMN", value_parser = columns())]
    pub column: Option<Column>,
}

/// Writes the page, and says where.
pub fn run(options: &Options) -> Result<(), Failure> {
    let page = page::page(page::read(&options.captures, &summary_of)?, options.column)?;
    let path = match (&options.output, options.captures.as_slice()) {
        (Some(path), _) => path.clone(),
        (None, [folder]) if folder.is_dir() => folder.join(folder::REPORT),
        (None, _) => PathBuf::from(folder::REPORT),
    };
    if path == Path::new("-") {
        return output::print_bytes(page.as_bytes());
    }
    whole_file::write(&path, page.as_bytes())?;
    output::print(&path.display().to_string())
}

/// What a standard configuration is, in a sentence.
pub fn summary_of(name: &str) -> Option<String> {
    let is_standard = standard_names().any(|standard| standard == name);
    let found = is_standard.then(|| Configuration::find(name).ok()).flatten();
    found.map(|configuration| configuration.summary.clone())
}
