//! What recording costs in instructions, which are the same on a busy machine: of a handshake and
//! of a malloc with the free of its block. See docs/benchmarks.md.

use std::process::ExitCode;

use bench::openssl::Openssl;
use bench::pairs::FRAMES;
use bench::peers::beside;
use bench::{callgrind, machine, recorded};
use clap::Parser;

/// Counts instructions under callgrind, and prints tables of them.
#[derive(Parser)]
struct Arguments {
    /// Handshakes by which two runs differ.
    #[arg(long, default_value_t = 100)]
    handshakes: u32,
    /// Pairs by which two runs differ.
    #[arg(long, default_value_t = 100_000)]
    pairs: u32,
}

/// One row, and the part of the command that stands for it.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
}

/// Two runs of one row, one subtracted from the other.
struct Counted {
    instructions: f64,
    /// Of a ledger; 0 without one.
    allocations: f64,
}

const OPENSSLS: [(&str, &str); 2] = [
    ("handshakes, vendored OpenSSL, stacks by frame pointers", "vendored"),
    ("handshakes, the distribution's OpenSSL, stacks by unwind tables", "distribution"),
];

const HOOKS: [Row; 3] = [
    Row { name: "bare", arguments: &["--hooks=none"] },
    Row { name: "no-op hooks", arguments: &["--hooks=no-op"] },
    Row { name: "recorder", arguments: &["--hooks=recorder"] },
];

const PAIRS: [Row; 5] = [
    Row { name: "no-op hooks", arguments: &["--hooks=no-op"] },
    Row { name: "frame pointers, one thread", arguments: &["--hooks=recorder"] },
    Row { name: "frame pointers, two threads", arguments: &["--hooks=recorder", "--threads=2"] },
    Row {
        name: "unwind tables, one thread",
        arguments: &["--hooks=recorder", "--openssl=distribution"],
    },
    Row {
        name: "unwind tables, two threads",
        arguments: &["--hooks=recorder", "--openssl=distribution", "--threads=2"],
    },
];

fn main() -> ExitCode {
    match count(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::from(3)
        }
    }
}

fn count(arguments: &Arguments) -> Result<(), String> {
    if let Some(missing) = callgrind::missing() {
        return Err(format!("missing: {missing}"));
    }
    println!("{}", machine::lines());
    for (title, openssl) in OPENSSLS {
        println!("\n| {title} | instructions | over no-op hooks | for each allocation |");
        println!("|---|---|---|---|");
        let mut found = Vec::new();
        for row in &HOOKS {
            let openssl = format!("--openssl={openssl}");
            let work = [&["handshakes", &openssl], row.arguments].concat();
            found.push(counted(&work, arguments.handshakes)?);
        }
        let base = found[1].instructions;
        for (row, counted) in HOOKS.iter().zip(&found) {
            let Counted { instructions, allocations } = counted;
            let each = match *allocations {
                0.0 => "–".to_owned(),
                _ => format!("{:.1}", (instructions - base) / allocations),
            };
            let ratio = instructions / base;
            println!("| {} | {} | {ratio:.4} | {each} |", row.name, grouped(*instructions));
        }
        let allocations = found[2].allocations;
        let version = match openssl {
            "vendored" => Openssl::vendored(),
            _ => Openssl::distribution()?,
        };
        println!("\n{allocations:.0} allocations a handshake; {}.", version.version());
    }
    println!("\n| a malloc and a free under {FRAMES} frames | instructions | over no-op hooks |");
    println!("|---|---|---|");
    let mut base = 0.0;
    for (number, row) in PAIRS.iter().enumerate() {
        let counted = counted(&[&["pairs"], row.arguments].concat(), arguments.pairs)?;
        if number == 0 {
            base = counted.instructions;
        }
        let more = counted.instructions - base;
        println!("| {} | {:.1} | {more:.1} |", row.name, counted.instructions);
    }
    Ok(())
}

/// What one unit of work takes: of two runs, the second with `more` units more, so that nothing
/// counts that is done once.
fn counted(work: &[&str], more: u32) -> Result<Counted, String> {
    let [fewer, many] = [more / 5 + 1, more / 5 + 1 + more].map(|count| once(work, count));
    let (fewer, many) = (fewer?, many?);
    let threads = if work.contains(&"--threads=2") { 2.0 } else { 1.0 };
    let units = f64::from(more) * threads;
    Ok(Counted {
        instructions: (many.instructions - fewer.instructions) / units,
        allocations: (many.allocations - fewer.allocations) / units,
    })
}

fn once(work: &[&str], count: u32) -> Result<Counted, String> {
    let program = beside("workload").ok_or("no program `workload` beside this one")?;
    let folders = || tempfile::tempdir().map_err(|error| error.to_string());
    let (ledgers, counts) = (folders()?, folders()?);
    let mut arguments: Vec<String> = work.iter().map(|it| (*it).to_owned()).collect();
    // Warm enough that what is left to learn is learnt in both runs.
    arguments.extend(["--warm-up=20".to_owned(), format!("--count={count}")]);
    arguments.push(format!("--folder={}", ledgers.path().display()));
    let instructions = callgrind::instructions(&program, &arguments, counts.path())?;
    let allocations = if work.contains(&"--hooks=recorder") {
        let snapshot = recorded::snapshot(ledgers.path()).map_err(|error| error.to_string())?;
        snapshot.totals().alloc_blocks
    } else {
        0
    };
    Ok(Counted { instructions: instructions as f64, allocations: allocations as f64 })
}

/// A whole number with a comma before every third digit from its end.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
