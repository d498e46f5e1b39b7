//! `tlsheap load`: TLS clients that check every echo and every answer.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use load::{
    ClientOptions, ClosedLoopOptions, CompressionOffer, Control, Conversation, Event, Goal,
    Identity, Protocol, Report, Verification,
};

use crate::arguments::{connections, duration};
use crate::commands::serve::end_with_parent;
use crate::events::LoadEvent;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub struct Options {
    /// The server's IP address and port
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:4433")]
    pub address: SocketAddr,
    /// How many connections to keep open
    #[arg(long, short = 'n', value_name = "N", default_value = "200", value_parser = connections)]
    pub connections: usize,
    /// Local addresses to connect from, in turn; without them, as many of 127.0.0.0/8 as a server
    /// there needs to have a port for each connection
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',')]
    pub from: Vec<IpAddr>,
    /// What is said on each connection
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub protocol: Spoken,
    /// The document that `--protocol http` asks for
    #[arg(long, value_name = "PATH", default_value = "/")]
    pub path: String,
    /// The user that `--protocol postgres` comes as
    #[arg(long, value_name = "NAME", default_value = "postgres")]
    pub user: String,
    /// The server's name in the handshake (SNI) and in HTTP; with --ca, the name that its
    /// certificate has to be for
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// How often each connection says hello, or asks [default: 5s, or so seldom that all together
    /// say 2,000 hellos a second]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub interval: Option<Duration>,
    /// How long to stay after every connection has been answered once; without it, until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub hold: Option<Duration>,
    /// Handshakes under way at a time
    #[arg(long, value_name = "N", default_value = "16", value_parser = connections)]
    pub pace: usize,
    /// How long the server may take for each step
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub patience: Duration,
    /// The TLS version to speak
    #[arg(long, value_name = "VERSION", default_value = "any")]
    pub tls: Version,
    /// Offer zlib compression (with TLS 1.2)
    #[arg(long)]
    pub compression: bool,
    /// The certificate chain and private key to show, in one PEM file
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Check the server's certificate against these authorities, PEM
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Keep no connections: do full handshakes one after another for this long, and say how many
    /// there were in a second
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "hold")]
    pub closed_loop: Option<Duration>,
    /// Handshakes under way at a time in a closed loop
    #[arg(long, value_name = "N", default_value = "8", value_parser = connections,
          requires = "closed_loop")]
    pub workers: usize,
    /// Say what happens as JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Close when the process that started this one ends
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

/// What is said, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spoken {
    /// The server welcomes and echoes, as `tlsheap serve` does
    Echo,
    /// GET again and again; every document has to equal the first
    Http,
    /// PING and PONG
    Redis,
    /// The request for TLS and the startup; empty queries, if no password is asked for
    Postgres,
    /// The handshake alone, then silence
    Tls,
}

impl Options {
    fn conversation(&self) -> Conversation {
        match self.protocol {
            Spoken::Echo => Conversation::Echo,
            Spoken::Http => Conversation::Http { path: self.path.clone() },
            Spoken::Redis => Conversation::Redis,
            Spoken::Postgres => Conversation::Postgres { user: self.user.clone() },
            Spoken::Tls => Conversation::Tls,
        }
    }

    /// What comes back, in the plural.
    fn answers(&self) -> &'static str {
        if self.protocol == Spoken::Echo { "echoes" } else { "answers" }
    }
}

/// A TLS version on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// Whatever both ends can
    Any,
    /// TLS 1.2 only
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3 only
    #[value(name = "1.3")]
    Tls13,
}

impl From<Version> for Protocol {
    fn from(version: Version) -> Protocol {
        match version {
            Version::Any => Protocol::Any,
            Version::Tls12 => Protocol::Tls12,
            Version::Tls13 => Protocol::Tls13,
        }
    }
}

/// Puts the load on, and reports.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.end_with_parent {
        end_with_parent()?;
    }
    if options.compression && options.tls != Version::Tls12 {
        return Err(Failure::usage(
            "--compression needs --tls 1.2: TLS 1.3 has no compression, and OpenSSL offers it \
             only when 1.3 is out of the question",
        ));
    }
    if let Some(time) = options.closed_loop {
        return closed_loop(options, time);
    }
    load::fd_limit::make_room_for(options.connections, 0)?;
    let mut load = load::Options::to(options.address);
    load.connections = options.connections;
    load.conversation = options.conversation();
    load.from.clone_from(&options.from);
    load.interval =
        options.interval.unwrap_or_else(|| load::Options::usual_interval(options.connections));
    load.hold = options.hold;
    load.handshakes_at_once = options.pace;
    load.patience = options.patience;
    load.client = client(options)?;

    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(put_on(load, Teller::new(options)))?;
    if !options.json {
        output::print(&describe(&report, options))?;
    }
    if report.is_clean() {
        Ok(())
    } else {
        Err(Failure::program(format!("{} of the connections failed", failed(&report))))
    }
}

