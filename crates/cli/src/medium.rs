//! What the streams of this process are: how wide, whether with colours, and what the options that
//! every command has say of it.

use std::env::var_os;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use clap::{Args, ColorChoice, ValueEnum};
use report::medium::{Colour, Medium, Names};
use terminal_size::{Width, terminal_size_of};

/// Options of every command, about what it prints.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "What is printed")]
pub struct Wishes {
    /// Leave names whole that are cut to the terminal's width without it; in a file or pipe they
    /// are whole in any case
    #[arg(long, global = true, display_order = 900)]
    pub full: bool,
    /// Colours: auto (on a terminal that knows them, unless NO_COLOR is set), always, or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        display_order = 901,
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: When,
}

/// When something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Where it is wanted
    #[default]
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

static WISHES: OnceLock<Wishes> = OnceLock::new();

/// Heeds the options, before anything is printed.
pub fn heed(wishes: Wishes) {
    match wishes.color {
        When::Auto => {}
        When::Always => anstream::ColorChoice::Always.write_global(),
        When::Never => anstream::ColorChoice::Never.write_global(),
    }
    // It is called once.
    let _ = WISHES.set(wishes);
}

/// What this stream is.
pub fn of(stream: &(impl AsFd + IsTerminal)) -> Medium {
    let wishes = WISHES.get().copied().unwrap_or_default();
    let mut medium = Medium::PLAIN;
    medium.columns = columns(stream);
    medium.colour = colour(stream, wishes.color);
    medium.names = if wishes.full { Names::Whole } else { Names::Cut };
    medium
}

/// A terminal that takes orders: one can be drawn on.
pub fn can_be_drawn_on(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !is_dumb()
}

/// TERM names a terminal that knows no orders, or none.
fn is_dumb() -> bool {
    var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// As the terminal says; where there is none, or it does not say, as COLUMNS does.
fn columns(stream: &impl AsFd) -> Option<usize> {
    let of_terminal = terminal_size_of(stream).map(|(Width(columns), _)| usize::from(columns));
    let told = || var_os("COLUMNS")?.to_str()?.parse().ok();
    of_terminal.filter(|columns| *columns > 0).or_else(told).filter(|columns| *columns > 0)
}

fn colour(stream: &impl IsTerminal, when: When) -> Colour {
    let is_set = |name| var_os(name).is_some_and(|value| !value.is_empty());
    let is = |name, value| var_os(name).is_some_and(|it| it == value);
    let wanted = match when {
        When::Always => true,
        When::Never => false,
        When::Auto if is_set("NO_COLOR") => false,
        When::Auto if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") => true,
        When::Auto => can_be_drawn_on(stream) && !is("CLICOLOR", "0"),
    };
    if wanted { Colour::Always } else { Colour::Never }
}

/// What the words of a command line that was not understood say of colours.
pub fn wished(words: impl Iterator<Item = String>) -> ColorChoice {
    let mut words = words.take_while(|word| word != "--").peekable();
    let mut choice = ColorChoice::Auto;
    while let Some(word) = words.next() {
        let when = match word.strip_prefix("--color") {
            Some("") => words.peek().map(String::as_str),
            Some(value) => value.strip_prefix('='),
            None => continue,
        };
        choice = match when.and_then(|when| When::from_str(when, false).ok()) {
            Some(When::Always) => ColorChoice::Always,
            Some(When::Never) => ColorChoice::Never,
            Some(When::Auto) | None => choice,
        };
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_were_not_understood_may_say_when_to_use_colours() {
        let wished = |line: &str| wished(line.split(' ').map(str::to_owned));
        assert_eq!(wished("top --colour x --color=never"), ColorChoice::Never);
        assert_eq!(wished("--color always top --wrong"), ColorChoice::Always);
        assert_eq!(wished("record -- ls --color=always"), ColorChoice::Auto);
        assert_eq!(wished("top --color sometimes"), ColorChoice::Auto);
    }
}
