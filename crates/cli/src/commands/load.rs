//! `tlsheap load`: TLS clients that check every echo and every answer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use analysis::notation::exact;
use clap::{Args, ValueEnum};
use load::{CompressionOffer, Conversation, Event, Protocol, Report};
use trial::Progress;
use trial::helper::events::Found;
use trial::helper::loading::{load, load_in_lines};
use trial::helper::orders::{LoadOrder, Work};

use crate::failure::Failure;
use crate::trials::Bar;
use crate::values::{Server, connections, duration, server};
use crate::{output, progress, telling};

#[derive(Debug, Args)]
pub struct Options {
    /// The server's IP address or name, and its port
    #[arg(value_name = "HOST:PORT", default_value = "127.0.0.1:4433", value_parser = server)]
    pub server: Server,
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
    /// certificate has to be for [default: the name in HOST:PORT, if it is one]
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

impl Spoken {
    /// What it is, with the usual document and user.
    pub fn conversation(self) -> Conversation {
        match self {
            Spoken::Echo => Conversation::Echo,
            Spoken::Http => Conversation::Http { path: "/".to_owned() },
            Spoken::Redis => Conversation::Redis,
            Spoken::Postgres => Conversation::Postgres { user: "postgres".to_owned() },
            Spoken::Tls => Conversation::Tls,
        }
    }
}

impl Options {
    fn conversation(&self) -> Conversation {
        match self.protocol.conversation() {
            Conversation::Http { .. } => Conversation::Http { path: self.path.clone() },
            Conversation::Postgres { .. } => Conversation::Postgres { user: self.user.clone() },
            other => other,
        }
    }

    fn order(&self) -> LoadOrder {
        let mut order = LoadOrder::to(self.server.address());
        order.work = match self.closed_loop {
            Some(time) => Work::Handshakes { time, workers: self.workers },
            None => Work::Keep {
                connections: self.connections,
                interval: self.interval,
                hold: self.hold,
                pace: self.pace,
            },
        };
        order.from.clone_from(&self.from);
        order.conversation = self.conversation();
        order.patience = self.patience;
        order.protocol = self.tls.into();
        if self.compression {
            order.compression = CompressionOffer::Zlib;
        }
        order.server_name = self.server_name.clone().or_else(|| self.server.name.clone());
        order.identity.clone_from(&self.identity);
        order.authorities.clone_from(&self.ca);
        order
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
    if options.compression && options.tls != Version::Tls12 {
        return Err(Failure::usage(
            "--compression needs --tls 1.2: TLS 1.3 has no compression, and OpenSSL offers it \
             only when 1.3 is out of the question",
        ));
    }
    let order = options.order();
    if options.json {
        return Ok(load_in_lines(&order)?);
    }
    let found = if options.closed_loop.is_some() {
        progress::begin("doing one handshake after another");
        load(&order, |_: Event<'_>| {})?
    } else {
        let shown = Shown {
            bar: Bar::of_connections(options.connections),
            connections: options.connections,
            answers: options.answers(),
            is_until_told: options.hold.is_none(),
        };
        load(&order, move |event: Event<'_>| shown.show(&event))?
    };
    output::print(&match &found {
        Found::Kept(report) => describe(report, options),
        Found::Handshakes(report) => format!(
            "{} full handshakes in {:.2} s: {:.0} handshakes/s",
            report.handshakes, report.seconds, report.handshakes_per_second
        ),
    })?;
    found.failure().map_or(Ok(()), |sentence| Err(Failure::program(sentence)))
}

/// How the load fares, on standard error.
struct Shown {
    bar: Bar,
    connections: usize,
    answers: &'static str,
    /// Only a signal ends it.
    is_until_told: bool,
}

impl Shown {
    fn show(&self, event: &Event<'_>) {
        match event {
            Event::Progress { connected, .. } => self.bar.connected(*connected, self.connections),
            Event::AtRest { connections } => {
                self.at_rest(*connections, 0);
                // Without a bar nobody would know what it waits for.
                if self.is_until_told && self.bar.is_hidden() {
                    telling::tell(&format!(
                        "tlsheap: {connections} connections are at rest; Ctrl-C or SIGTERM closes \
                         them"
                    ));
                }
            }
            Event::Held { connections, echoes } => self.at_rest(*connections, *echoes),
            Event::Closing => self.bar.now("closing"),
            Event::Finished(_) => self.bar.finish(),
            _ => {}
        }
    }

    fn at_rest(&self, connections: usize, answers: u64) {
        let answered = match answers {
            0 => String::new(),
            answers => format!(", {} {} right", exact(answers as i64), self.answers),
        };
        let until = if self.is_until_told { "; Ctrl-C closes them" } else { "" };
        self.bar.held(&format!("{connections} connections at rest{answered}{until}"));
    }
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
