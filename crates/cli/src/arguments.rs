//! The command line. What an option means is said once, here and in each command's own file.

use std::time::Duration;

use clap::{Parser, Subcommand};
use ledger::Sampling;

use crate::commands;

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
}

impl Command {
    /// It reads captures and makes something of them, which takes as long as they are large.
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

/// Reads `500ms`, `5s`, `2m`, or a bare number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("unknown unit {other:?}: use ms, s, m or h, as in 500ms")),
    };
    let number: f64 =
        number.parse().map_err(|_| "expected a number and a unit, as in 5s or 500ms".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())
}

/// The average distance between samples: bytes, or with k and m units of 1,024 and 1,048,576.
pub fn sampling(text: &str) -> Result<Sampling, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1_u64 << 10),
        "m" | "mb" | "mib" => Some(1_u64 << 20),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    match bytes {
        Some(0) => Err("0 bytes between samples would be every block: leave --sample out, and \
                        every block is counted"
            .to_owned()),
        Some(bytes) => Sampling::every(bytes)
            .ok_or_else(|| format!("at most {} MiB lie between samples", Sampling::MOST >> 20)),
        None => Err("expected a number of bytes, as in 65536 or 64k".to_owned()),
    }
}

/// A number of connections: at least one.
pub fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a load without connections measures nothing: ask for at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("expected a whole number of connections".to_owned()),
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

    #[test]
    fn distances_between_samples_have_units() {
        let bytes = |text| sampling(text).map(Sampling::interval);
        assert_eq!(bytes("65536"), Ok(65_536));
        for text in ["64k", "64K", "64 KiB", "64kb"] {
            assert_eq!(bytes(text), Ok(65_536), "{text}");
        }
        assert_eq!(bytes("1m"), Ok(1 << 20));
        assert!(bytes("0").is_err_and(|why| why.contains("leave --sample out")));
        assert!(bytes("2000m").is_err_and(|why| why.contains("at most 1024 MiB")));
        for text in ["", "k", "-1", "1.5k", "64 KiBit", "99999999999999999999"] {
            assert!(bytes(text).is_err_and(|why| why.contains("as in 65536 or 64k")), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("5 fortnights").expect_err("no unit").contains("fortnights"));
        assert!(duration("soon").is_err());
    }
}
