//! `tlsheap record`: a program that nobody rebuilt, with the recorder preloaded into it and into
//! everything that it starts.

mod coverage;
pub mod library;
mod processes;
mod program;
mod writing;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::arguments::duration;
use crate::commands::record::program::Ended;
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};

/// Ledgers of the recorded processes, in the folder while it is being filled.
const LEDGERS: &str = "ledgers";

#[derive(Debug, Args)]
#[command(after_help = "\
The program's own input, output and exit code are left alone; what tlsheap has to say comes on \
standard error after the program has ended. The exit code is the program's (128 + N after signal \
N; 0 when --for ended it), or 3 when no OpenSSL in it could be recorded.")]
pub struct Options {
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Capture after this time, then end the program with SIGTERM; without it, the capture is made
    /// at Ctrl-C or SIGTERM, or else when the program has ended
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "PROGRAM"
    )]
    pub command: Vec<OsString>,
}

/// Records, writes the folder, and says what came of it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let path = match &options.out {
        Some(path) => path.clone(),
        None => run_folder::default_path(&name_of(&options.command[0])),
    };
    let library = library::find()?;
    let folder = NewFolder::prepare(&path)?;
    let ledgers = processes::make_folder(&folder.file(LEDGERS))?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(program::run(options, &library, &ledgers))?;

    let at_end = processes::read(&ledgers)?;
    if !coverage::anything_recorded(&at_end) {
        let why = coverage::why_nothing(&at_end, ended.pid, &options.command[0]);
        return Err(Failure::program(format!(
            "nothing was recorded: {why} (the program {})",
            ended.in_words()
        )));
    }
    let recording = writing::write(options, &ended, &at_end, &folder)?;
    folder.finish()?;
    anstream::eprint!("{}", writing::answer(&recording, &at_end, &path));
    pass_on(&ended)
}

fn pass_on(ended: &Ended) -> Result<(), Failure> {
    match ended.exit_code() {
        0 => Ok(()),
        code => Err(Failure::PassedOn(code)),
    }
}

/// The program's name without its folder, for names of folders.
fn name_of(program: &OsString) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-")
}
