//! `tlsheap what-if`: the same load on a program as it is, and once more with each fix applied:
//! what each really saves, and what it costs.

pub mod fix;
mod glance;
mod listening;
mod outcome;
mod process;
mod program;
mod rates;
mod reached;
mod recording;
mod server;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::arguments::duration;
use crate::commands::what_if::fix::Fix;
use crate::failure::Failure;
use crate::workload::Workload;
use crate::{output, run_folder};

/// The figures of all fixes, in the folder.
pub const WHAT_IF: &str = "what-if.json";

/// The run without any fix.
pub const AS_IT_IS: &str = "as-it-is";

#[derive(Debug, Args)]
#[command(after_help = "\
Without a program, the reference server is measured: each fix is one change to the configuration's \
keys, in a fresh server. With one, each fix is applied from outside, by the library that `tlsheap \
record` preloads: to each connection that is made through a shared OpenSSL, and to each SSL_CTX of \
an OpenSSL 3.0 or newer that is linked into the program or into one of its libraries. A fix that \
does not apply is listed with the reason.")]
pub struct Options {
    /// A standard configuration (see `tlsheap configs`), or the path of a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "node-0.4")]
    pub config: String,
    /// Try this fix; may be given several times. Without it, every one
    #[arg(long = "try", value_name = "FIX", value_parser = fix::value_parser())]
    pub fixes: Vec<Fix>,
    #[command(flatten)]
    pub workload: Workload,
    /// The port on which the program listens: `tlsheap load` is put on it
    #[arg(long, value_name = "PORT", requires = "command")]
    pub port: Option<u16>,
    /// What `tlsheap load` says on each connection (see its --protocol)
    #[arg(long, value_name = "NAME", default_value = "tls")]
    pub protocol: String,
    /// A load of your own in the place of `tlsheap load`: a shell command that is started with the
    /// program, and keeps so many connections open until it is ended
    #[arg(long, value_name = "COMMAND", requires = "command", conflicts_with = "port")]
    pub load: Option<String>,
    /// How long the connections may take to come to rest in a program
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub patience: Duration,
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the figures as JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
    /// A program and its arguments, in the place of the reference server
    #[arg(last = true, value_name = "PROGRAM", conflicts_with = "config")]
    pub command: Vec<OsString>,
}

impl Options {
    /// The fixes to try.
    fn wanted(&self) -> Vec<Fix> {
        if self.fixes.is_empty() { Fix::ALL.to_vec() } else { self.fixes.clone() }
    }
}

/// Measures, writes the folder, and prints the figures.
pub fn run(options: &Options) -> Result<(), Failure> {
    let path = options.out.clone().unwrap_or_else(|| run_folder::default_path("what-if"));
    let outcome = if options.command.is_empty() {
        server::measure(options, &path)?
    } else {
        program::measure(options, &path)?
    };
    if options.json {
        return output::print_json(&outcome);
    }
    let mut text = table::terminal(&outcome, output::colour());
    text += &format!(
        "\nin {}: {WHAT_IF}, a run folder for each, a differential flamegraph for each fix\n",
        path.display()
    );
    output::print(&text)
}
