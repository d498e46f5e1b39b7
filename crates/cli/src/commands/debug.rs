//! `tlsheap debug`: what lies in files of tlsheap's own, as it lies there. For developers; what it
//! prints may change with every version.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ledger::{Counts, Module, Site, Snapshot, Statistics};

use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
pub struct Options {
    /// What to look into
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print a ledger without names: header, statistics, modules, sites with their raw stacks
    Ledger {
        /// The ledger; its process may be running
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How many sites to print, those with most bytes in use first; 0 for all, in their order
        /// in the file
        #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
        rows: usize,
    },
}

/// Prints it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let What::Ledger { file, rows } = &options.what;
    let snapshot = Snapshot::read_file(file)?;
    output::print(&ledger(&snapshot, *rows))
}

fn ledger(snapshot: &Snapshot, rows: usize) -> String {
    let mut text = format!(
        "process {}, recorded since {} ns after 1970, {}\n",
        snapshot.pid,
        snapshot.started_nanos,
        match snapshot.sampling {
            Some(sampling) => format!("sampled every {} bytes", sampling.interval()),
            None => "every block".to_owned(),
        },
    );
    text += &format!("totals      {}\n", counts(&snapshot.totals()));
    text += &format!("dropped     {}\n", counts(&snapshot.statistics.dropped));
    text += &statistics(&snapshot.statistics);
    for table in &snapshot.tables {
        text += &format!("table       {:#x}-{:#x}\n", table.start, table.end);
    }
    for module in &snapshot.modules {
        let Module { start, end, file_offset, executable, path, .. } = module;
        let code = if *executable { 'x' } else { '-' };
        text += &format!("module      {start:#x}-{end:#x} {code} {file_offset:#x} {path}\n");
    }
    let mut sites: Vec<(usize, &Site)> = snapshot.sites.iter().enumerate().collect();
    if rows > 0 {
        sites.sort_by_key(|(at, site)| (std::cmp::Reverse(site.counts.inuse_bytes), *at));
        sites.truncate(rows);
    }
    for (number, one) in &sites {
        text += &of_site(*number, one);
    }
    if sites.len() < snapshot.sites.len() {
        text += &format!("… and {} more sites\n", snapshot.sites.len() - sites.len());
    }
    text
}

fn counts(counts: &Counts) -> String {
    let Counts { inuse_blocks, inuse_bytes, alloc_blocks, alloc_bytes, peak_blocks, peak_bytes } =
        counts;
    format!(
        "in use {inuse_bytes} B / {inuse_blocks}, allocated {alloc_bytes} B / {alloc_blocks}, \
         peak {peak_bytes} B / {peak_blocks}"
    )
}

fn statistics(statistics: &Statistics) -> String {
    let inherited = &statistics.inherited;
    let rows = [
        ("sites", statistics.sites),
        ("room for sites", statistics.site_capacity),
        ("untracked blocks", statistics.untracked_blocks),
        ("untracked bytes", statistics.untracked_bytes),
        ("foreign frees", statistics.foreign_frees),
        ("stale blocks", statistics.stale_blocks),
        ("nested calls", statistics.nested_calls),
        ("truncated stacks", statistics.truncated_stacks),
        ("broken stacks", statistics.broken_stacks),
        ("hook replaced", statistics.hook_replaced.into()),
        ("sandboxed", statistics.sandboxed.into()),
        ("unrecorded children", statistics.unrecorded_children),
        ("unsettled events", statistics.unsettled_events),
        ("inherited blocks", inherited.blocks),
        ("inherited bytes", inherited.bytes),
        ("inherited and freed", inherited.freed_blocks),
        ("ledger bytes", statistics.ledger_bytes),
        ("private bytes", statistics.private_bytes),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "  {name:<20} {value}");
    }
    text
}

fn of_site(at: usize, site: &Site) -> String {
    let file = site.file.as_deref().unwrap_or("NULL");
    let cut = if site.truncated { ", cut" } else { "" };
    let blocks = if site.block_bytes > 0 {
        format!(", blocks of {} B", site.block_bytes)
    } else {
        String::new()
    };
    let stack: Vec<String> = site.stack.iter().map(|frame| format!("{frame:#x}")).collect();
    format!(
        "site {at}: {} {}, {file}:{}{blocks}, {} frames{cut}\n  {}\n  {}\n",
        site.source.domain.word(),
        site.source.instance,
        site.line,
        site.stack.len(),
        counts(&site.counts),
        stack.join(" "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_sites_come_first_and_the_others_are_counted() {
        let site = |line, inuse_bytes| Site {
            file: Some("ssl/ssl_lib.c".into()),
            line,
            stack: vec![0x10, 0x20],
            counts: Counts { inuse_bytes, ..Counts::default() },
            ..Site::default()
        };
        let sites = vec![site(1, 5), site(2, 7), site(3, 6)];
        let snapshot = Snapshot { pid: 42, sites, ..Snapshot::default() };
        let text = ledger(&snapshot, 2);
        assert!(text.starts_with("process 42, recorded since 0 ns after 1970, every block\n"));
        assert!(text.contains("totals      in use 18 B / 0"), "{text}");
        let second = text.find("site 1: openssl 0, ssl/ssl_lib.c:2, 2 frames").expect("the second");
        let third = text.find("site 2: ").expect("the third");
        assert!(second < third && text.contains("\n  0x10 0x20\n"), "{text}");
        assert!(text.ends_with("… and 1 more sites\n"), "{text}");
    }
}
