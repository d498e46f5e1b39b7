//! `tlsheap what-if`: the same load on a program as it is, and once more with each fix applied:
//! what each really saves, and what it costs.

mod fix;
mod table;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use capture::folder::{self, NewFolder, WHAT_IF};
use capture::whole_file;
use clap::Args;
use contract::Fix;
use echo_server::Configuration;
use report::folder::{draw_step, write};
use report::wrapping::wrapped;
use trial::what_if::{self, LoadOn, Program, Tested};

use crate::commands::load::Spoken;
use crate::failure::Failure;
use crate::output;
use crate::trials::{Bar, Workload, front_end, helper};
use crate::values::duration;

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
    #[arg(long, value_name = "NAME", default_value = "tls", hide_possible_values = true)]
    pub protocol: Spoken,
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
    let path = options.out.clone().unwrap_or_else(|| folder::default_path("what-if"));
    // Before the folder is made: it may not exist.
    let of_server = options.command.is_empty();
    let configuration = of_server.then(|| Configuration::find(&options.config)).transpose()?;
    let mut folder = NewFolder::prepare(&path)?;
    let (helper, bar) = (helper()?, Bar::of_steps());
    let (fixes, workload) = (options.wanted(), (&options.workload).into());
    let front_end = front_end(&helper, &bar);
    let tested = match &configuration {
        Some(configuration) => {
            what_if::of_server(configuration, &fixes, &workload, &front_end, folder.path())
        }
        None => {
            what_if::of_program(&options.program(), &fixes, &workload, &front_end, folder.path())
        }
    };
    bar.finish();
    let tested = tested?;
    write_all(&tested, folder.path())?;
    folder.finish()?;
    if options.json {
        return output::print_json(&tested.what_if);
    }
    let mut text = table::terminal(&tested.what_if, output::medium());
    let said = format!(
        "in {}: {WHAT_IF}, a run folder for each, a differential flamegraph for each fix",
        path.display()
    );
    text += &format!("\n{}\n", wrapped(&said, 0, output::medium()));
    output::print(&text)
}

impl Options {
    fn program(&self) -> Program {
        let mut program = Program::of(self.command.clone());
        program.patience = self.patience;
        program.load = match (self.port, &self.load) {
            (Some(port), _) => {
                Some(LoadOn::Port { port, conversation: self.protocol.conversation() })
            }
            (None, Some(load)) => Some(LoadOn::Command(load.clone())),
            (None, None) => None,
        };
        program
    }
}

/// The folder: a run folder for each capture, a picture for each fix that was applied, the
/// configurations, the figures.
fn write_all(tested: &Tested, path: &Path) -> Result<(), Failure> {
    let Tested { what_if: figures, captures, configurations, .. } = tested;
    for capture in captures {
        let run = path.join(&capture.name);
        fs::create_dir(&run).with_context(|| format!("cannot make {}", run.display()))?;
        write(capture, &run)?;
    }
    for configuration in configurations {
        let file = path.join(format!("{}.toml", configuration.name));
        whole_file::write(&file, configuration.to_toml().as_bytes())?;
    }
    for tried in figures.fixes.iter().filter(|tried| tried.flamegraph.is_some()) {
        if let Some(capture) = captures.iter().find(|capture| capture.name == tried.name) {
            draw_step(&captures[0], capture, path)?;
        }
    }
    Ok(whole_file::write_json(&path.join(WHAT_IF), figures)?)
}
