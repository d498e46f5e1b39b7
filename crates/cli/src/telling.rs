//! What the program tells beside its output: lines on standard error, harmless like those.

use std::process::ExitCode;

use profile::harmless::{harmless_lines, is_harmful};

use crate::progress;

/// Writes text to standard error, with a line end if it has none, behind everything that was said
/// before.
pub fn tell(text: &str) {
    progress::end();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    anstream::eprint!("{}{end}", harmless_lines(text));
}

/// Says what is wrong with the command line, or the help that it asks for, and returns the exit
/// code.
pub fn answered(answer: &clap::Error) -> ExitCode {
    let text = answer.to_string();
    if text.contains(|character| character != '\n' && is_harmful(character)) {
        // Without colours: what was given on the command line is quoted.
        tell(&text);
    } else {
        // Where nobody listens, nothing can be done about it.
        let _ = answer.print();
    }
    ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2))
}
