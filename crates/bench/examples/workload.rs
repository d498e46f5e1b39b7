//! One workload in a process of its own, for the command that compares processes. Prints what it
//! took as one line of JSON.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use bench::handshakes::{Handshakes, write_identity};
use bench::hooks::{self, NO_OP};
use bench::openssl::Openssl;
use bench::pairs::Pairs;
use bench::roots;
use bench::took::Took;
use clap::{Parser, ValueEnum};
use recorder::StackSource;

/// Runs one workload and says what it took.
#[derive(Parser)]
struct Arguments {
    workload: Workload,
    /// Which OpenSSL.
    #[arg(long, value_enum, default_value = "vendored")]
    openssl: Which,
    /// What stands in for malloc in OpenSSL.
    #[arg(long, value_enum, default_value = "none")]
    hooks: With,
    /// How often, on each thread.
    #[arg(long, default_value_t = 500)]
    count: u32,
    /// How often before that, so that what is set up once does not count; a tenth and two more,
    /// unless this is said.
    #[arg(long)]
    warm_up: Option<u32>,
    /// Threads at a time.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// A folder for the ledger.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Workload {
    /// Handshakes in memory.
    Handshakes,
    /// Mozilla's roots into a store.
    Roots,
    /// Pairs of malloc and free under a stack of 30 frames, without OpenSSL.
    Pairs,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Which {
    /// The one that is linked, with frame pointers.
    Vendored,
    /// The distribution's, without.
    Distribution,
}

#[derive(Clone, Copy, ValueEnum)]
enum With {
    /// Nothing: OpenSSL calls malloc.
    None,
    /// Functions that call malloc.
    NoOp,
    /// The recorder, linked.
    Recorder,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    write_identity(temporary.path())?;
    let (openssl, stacks, ledger) = match arguments.openssl {
        Which::Vendored => (Openssl::vendored(), StackSource::FramePointers, folder.join("ledger")),
        Which::Distribution => (Openssl::distribution()?, StackSource::best(), folder.to_owned()),
    };
    let hooks = match arguments.hooks {
        With::None => None,
        With::NoOp => Some(NO_OP),
        With::Recorder => Some(hooks::recorder(stacks, &ledger)?),
    };
    if let Some(hooks) = hooks {
        hooks.put_into(&openssl)?;
    }
    let Arguments { workload, count, threads, .. } = arguments;
    let warm_up = arguments.warm_up.unwrap_or(count / 10 + 2);
    let work = |count: u32| match workload {
        Workload::Handshakes => {
            let handshakes = Handshakes::new(openssl, temporary.path());
            (0..warm_up).for_each(|_| handshakes.one());
            Took::of(|| (0..count).for_each(|_| handshakes.one()))
        }
        Workload::Roots => {
            (0..warm_up).for_each(|_| roots::load(&openssl));
            Took::of(|| (0..count).for_each(|_| roots::load(&openssl)))
        }
        Workload::Pairs => {
            let ledger = matches!(arguments.hooks, With::Recorder).then_some(folder);
            let pairs = Pairs { hooks: hooks.unwrap_or(NO_OP), ledger };
            pairs.run(warm_up);
            pairs.run(count)
        }
    };
    let took = if threads == 1 { work(count) } else { on_threads(threads, || work(count)) };
    let version = openssl.version();
    println!("{}", serde_json::to_string(&took.each(count * threads, version))?);
    Ok(())
}

/// What the work takes on several threads at once: of the process's processor time, the longest
/// that a thread saw go by.
fn on_threads(threads: u32, work: impl Fn() -> Took + Sync) -> Took {
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let all = started.into_iter().map(|thread| thread.join().expect("it ends well"));
        all.fold(Took { processor: Duration::ZERO, wall: Duration::ZERO }, Took::longest)
    })
}
