//! Writes a large jemalloc heap dump, for measuring how fast it is read: stacks of 21 to 33
//! addresses out of this program's own code, many of them with their outer half in common.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;

/// Distinct addresses, and distinct outer halves of stacks.
const ADDRESSES: u64 = 20_000;
const OUTER_HALVES: u64 = 200;

/// Writes a jemalloc heap dump.
#[derive(Parser)]
struct Arguments {
    /// Its size, in millions of bytes.
    megabytes: usize,
    file: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let maps = fs::read_to_string("/proc/self/maps")?;
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or("this program's path is no text")?;
    let lines: Vec<&str> = maps.lines().filter(|line| line.ends_with(own)).collect();
    let code = lines.iter().find(|line| line.contains(" r-xp ")).ok_or("no code is mapped")?;
    let (start, end) = code.split(' ').next().and_then(|r| r.split_once('-')).ok_or("a range")?;
    let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
    // Always the same sequence.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let address = |which: u64| start + (which.wrapping_mul(0x9e37_79b9) % (end - start));

    let mut text = String::from("heap_v2/131072\n  t*: 1: 64 [0: 0]\n");
    while text.len() < arguments.megabytes * 1_000_000 {
        let outer = below(OUTER_HALVES) * 18;
        let inner: Vec<u64> = (0..3 + below(12)).map(|_| below(ADDRESSES)).collect();
        text.push('@');
        for which in inner.into_iter().chain(outer..outer + 18) {
            write!(text, " {:#x}", address(which))?;
        }
        let blocks = 1 + below(49);
        writeln!(text, "\n  t*: {blocks}: {} [0: 0]", blocks * (16 + below(5_000)))?;
    }
    text += "\nMAPPED_LIBRARIES:\n";
    for line in lines {
        writeln!(text, "{line}")?;
    }
    fs::File::create(&arguments.file)?.write_all(text.as_bytes())?;
    Ok(())
}
