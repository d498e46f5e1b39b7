//! `tlsheap`: where the memory of a TLS connection goes.

#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod available_memory;
mod capture;
mod commands;
mod diagnosis_json;
mod estimate;
mod events;
mod failure;
mod interval_json;
mod machine;
mod objects_json;
mod output;
mod processes;
mod program_file;
mod progress;
mod recording;
mod review_json;
mod run_folder;
mod run_record;
mod scale;
mod timeline;
mod top_json;
mod whole_file;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.command.reads_captures() {
        progress::begin("reading");
    }
    let result = match arguments.command {
        Command::Run(options) => commands::run::run(&options),
        Command::Compare(options) => commands::compare::run(&options),
        Command::WhatIf(options) => commands::what_if::run(&options),
        Command::Serve(options) => commands::serve::run(&options),
        Command::Load(options) => commands::load::run(&options),
        Command::Record(options) => commands::record::run(&options),
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
