//! What is watched, who asks, and what is seen on a terminal.

#![allow(dead_code, reason = "each test program uses its part of this")]

pub mod at_rest;
pub mod listening;
pub mod tmux;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// More than anything here takes on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const CONNECTIONS: u64 = 20;

/// Waits until something is so.
pub fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never seen: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// Whether programs of Debian's are there. Under CI, none may be missing.
pub fn are_there(programs: &[(&str, &str)]) -> bool {
    let missing = programs.iter().find(|(program, option)| {
        let asked = Command::new(program).arg(option).output();
        !asked.is_ok_and(|it| it.status.success())
    });
    let Some((program, _)) = missing else { return true };
    assert!(std::env::var_os("CI").is_none(), "missing: {program}");
    println!("skipped: {program} is not installed");
    false
}
