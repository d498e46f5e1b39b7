//! What the program tells beside its output: lines on standard error, harmless like those.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ColorChoice, CommandFactory};
use profile::harmless::{harmless_lines, is_harmful};
use report::medium::{Colour, Medium, broken};

use crate::arguments::Arguments;
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

/// Letters that may be wrong or in the wrong order in an option that was meant.
const MOST_WRONG: usize = 2;

/// Names the option that was meant, where the parser has found none that is like it: `--for` for
/// `--fro`.
fn suggest(answer: &mut clap::Error) {
    let Some(ContextValue::String(given)) = answer.get(ContextKind::InvalidArg) else { return };
    let is_unknown = answer.kind() == ErrorKind::UnknownArgument;
    if !is_unknown || answer.get(ContextKind::SuggestedArg).is_some() || !given.starts_with("--") {
        return;
    }
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let mut arguments = Arguments::command();
    arguments.build();
    let Some(command) = words.find_map(|word| arguments.find_subcommand(&word)) else { return };
    let options = command.get_arguments().filter_map(clap::Arg::get_long);
    let distances = options.map(|option| {
        let option = format!("--{option}");
        (strsim::osa_distance(given, &option), option)
    });
    let Some((wrong, nearest)) = distances.min() else { return };
    if wrong <= MOST_WRONG && wrong < nearest.len() - "--".len() {
        answer.remove(ContextKind::Suggested);
        answer.insert(ContextKind::SuggestedArg, ContextValue::String(nearest));
    }
}

/// Says what is wrong with the command line, or the help that it asks for, and returns the exit
/// code.
pub fn answered(mut answer: clap::Error) -> ExitCode {
    suggest(&mut answer);
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
