//! `tlsheap doctor`: what could be recorded of a program or a process, and how, before anything is
//! started.

mod words;

use std::ffi::OsString;

use clap::Args;
use recording::doctor::{Offers, examine_process, examine_program};

use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 when an OpenSSL was found that can be recorded, and 3 when none was.")]
pub struct Options {
    /// A program, by its name on PATH or the path of its file; or the id of a process. Without it,
    /// what this machine offers for recording
    #[arg(value_name = "PROGRAM|PID")]
    pub subject: Option<OsString>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Looks, and says what it found.
pub fn run(options: &Options) -> Result<(), Failure> {
    let Some(subject) = &options.subject else {
        let offers = Offers::of_this_machine();
        return if options.json {
            output::print_json(&offers)
        } else {
            output::print(&words::offers(&offers, output::medium()))
        };
    };
    let pid = subject.to_str().and_then(|text| text.parse().ok()).filter(|pid: &u32| *pid > 0);
    let examined = match pid {
        Some(pid) => examine_process(pid)?,
        None => examine_program(subject)?,
    };
    if options.json {
        output::print_json(&examined)?;
    } else {
        output::print(&words::examined(&examined, output::medium()))?;
    }
    if examined.recordable { Ok(()) } else { Err(Failure::PassedOn(3)) }
}
