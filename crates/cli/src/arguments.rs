//! The command line. What an option means is said once, in each command's own file.

use clap::{Parser, Subcommand};

use crate::commands;
use crate::medium::Wishes;

/// Where the memory of a TLS connection goes.
///
/// Runs a TLS echo server under load, counts every OpenSSL allocation by file:line and call
/// stack, and says what one connection costs and where.
#[derive(Debug, Parser)]
#[command(
    name = "tlsheap",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done; 1 a check or budget failed; 2 wrong use or bad input; \
                  3 the profiled program failed."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How it is printed.
    #[command(flatten)]
    pub wishes: Wishes,
}

/// One variant for each file in `commands`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the reference server under load, and say what a connection costs
    Run(commands::run::Options),
    /// Measure configurations against each other: the staircase of 2011, or any others
    Compare(commands::compare::Options),
    /// Record a program that nobody rebuilt: every OpenSSL in it, and in what it starts
    Record(commands::record::Options),
    /// Watch recorded processes while they run
    Watch(commands::watch::Options),
    /// Show what holds memory, heaviest first
    Top(commands::top::Options),
    /// Draw a flamegraph
    Flame(commands::flame::Options),
    /// Find what costs more than it has to, and say what to do about it
    Diagnose(commands::diagnose::Options),
    /// Hold a capture against a budget: for CI
    Check(commands::check::Options),
    /// Try fixes one by one, and measure what each really saves
    WhatIf(commands::what_if::Options),
    /// Compare two captures
    Diff(commands::diff::Options),
    /// Make one HTML page of runs or of a comparison
    Report(commands::report::Options),
    /// Write a capture in another program's format
    Export(commands::export::Options),
    /// Say what could be recorded of a program or process, and how; or what this machine offers
    Doctor(commands::doctor::Options),
    /// List the server's configurations, or show one
    Configs(commands::configs::Options),
    /// Run the reference server on its own
    Serve(commands::serve::Options),
    /// Put load on an echo server
    Load(commands::load::Options),
    /// Look into tlsheap's own files
    #[command(hide = true)]
    Debug(commands::debug::Options),
}

impl Command {
    /// Whether it reads captures and makes something of them, which takes as long as they are
    /// large.
    pub fn reads_captures(&self) -> bool {
        matches!(
            self,
            Command::Top(_)
                | Command::Flame(_)
                | Command::Diagnose(_)
                | Command::Check(_)
                | Command::Diff(_)
                | Command::Report(_)
                | Command::Export(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
