//! Writes a ledger of many sites, for measuring how fast names are found for it and how fast it is
//! written as a profile.

use std::error::Error;
use std::path::PathBuf;

use bench::made_up_stacks::{MadeUpStacks, own_maps};
use clap::Parser;
use contract::Source;
use ledger::Capacities;
use ledger_writer::{Account, Lease, Ledger, Share, SiteKey, StackEnd};

/// Writes a ledger.
#[derive(Parser)]
struct Arguments {
    /// How many sites.
    sites: u32,
    file: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let ledger = Ledger::create(&arguments.file, Capacities::for_sites(arguments.sites))?;
    ledger.store_modules(own_maps()?.as_bytes());
    let file = ledger.add_file(b"ssl/ssl_lib.c").ok_or("no room for a file")?;
    let (accounts, mut lease) = ([Account::default()], Lease::default());
    let mut stacks = MadeUpStacks::begin()?;
    for number in 1..=arguments.sites {
        let stack: Vec<usize> = stacks.stack().into_iter().map(|it| it as usize).collect();
        let (line, frames) = (number, stack.as_slice());
        let key =
            SiteKey { source: Source::openssl(0), file_pointer: 1, line, block_bytes: 0, frames };
        let site = ledger.add_site(key, Some(file), StackEnd::Root);
        let cell = ledger.claim_cell(site.ok_or("no room for a site")?, 1);
        let cell = cell.ok_or("no room for a cell")?;
        for _ in 0..=stacks.below(4) {
            let share = Share { account: &accounts[0], lease: &mut lease, accounts: &accounts[..] };
            ledger.count_allocation(cell, 16 + stacks.below(5_000), share);
        }
    }
    Ok(())
}
