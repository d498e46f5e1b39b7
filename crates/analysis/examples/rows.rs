//! Prints what holds the most memory in a profile of any format that is read: a pprof file (such as
//! the `heap.pb.gz` of a run folder), a ledger, a dump of jemalloc's heap, or folded stacks.
//!
//! ```sh
//! cargo run --release -p analysis --example rows -- profiles/reference/node-0.4/heap.pb.gz 200
//! ```
//!
//! The second argument is the number of connections that the figures are divided by.

use std::error::Error;
use std::num::NonZeroU64;
use std::path::Path;

use analysis::group::{By, group};
use analysis::notation::{human, percent};
use analysis::top::Top;
use ledger::Snapshot;
use profile::{Content, Profile, Symbols, from_ledger, read_any};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: rows FILE [CONNECTIONS]")?;
    let connections: NonZeroU64 = match arguments.next() {
        Some(number) => number.parse()?,
        None => NonZeroU64::MIN,
    };
    let profile = open(Path::new(&path))?;
    let top = Top::per_connection(&group(&profile, By::Site), None, connections);
    for row in top.rows.iter().take(10) {
        let bytes = row.bytes.map(human).unwrap_or_default();
        let share = row.share.map(percent).unwrap_or_default();
        let (file, line, story) = (&row.key.file, row.key.line, row.telling.join(" › "));
        println!("{bytes:>10} {share:>8}  {file}:{line}  {story}");
    }
    Ok(())
}

/// A ledger names no functions: they are looked up in the files that its process has mapped.
fn open(path: &Path) -> Result<Profile, Box<dyn Error>> {
    match read_any(path)? {
        Content::Profile(profile) => Ok(profile),
        Content::Ledger => Ok(from_ledger(&Snapshot::read_file(path)?, &mut Symbols::new())),
    }
}
