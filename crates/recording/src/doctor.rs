//! What could be recorded of a program or a process, and how, before anything is started.

mod examined;
mod loader;
mod object;
mod offers;
mod process;

use std::ffi::OsStr;

use crate::RecordingError;
use crate::program_file::{self, ProgramFile};

pub use examined::Examined;
pub use object::Tls;
pub use offers::Offers;
pub(crate) use process::NOT_LOOKED_AT;
pub use process::examine as examine_process;

/// Looks into the program with this name on PATH, or in the file at this path, and into every
/// library that it is loaded with.
pub fn examine_program(program: &OsStr) -> Result<Examined, RecordingError> {
    let program = ProgramFile::of(program)?;
    let obstacle = program_file::obstacle(&program.path);
    let loaded = loader::load(&program.path)?;
    let mut examined = Examined::of_program(&program.path, &loaded, obstacle);
    if let Some(script) = &program.script {
        examined.is_run_by(script);
    }
    Ok(examined)
}
