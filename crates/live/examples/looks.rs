//! What looking costs the one who looks: `cargo run --release -p live --example looks -- TARGET
//! [LOOKS] [MILLISECONDS BETWEEN]` prints the processor time of the first look, which finds the
//! names, and of each further one.

use std::time::Duration;

use analysis::group::By;
use contract::Domain;
use live::{Comparison, Follower, Order, Target};
use recording::kernel::processor_time;

fn used() -> Duration {
    processor_time(std::process::id()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let word = arguments.next().ok_or("name a process's id, a ledger or a folder")?;
    let mut number = |usual| -> Option<u64> {
        arguments.next().map_or(Some(usual), |text| text.to_str()?.parse().ok())
    };
    let looks = number(20).ok_or("LOOKS is a number")?;
    let between = Duration::from_millis(number(1_000).ok_or("MILLISECONDS is a number")?);
    let mut follower = Follower::of(Target::of_word(&word)?);
    let first = follower.look()?;
    println!("the first look: {:?}, {} samples", used(), first.profile.samples().len());
    let (began, mut before) = (used(), first.clone());
    for _ in 0..looks {
        std::thread::sleep(between);
        let now = follower.look()?;
        let comparison = Comparison { now: &now, since: &first, before: Some(&before) };
        comparison.rows(By::Site, Some(Domain::Openssl), Order::Bytes);
        before = now;
    }
    println!("each further look: {:?}", used().saturating_sub(began) / looks.try_into()?);
    Ok(())
}
