//! One file per command: its options, and what it does with them.

pub mod check;
pub mod compare;
pub mod configs;
pub mod debug;
pub mod diagnose;
pub mod diff;
pub mod doctor;
pub mod export;
pub mod flame;
pub mod load;
pub mod record;
pub mod report;
pub mod run;
pub mod serve;
pub mod top;
pub mod watch;
pub mod what_if;
