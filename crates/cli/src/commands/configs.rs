//! `tlsheap configs`: what the reference server can be.

use clap::Args;
use echo_server::Configuration;
use echo_server::configuration::{staircase, standard_names, standard_text};
use serde::Serialize;

use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub struct Options {
    /// Print the TOML file of one configuration, as a start for your own
    #[arg(long, value_name = "NAME")]
    pub show: Option<String>,
    /// Print the list as JSON
    #[arg(long, conflicts_with = "show")]
    pub json: bool,
}

#[derive(Serialize)]
struct List {
    schema: u32,
    configurations: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    summary: String,
    /// Part of the default `compare`: each of these is the one before it with one change.
    staircase: bool,
}

/// Lists the standard configurations, or prints one.
pub fn run(options: &Options) -> Result<(), Failure> {
    if let Some(name) = &options.show {
        return output::print_whole(standard_text(name)?);
    }
    let configurations = standard_names()
        .map(|name| {
            let summary = Configuration::standard(name)?.summary;
            Ok(Entry { name, summary, staircase: staircase().any(|step| step == name) })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    if options.json {
        return output::print_json(&List { schema: 1, configurations });
    }
    let width = configurations.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let lines: Vec<String> = configurations
        .iter()
        .map(|entry| format!("{:width$}  {}", entry.name, entry.summary))
        .collect();
    output::print(&lines.join("\n"))
}
