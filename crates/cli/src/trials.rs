//! What commands that measure lend a trial: this program as its helper, bars on a terminal, and
//! who measured; and options that they share.

use std::time::Duration;

use anyhow::Context;
use capture::machine::MadeBy;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use profile::harmless::harmless;
use trial::{FrontEnd, HelperProgram, Progress};

use crate::failure::Failure;
use crate::medium;
use crate::telling;
use crate::values::{connections, duration};

/// This program's version and commit.
pub fn made_by() -> MadeBy {
    MadeBy::this(option_env!("TLSHEAP_COMMIT"))
}

/// This program, to be started again as a trial's server and load.
pub fn helper() -> Result<HelperProgram, Failure> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Ok(HelperProgram::at(program))
}

/// This program, and a bar to be shown.
pub fn front_end<'a>(helper: &'a HelperProgram, progress: &'a dyn Progress) -> FrontEnd<'a> {
    FrontEnd { helper, progress, made_by: made_by(), command: std::env::args().collect() }
}

/// A load that each subject gets alike.
#[derive(Clone, Debug, Args)]
pub struct Workload {
    /// How many connections to open
    #[arg(long, short = 'n', value_name = "N", default_value = "200", value_parser = connections)]
    pub connections: usize,
    /// How often each connection says hello
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,
    /// How long to wait between the last connection's first echo and the capture
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub hold: Duration,
    /// Connections to make and close before each baseline is taken
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub warm_up: usize,
    /// How often to measure what a recorder would disturb (handshakes per second, resident
    /// memory), turn by turn; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: usize,
    /// How long each of these measurements does full handshakes
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub rate_time: Duration,
}

impl From<&Workload> for trial::Workload {
    fn from(options: &Workload) -> trial::Workload {
        let mut workload = trial::Workload::default();
        workload.connections = options.connections;
        workload.interval = options.interval;
        workload.hold = options.hold;
        workload.warm_up = options.warm_up;
        workload.repeat = options.repeat;
        workload.rate_time = options.rate_time;
        workload
    }
}

/// A bar on standard error, where that is a terminal; warnings there in any case.
pub struct Bar(ProgressBar);

impl Bar {
    /// Over the steps of a trial, as many as it says.
    pub fn of_steps() -> Bar {
        if !medium::can_be_drawn_on(&std::io::stderr()) {
            return Bar(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
            .expect("the template is a literal that parses");
        let bar = ProgressBar::new(0).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(bar)
    }

    /// Over so many connections.
    pub fn of_connections(connections: usize) -> Bar {
        let visible = medium::can_be_drawn_on(&std::io::stderr());
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} connections")
            .expect("the template is a literal that parses");
        let bar = ProgressBar::with_draw_target(Some(connections as u64), target).with_style(style);
        bar.set_message("connecting");
        Bar(bar)
    }

    /// Shows what stays, without a bar.
    pub fn held(&self, what: &str) {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}")
            .expect("the template is a literal that parses");
        self.0.set_style(style);
        self.0.set_message(harmless(what).into_owned());
    }

    /// Whether nobody sees it.
    pub fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn steps(&self, all: usize) {
        self.0.reset();
        self.0.set_length(all as u64);
    }

    fn now(&self, what: &str) {
        self.0.set_message(harmless(what).into_owned());
    }

    fn step_done(&self) {
        self.0.inc(1);
    }

    fn connected(&self, connected: usize, _of: usize) {
        self.0.set_position(connected as u64);
    }

    fn at_rest(&self) {
        self.0.set_message("at rest");
    }

    fn warn(&self, sentence: &str) {
        self.0.suspend(|| telling::tell(&format!("tlsheap: {sentence}")));
    }
}
