//! `tlsheap`: where the memory of a TLS connection goes.

#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod commands;
mod failure;
mod medium;
mod output;
mod progress;
mod slope;
mod telling;
mod trials;
mod values;
mod view;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    // First of all: started by a trial as its server, the recorder has to come before anything
    // else.
    if let Some(result) = trial::helper::called(std::env::args_os()) {
        return result.map_or_else(|error| Failure::from(error).report(), |()| ExitCode::SUCCESS);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => return telling::answered(answer),
    };
    medium::heed(arguments.wishes);
    if arguments.command.reads_captures() {
        progress::begin("reading");
    }
    let result = match arguments.command {
        Command::Run(options) => commands::run::run(&options),
        Command::Compare(options) => commands::compare::run(&options),
        Command::WhatIf(options) => commands::what_if::run(&options),
        Command::Serve(options) => commands::serve::run(&options),
        Command::Load(options) => commands::load::run(&options),
        Command::Debug(options) => commands::debug::run(&options),
        Command::Record(options) => commands::record::run(&options),
        Command::Watch(options) => commands::watch::run(&options),
        Command::Top(options) => commands::top::run(&options),
        Command::Flame(options) => commands::flame::run(&options),
        Command::Diagnose(options) => commands::diagnose::run(&options),
        Command::Check(options) => commands::check::run(&options),
        Command::Diff(options) => commands::diff::run(&options),
        Command::Report(options) => commands::report::run(&options),
        Command::Export(options) => commands::export::run(&options),
        Command::Doctor(options) => commands::doctor::run(&options),
        Command::Configs(options) => commands::configs::run(&options),
    };
    progress::end();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
