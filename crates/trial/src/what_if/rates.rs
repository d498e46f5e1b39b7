//! Handshakes per second of a program without the recorder, as it is and with each fix.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use contract::Fix;
use recording::descendants::Descendants;
use recording::kernel::is_listened_on;
use recording::{Place, sanitizers};
use rustix::process::Signal;

use super::process::Process;
use super::recording::variable;
use super::{AS_IT_IS, LoadOn, Program};
use crate::compare::handshakes;
use crate::glance::seen_within;
use crate::helper::orders::LoadOrder;
use crate::listening::wait_for;
use crate::{FrontEnd, TrialError, Workload, runtime};

/// How long handshakes are made before those that are counted.
const WARM_UP: Duration = Duration::from_millis(200);

/// How long the program may take to end, with all that it has started.
const PATIENCE: Duration = Duration::from_secs(15);

/// Rates of each subject: the program as it is (`None`), or with a fix. One round over all of them
/// after the other, so that a machine that grows slower does so for all. Empty where the load is
/// the user's own, whose handshakes nobody counts.
pub fn measure(
    program: &Program,
    workload: &Workload,
    subjects: &[Option<Fix>],
    front_end: &FrontEnd<'_>,
) -> Result<Vec<Vec<f64>>, TrialError> {
    let mut rates = vec![Vec::new(); subjects.len()];
    let Some(LoadOn::Port { port, conversation }) = &program.load else { return Ok(rates) };
    if workload.repeat == 0 {
        return Ok(rates);
    }
    let mut order = LoadOrder::to(SocketAddr::from(([127, 0, 0, 1], *port)));
    order.conversation = conversation.clone();
    let place = Place::make()?;
    for round in 1..=workload.repeat {
        for (fix, rates) in subjects.iter().zip(&mut rates) {
            let name = fix.map_or(AS_IT_IS, Fix::name);
            front_end.progress.now(&format!("{name}: handshakes, round {round}"));
            match once(program, workload, &order, *fix, &place, front_end) {
                Ok(rate) => rates.push(rate),
                // What was recorded is worth having without it.
                Err(TrialError::Failed(why)) => {
                    front_end.progress.warn(&format!("{name}: no rate: {why}"));
                }
                Err(error) => return Err(error),
            }
            front_end.progress.step_done();
        }
    }
    Ok(rates)
}

/// Starts the program, and counts handshakes.
fn once(
    program: &Program,
    workload: &Workload,
    order: &LoadOrder,
    fix: Option<Fix>,
    place: &Place,
    front_end: &FrontEnd<'_>,
) -> Result<f64, TrialError> {
    let address_options = std::env::var_os(sanitizers::ADDRESS_OPTIONS);
    let address_options = sanitizers::address_options(address_options);
    let mut command = Command::new(&program.command[0]);
    command
        .args(&program.command[1..])
        .env("LD_PRELOAD", place.preload())
        .env(sanitizers::ADDRESS_OPTIONS, address_options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(fix) = fix {
        let (name, value) = variable(fix);
        command.env(name, value);
    }
    let port = order.address.port();
    let mut process = Process::start(command, "the program")?;
    let mut all = Descendants::of(&[process.pid()], place.secret(), &[]);
    let has_ended = |time| Ok(process.ended_within(time)?.is_some());
    let measured = wait_for(port, has_ended, program.patience).and_then(|()| {
        let runtime = runtime::of_this_thread()?;
        runtime.block_on(async {
            tokio::select! {
                rate = rate(workload, order, front_end) => rate,
                _ = tokio::signal::ctrl_c() => Err(TrialError::Interrupted),
            }
        })
    });
    end(&mut process, &mut all)?;
    // The next one is to listen there.
    seen_within(PATIENCE, || (!is_listened_on(port)).then_some(()));
    measured
}

async fn rate(
    workload: &Workload,
    clients: &LoadOrder,
    front_end: &FrontEnd<'_>,
) -> Result<f64, TrialError> {
    handshakes(front_end.helper, clients, WARM_UP).await?;
    let report = handshakes(front_end.helper, clients, workload.rate_time).await?;
    Ok(report.handshakes_per_second)
}

/// Ends the program and all that it has started.
fn end(program: &mut Process, all: &mut Descendants) -> Result<(), TrialError> {
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
