//! Handshakes per second of a program without the recorder, as it is and with each fix.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use contract::environment;
use indicatif::ProgressBar;
use rustix::process::Signal;

use crate::commands::compare::bare_server::finished;
use crate::commands::record::descendants::Descendants;
use crate::commands::record::place::Place;
use crate::commands::what_if::fix::Fix;
use crate::commands::what_if::glance::seen_within;
use crate::commands::what_if::process::Process;
use crate::commands::what_if::recording::wait_for;
use crate::commands::what_if::{AS_IT_IS, Options, listening};
use crate::failure::Failure;

/// Handshakes before those that are counted.
const WARM_UP: &str = "--closed-loop=200ms";

/// How long the program may take to end, with all that it has started.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rates of each subject: the program as it is (`None`), or with a fix. One round over all of them
/// after the other, so that a machine that grows slower does so for all. Empty where the load is
/// the user's own, whose handshakes nobody counts.
pub fn measure(
    options: &Options,
    subjects: &[Option<Fix>],
    progress: &ProgressBar,
) -> Result<Vec<Vec<f64>>, Failure> {
    let mut rates = vec![Vec::new(); subjects.len()];
    let Some(port) = options.port.filter(|_| options.workload.repeat > 0) else { return Ok(rates) };
    let place = Place::make()?;
    for round in 1..=options.workload.repeat {
        for (fix, rates) in subjects.iter().zip(&mut rates) {
            let name = fix.map_or(AS_IT_IS, Fix::name);
            progress.set_message(format!("{name}: handshakes, round {round}"));
            match once(options, port, *fix, &place) {
                Ok(rate) => rates.push(rate),
                // What was recorded is worth having without it.
                Err(Failure::Program(why)) => {
                    progress.suspend(|| anstream::eprintln!("tlsheap: {name}: no rate: {why:#}"));
                }
                Err(failure) => return Err(failure),
            }
            progress.inc(1);
        }
    }
    Ok(rates)
}

/// Starts the program, and counts handshakes.
fn once(options: &Options, port: u16, fix: Option<Fix>, place: &Place) -> Result<f64, Failure> {
    let mut preload = OsString::from(place.library());
    // What the user preloads stays, behind ours.
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let mut command = Command::new(&options.command[0]);
    command
        .args(&options.command[1..])
        .env("LD_PRELOAD", preload)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(fix) = fix {
        command.env(environment::FIXES, fix.name());
    }
    let mut program = Process::start(command, "the program")?;
    let mut all = Descendants::of(program.pid(), place.library());
    let measured = wait_for(port, &mut program, options.patience).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                rate = handshakes(options, port) => rate,
                _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
            }
        })
    });
    end(&mut program, &mut all)?;
    // The next one is to listen there.
    seen_within(PATIENCE, || (!listening::is_taken(port)).then_some(()));
    measured
}

async fn handshakes(options: &Options, port: u16) -> Result<f64, Failure> {
    let clients = [
        "load".to_owned(),
        format!("127.0.0.1:{port}"),
        format!("--protocol={}", options.protocol),
    ];
    finished(&[&clients[..], &[WARM_UP.to_owned()]].concat()).await?;
    let time = format!("--closed-loop={}s", options.workload.rate_time.as_secs_f64());
    let report = finished(&[&clients[..], &[time]].concat()).await?;
    report["handshakes_per_second"]
        .as_f64()
        .ok_or_else(|| Failure::program("the load on the program without recorder says no rate"))
}

/// Ends the program and all that it has started.
fn end(program: &mut Process, all: &mut Descendants) -> Result<(), Failure> {
    // While they still have parents to be found by.
    all.look();
    program.ask_to_end();
    if program.ended_within(PATIENCE)?.is_none() {
        all.signal(Signal::KILL);
    }
    // A daemon goes on when the program that started it has ended.
    all.signal(Signal::TERM);
    if seen_within(PATIENCE, || (all.running() == 0).then_some(())).is_none() {
        all.signal(Signal::KILL);
    }
    Ok(())
}
