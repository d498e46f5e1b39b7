//! `tlsheap doctor`: what could be recorded of a program or a process, and how, before anything is
//! started.

mod examined;
mod loader;
mod object;
mod offers;
mod process;

use std::ffi::OsString;
use std::path::Path;

use clap::Args;

use crate::commands::doctor::examined::Examined;
use crate::commands::doctor::offers::Offers;
use crate::failure::Failure;
use crate::output;
use crate::program_file::ProgramFile;

pub use object::Tls;

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
            output::print(&offers.to_string())
        };
    };
    let pid = subject.to_str().and_then(|text| text.parse().ok()).filter(|pid: &u32| *pid > 0);
    let examined = match pid {
        Some(pid) => process::examine(pid)?,
        None => program(&ProgramFile::of(subject)?)?,
    };
    if options.json {
        output::print_json(&examined)?;
    } else {
        output::print(&examined.to_string())?;
    }
    if examined.recordable { Ok(()) } else { Err(Failure::PassedOn(3)) }
}

fn program(program: &ProgramFile) -> Result<Examined, Failure> {
    let obstacle = crate::program_file::obstacle(&program.path);
    let loaded = loader::load(&program.path)?;
    let mut examined = Examined::of_program(&program.path, &loaded, obstacle);
    if let Some(script) = &program.script {
        examined.is_run_by(script);
    }
    Ok(examined)
}

/// The TLS library that the program at `path` is loaded with and that cannot be recorded, if there
/// is one.
pub fn other_library(path: &Path) -> Option<Tls> {
    let objects = loader::load(path).ok()?.objects;
    objects.into_iter().filter_map(|object| object.tls).find(|tls| !tls.recordable)
}
