//! What the program tells beside its output: lines on standard error, harmless like those.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::ColorChoice;
use profile::harmless::{harmless_lines, is_harmful};
use report::medium::{Colour, Medium, broken};

use crate::{medium, output, progress};

/// Writes text to standard error, with a line end if it has none, behind everything that was said
/// before.
pub fn tell(text: &str) {
    write(&broken(&harmless_lines(text), medium()));
}

/// The same for an answer about what was written to a folder, where names that have no room can be
/// looked up.
pub fn tell_of(text: &str, folder: &Path) {
    write(&output::fitted(text, medium(), &output::top_of(folder)));
}

fn write(text: &str) {
    progress::end();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    anstream::eprint!("{text}{end}");
}

/// What standard error is. Sentences on it have no colours.
pub fn medium() -> Medium {
    let mut medium = medium::of(&io::stderr());
    medium.colour = Colour::Never;
    medium
}

/// Says what is wrong with the command line, or the help that it asks for, and returns the exit
/// code.
pub fn answered(answer: &clap::Error) -> ExitCode {
    let text = answer.to_string();
    if text.contains(|character| character != '\n' && is_harmful(character)) {
        // Without colours: what was given on the command line is quoted.
        tell(&text);
    } else {
        match medium::wished(std::env::args_os().map(|it| it.to_string_lossy().into_owned())) {
            ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
            ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
            ColorChoice::Auto => {}
        }
        // A line with the usage is as long as it has options, and clap breaks none.
        let text = answer.render().ansi().to_string();
        if answer.use_stderr() {
            anstream::eprint!("{}", broken(&text, medium::of(&io::stderr())));
        } else {
            // Where nobody listens, nothing can be done about it.
            let text = broken(&text, output::medium());
            let _ = io::Write::write_all(&mut anstream::stdout(), text.as_bytes());
        }
    }
    ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2))
}
