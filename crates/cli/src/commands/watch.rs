//! `tlsheap watch`: recorded processes while they run, on a terminal, in lines, or over HTTP.

mod draw;
mod json;
mod keys;
mod lines;
mod listen;
mod screen;
mod table;
pub mod terminal;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use analysis::group::By;
use capture::Part;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use contract::Domain;
use live::{Comparison, Follower, LiveError, Order, Target, View};
use report::medium::Colour;

use crate::failure::Failure;
use crate::values::{address, duration};
use crate::view::{self, GroupBy};
use crate::{medium, output, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
What is watched is not asked anything and does not notice: its ledgers are read as files. The \
first look is what changes are counted from, until a key sets a mark. Without a terminal, or where \
TERM is dumb, each look is one line. It ends with what is watched. A recording is watched from \
another terminal than `tlsheap record` runs in, which its program has for itself, or by `tlsheap \
record --watch`.")]
pub struct Options {
    /// The id of a recorded process, with what it has started; a ledger; a folder of ledgers; or
    /// the run folder that a recording is going to make. Without it, the one recording that goes on
    #[arg(value_name = "PID|LEDGER|FOLDER|RECORDING")]
    pub target: Option<OsString>,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = often)]
    pub every: Duration,
    /// Look twice, print the second view, and end: rates are those of the time between
    #[arg(long)]
    pub once: bool,
    /// By what to add up
    #[arg(long, value_name = "BY", default_value = "site")]
    pub by: GroupBy,
    /// What rows are ordered by, the most first
    #[arg(long, value_name = "ORDER", default_value = "bytes", value_parser = orders())]
    pub sort: Order,
    /// How many rows --once prints; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Whose memory; without it, OpenSSL's, where there is any
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<view::Domain>,
    /// Answer over HTTP at this address instead: a page for people, /metrics for Prometheus, and
    /// /debug/pprof/heap and /debug/pprof/allocs as Go's programs have them (docs/fleet.md). Port 0
    /// takes one that is free
    #[arg(long, value_name = "ADDRESS", value_parser = address,
          conflicts_with_all = ["once", "json", "by", "sort", "rows", "domain"])]
    pub listen: Option<SocketAddr>,
    /// Let --listen take an address that other machines can reach. Nobody is asked who they are,
    /// and what they see names the program's functions and source files
    #[arg(long, requires = "listen")]
    pub public: bool,
    /// Print JSON, an object for each look (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Watches until it is told to end, or all of it has ended.
pub fn run(options: &Options) -> Result<(), Failure> {
    let target = match &options.target {
        Some(word) => Target::of_word(word)?,
        None => Target::in_progress()?,
    };
    let mut follower = Follower::of(target);
    if let Some(address) = options.listen {
        return listen::run(follower, address, options.public, options.every);
    }
    progress::begin("reading");
    let first = follower.look()?;
    progress::end();
    let shown = Shown {
        by: options.by.by(),
        order: options.sort,
        domain: options.domain.map(Chosen::from),
        rows: if options.rows == 0 { usize::MAX } else { options.rows },
    };
    if options.once {
        return lines::once(follower, first, options.every, &shown, options.json);
    }
    if options.json || !has_screen() {
        return lines::all(follower, first, options.every, &shown, options.json);
    }
    terminal::run(follower, first, options.every, &shown)
}

/// Rows that are printed of the last look.
const USUAL_ROWS: usize = 20;

/// What is shown of a view.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    by: By,
    order: Order,
    /// `None`: the usual one.
    domain: Option<Chosen>,
    rows: usize,
}

/// Whose memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    One(Domain),
    All,
}

impl From<view::Domain> for Chosen {
    fn from(domain: view::Domain) -> Chosen {
        match Part::from(domain).label().and_then(Domain::from_word) {
            Some(domain) => Chosen::One(domain),
            None => Chosen::All,
        }
    }
}

impl Shown {
    /// What is shown until somebody wishes otherwise.
    pub fn usual() -> Shown {
        Shown { by: By::Site, order: Order::Bytes, domain: None, rows: USUAL_ROWS }
    }

    /// The domain that is shown of a view; `None` for all of them.
    fn domain_of(&self, view: &View) -> Option<Domain> {
        match self.domain {
            None => Some(view.usual_domain()),
            Some(Chosen::One(domain)) => Some(domain),
            Some(Chosen::All) => None,
        }
    }
}

/// Three looks: the last, what changes are counted from, and the one before.
#[derive(Clone, Debug)]
pub struct Looks {
    now: Arc<View>,
    since: Arc<View>,
    before: Option<Arc<View>>,
}

impl Looks {
    /// The first one.
    fn begin(first: Arc<View>) -> Looks {
        Looks { since: Arc::clone(&first), now: first, before: None }
    }

    /// Another one.
    fn add(&mut self, view: Arc<View>) {
        self.before = Some(std::mem::replace(&mut self.now, view));
    }

    fn comparison(&self) -> Comparison<'_> {
        Comparison { now: &self.now, since: &self.since, before: self.before.as_deref() }
    }
}

/// A terminal that can be drawn on.
pub fn has_screen() -> bool {
    medium::can_be_drawn_on(&std::io::stdout()) && std::io::stdin().is_terminal()
}

/// Looking more often than this would be all that the program does.
const LEAST: Duration = Duration::from_millis(50);

fn often(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        too_often if too_often < LEAST => Err("look every 50ms at most".to_owned()),
        // A day: nobody waits for longer, and times can be added.
        seldom if seldom > Duration::from_secs(86_400) => Err("look every 24h at least".to_owned()),
        every => Ok(every),
    }
}

fn orders() -> impl TypedValueParser<Value = Order> {
    PossibleValuesParser::new(Order::ALL.map(Order::word))
        .map(|word| Order::from_word(&word).expect("one of the possible values"))
}

impl From<LiveError> for Failure {
    fn from(error: LiveError) -> Failure {
        Failure::Because(error.fault(), error.into())
    }
}

/// Standard output is a terminal that wants colours.
fn colour() -> bool {
    output::medium().colour == Colour::Always
}
