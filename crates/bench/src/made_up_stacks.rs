//! Stacks out of this program's own code, always the same sequence of them: 21 to 33 addresses
//! each, many of them with their outer half in common.

use std::fs;
use std::io;

/// Distinct addresses, and distinct outer halves of stacks.
const ADDRESSES: u64 = 20_000;
const OUTER_HALVES: u64 = 200;

/// Makes stacks up.
pub struct MadeUpStacks {
    /// Where this program's code lies.
    code: std::ops::Range<u64>,
    state: u64,
}

impl MadeUpStacks {
    /// Of this program.
    pub fn begin() -> io::Result<MadeUpStacks> {
        let missing = || io::Error::other("no code of this program is mapped");
        let maps = own_maps()?;
        let line = maps.lines().find(|line| line.contains(" r-xp ")).ok_or_else(missing)?;
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.ok_or_else(missing)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(io::Error::other);
        Ok(MadeUpStacks { code: number(start)?..number(end)?, state: 0x2545_f491_4f6c_dd1d })
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }

    /// The next stack, innermost address first.
    pub fn stack(&mut self) -> Vec<u64> {
        let outer = self.below(OUTER_HALVES) * 18;
        let inner: Vec<u64> = (0..3 + self.below(12)).map(|_| self.below(ADDRESSES)).collect();
        let length = self.code.end - self.code.start;
        let address = |which: u64| self.code.start + which.wrapping_mul(0x9e37_79b9) % length;
        inner.into_iter().chain(outer..outer + 18).map(address).collect()
    }
}

/// The lines of this program's own file in the map of the process.
pub fn own_maps() -> io::Result<String> {
    let own = std::env::current_exe()?;
    let own = own.to_str().ok_or_else(|| io::Error::other("this program's path is no text"))?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    Ok(maps
        .lines()
        .filter(|line| line.ends_with(own))
        .fold(String::new(), |all, line| all + line + "\n"))
}
