//! Writes a large jemalloc heap dump, for measuring how fast it is read.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use bench::made_up_stacks::{MadeUpStacks, own_maps};
use clap::Parser;

/// Writes a jemalloc heap dump.
#[derive(Parser)]
struct Arguments {
    /// Its size, in millions of bytes.
    megabytes: usize,
    file: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut stacks = MadeUpStacks::begin()?;
    let mut text = String::from("heap_v2/131072\n  t*: 1: 64 [0: 0]\n");
    while text.len() < arguments.megabytes * 1_000_000 {
        text.push('@');
        for address in stacks.stack() {
            write!(text, " {address:#x}")?;
        }
        let blocks = 1 + stacks.below(49);
        writeln!(text, "\n  t*: {blocks}: {} [0: 0]", blocks * (16 + stacks.below(5_000)))?;
    }
    text += "\nMAPPED_LIBRARIES:\n";
    text += &own_maps()?;
    fs::File::create(&arguments.file)?.write_all(text.as_bytes())?;
    Ok(())
}