/// Handshakes and nothing else.
fn closed_loop(options: &Options, time: Duration) -> Result<(), Failure> {
    load::fd_limit::make_room_for(options.workers, 0)?;
    let mut work = ClosedLoopOptions::to(options.address);
    work.workers = options.workers;
    work.goal = Goal::Time(time);
    work.patience = options.patience;
    work.conversation = options.conversation();
    work.client = client(options)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(load::closed_loop(work))?;
    let clean = report.failures.is_empty();
    if options.json {
        output::print_json_line(&LoadEvent::Finished {
            report: serde_json::to_value(&report)?,
            clean,
        })?;
    } else {
        output::print(&format!(
            "{} full handshakes in {:.2} s: {:.0} handshakes/s",
            report.handshakes, report.seconds, report.handshakes_per_second
        ))?;
    }
    match report.failures.first() {
        None => Ok(()),
        Some(failure) => Err(Failure::program(format!(
            "{} handshakes failed, {}: {}",
            failure.count, failure.kind, failure.example
        ))),
    }
}

fn client(options: &Options) -> Result<ClientOptions, Failure> {
    let mut client = ClientOptions::default();
    client.protocol = options.tls.into();
    client.server_name.clone_from(&options.server_name);
    if options.compression {
        client.compression = CompressionOffer::Zlib;
    }
    if let Some(path) = &options.identity {
        let pem = read(path)?;
        client.identity =
            Some(Identity::from_pem(&pem, &pem).with_context(|| path.display().to_string())?);
    }
    if let Some(path) = &options.ca {
        client.verification = Verification::Authorities(read(path)?);
    }
    Ok(client)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
}

async fn put_on(options: load::Options, teller: Teller) -> Result<Report, Failure> {
    let (closer, control) = Control::new();
    let stop = echo_server::signal::stop_requested()?;
    tokio::spawn(async move {
        stop.await;
        closer.close();
    });
    Ok(load::run(options, control, move |event: Event<'_>| teller.tell(&event)).await?)
}

/// Tells how the load fares: a bar on a terminal, JSON lines on request.
struct Teller {
    json: bool,
    bar: ProgressBar,
}

impl Teller {
    fn new(options: &Options) -> Teller {
        let visible = !options.json && std::io::stderr().is_terminal();
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Teller { json: options.json, bar: bar(options.connections, target) }
    }

    fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Progress { connected, .. } => self.bar.set_position(*connected as u64),
            Event::AtRest { connections } => {
                self.bar.set_message(format!("{connections} at rest"));
            }
            Event::Finished(_) => self.bar.finish_and_clear(),
            _ => {}
        }
        let event = match event {
            _ if !self.json => return,
            Event::Progress { connected, echoed, failed } => {
                LoadEvent::Progress { connected: *connected, echoed: *echoed, failed: *failed }
            }
            Event::AtRest { connections } => LoadEvent::AtRest { connections: *connections },
            Event::Closing => LoadEvent::Closing,
            Event::Finished(report) => LoadEvent::Finished {
                report: serde_json::to_value(report).unwrap_or_default(),
                clean: report.is_clean(),
            },
            _ => return,
        };
        // A closed standard output must not end connections that somebody is measuring.
        let _ = output::print_json_line(&event);
    }
}

/// A progress bar over connections.
pub fn bar(connections: usize, target: ProgressDrawTarget) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} {bar:40} {pos}/{len} connections")
        .expect("the template is a literal that parses");
    let bar = ProgressBar::with_draw_target(Some(connections as u64), target).with_style(style);
    bar.set_message("connecting");
    bar
}

fn failed(report: &Report) -> u64 {
    report.failures.iter().map(|failure| failure.count).sum()
}

fn describe(report: &Report, options: &Options) -> String {
    let mut text = format!(
        "{} of {} connections in {:.2} s ({:.0} handshakes/s, paced)",
        report.connected,
        report.connections,
        report.connecting_seconds,
        report.handshakes_per_second,
    );
    if report.echoes > 0 {
        text += &format!(", {} {} right", report.echoes, options.answers());
    }
    text.push('\n');
    let answer = if options.protocol == Spoken::Echo { "echo" } else { "answer" };
    for (name, latency) in
        [("handshake", &report.handshake_latency), (answer, &report.echo_latency)]
    {
        if latency.count == 0 {
            continue;
        }
        let milliseconds = |us: u64| us as f64 / 1_000.0;
        text += &format!(
            "{name:>9}: median {:.2} ms, 90 % {:.2} ms, 99 % {:.2} ms, longest {:.2} ms\n",
            milliseconds(latency.p50_us),
            milliseconds(latency.p90_us),
            milliseconds(latency.p99_us),
            milliseconds(latency.max_us),
        );
    }
    for failure in &report.failures {
        text += &format!("{} × {}: {}\n", failure.count, failure.kind, failure.example);
    }
    text
}
