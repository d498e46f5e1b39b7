//! The recorder against hooks that do nothing, in one process and in turns of a few handshakes:
//! ratios that survive a machine whose speed drifts.

use std::error::Error;

use bench::clock::thread_time;
use bench::handshakes::{Handshakes, write_identity};
use bench::hooks::{self, Hooks, NO_OP};
use bench::openssl::Openssl;
use bench::recorded;
use clap::{Parser, ValueEnum};
use recorder::{SampleOptions, Sampling, StackSource};

/// Compares the recorder with hooks that do nothing.
#[derive(Parser)]
struct Arguments {
    /// Which OpenSSL: `vendored` (frame pointers) or `distribution` (unwind tables).
    openssl: String,
    /// Pairs of turns.
    #[arg(long, default_value_t = 300)]
    rounds: usize,
    /// Handshakes in each turn.
    #[arg(long, default_value_t = 10)]
    handshakes: usize,
    /// Count a part of the blocks only: one sample in so many bytes, on average.
    #[arg(long, value_name = "BYTES", value_parser = sampling)]
    sample: Option<Sampling>,
    /// Only one of the two, for profilers.
    #[arg(long, value_enum)]
    only: Option<Only>,
}

/// One of the variants.
#[derive(Clone, Copy, ValueEnum)]
enum Only {
    /// Hooks that do nothing.
    NoOp,
    /// The recorder.
    Recorder,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    write_identity(folder.path())?;
    let (openssl, stacks, path) = if arguments.openssl == "vendored" {
        let path = folder.path().join("ledger");
        (Openssl::vendored(), StackSource::FramePointers, path)
    } else {
        (Openssl::distribution()?, StackSource::best(), folder.path().to_owned())
    };
    let recorder = match arguments.sample {
        None => hooks::recorder(stacks, &path)?,
        Some(sampling) => {
            hooks::sampling_recorder(stacks, &path, SampleOptions { sampling, seed: None })?
        }
    };
    let set = |hooks: Hooks| hooks.put_into(&openssl).expect("other hooks are in it");
    NO_OP.put_into(&openssl)?;
    let handshakes = Handshakes::new(openssl, folder.path());
    for hooks in [NO_OP, recorder] {
        set(hooks);
        (0..20).for_each(|_| handshakes.one());
    }
    let allocations =
        || recorded::snapshot(folder.path()).map(|snapshot| snapshot.totals().alloc_blocks);
    let before = allocations()?;
    // Of a sample the number is an estimate: over many it comes near.
    let counted = if arguments.sample.is_some() { 200 } else { 1 };
    (0..counted).for_each(|_| handshakes.one());
    let each = (allocations()? - before) / counted;
    let mut ratios = Vec::new();
    let mut base = Vec::new();
    let time = |hooks: Hooks| {
        set(hooks);
        let start = thread_time();
        (0..arguments.handshakes).for_each(|_| handshakes.one());
        thread_time().saturating_sub(start).as_secs_f64() / arguments.handshakes as f64
    };
    for round in 0..arguments.rounds {
        if let Some(only) = arguments.only {
            time(match only {
                Only::NoOp => NO_OP,
                Only::Recorder => recorder,
            });
            continue;
        }
        let (without, with) = if round % 2 == 0 {
            let without = time(NO_OP);
            (without, time(recorder))
        } else {
            let with = time(recorder);
            (time(NO_OP), with)
        };
        base.push(without * 1e6);
        ratios.push(with / without);
    }
    set(NO_OP);
    if ratios.is_empty() {
        return Ok(());
    }
    base.sort_by(f64::total_cmp);
    ratios.sort_by(f64::total_cmp);
    let at = |values: &[f64], part: f64| values[(part * (values.len() - 1) as f64) as usize];
    println!(
        "{}: {each} allocations a handshake; no-op {:.1} us; recorder{} {:.3} [{:.3}-{:.3}]",
        openssl.version(),
        at(&base, 0.5),
        arguments
            .sample
            .map_or(String::new(), |it| format!(", sampled every {} B,", it.interval())),
        at(&ratios, 0.5),
        at(&ratios, 0.25),
        at(&ratios, 0.75),
    );
    Ok(())
}

/// Bytes between samples.
fn sampling(text: &str) -> Result<Sampling, String> {
    let bytes = text.parse().ok().and_then(Sampling::every);
    bytes.ok_or_else(|| format!("expected a number of bytes from 1 to {}", Sampling::MOST))
}
