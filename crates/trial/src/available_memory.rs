//! How much memory there still is for new processes, and how much of it is left to others: a run
//! ends before the kernel has to kill somebody.

use std::fs;
use std::path::Path;

use analysis::notation::human;
use recording::kernel::machine_memory;

/// One part in so many of all memory is left to others.
const RESERVE: u64 = 16;

/// Memory as it is now, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailableMemory {
    /// What new processes could have, without swapping.
    available: u64,
    /// All there is.
    all: u64,
}

impl AvailableMemory {
    /// As the kernel says, for the machine or for the control group that this process is in,
    /// whichever has less left. `None` where it does not say.
    pub fn now() -> Option<AvailableMemory> {
        let (all, available) = machine_memory()?;
        let machine = AvailableMemory { available, all };
        let group = of_group();
        Some(group.filter(|group| group.available < machine.available).unwrap_or(machine))
    }

    /// What may be used.
    fn usable(self) -> u64 {
        self.available.saturating_sub(self.all / RESERVE)
    }

    /// Why so many connections that need so much each will not fit; `None` when they may.
    pub fn too_little_for(self, connections: usize, bytes_each: f64) -> Option<String> {
        let needed = connections as f64 * bytes_each;
        if needed <= self.usable() as f64 {
            return None;
        }
        Some(format!(
            "{connections} connections need {} for what OpenSSL holds alone, {} each, and {} are \
             available: ask for fewer than {}, or for another configuration",
            human(needed),
            human(bytes_each),
            human(self.available as f64),
            (self.usable() as f64 / bytes_each) as u64,
        ))
    }

    /// Why a run of `connections` must end with `open` of them; `None` while it may go on.
    pub fn used_up_by(self, open: usize, connections: usize) -> Option<String> {
        if self.available > self.all / RESERVE {
            return None;
        }
        Some(format!(
            "{connections} connections do not fit into memory: with {open} open, {} of {} are \
             available, and no less is left to others; ask for fewer than {open}",
            human(self.available as f64),
            human(self.all as f64),
        ))
    }
}

/// The limit of the control group (version 2), in containers above all.
fn of_group() -> Option<AvailableMemory> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder = Path::new("/sys/fs/cgroup").join(path);
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
    };
    // Without a limit the file says `max`.
    let all = number("memory.max")?;
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    // Files that nobody has looked at for a while are counted, and are given up first.
    let files = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let files: u64 = files.and_then(|text| text.parse().ok()).unwrap_or_default();
    let used = number("memory.current")?.saturating_sub(files);
    Some(AvailableMemory { available: all.saturating_sub(used), all })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: AvailableMemory = AvailableMemory { available: 9_000_000, all: 16_000_000 };

    #[test]
    fn the_kernel_says_what_there_is() {
        let now = AvailableMemory::now().expect("this is Linux");
        assert!(now.available > 0 && now.available <= now.all, "{now:?}");
    }

    #[test]
    fn what_others_need_is_not_asked_for() {
        assert_eq!(MEMORY.too_little_for(1_000, 8_000.0), None);
        assert_eq!(
            MEMORY.too_little_for(1_001, 8_000.0).expect("too much"),
            "1001 connections need 8.0 MB for what OpenSSL holds alone, 8.0 KB each, and 9.0 MB \
             are available: ask for fewer than 1000, or for another configuration"
        );
    }

    #[test]
    fn a_run_ends_before_memory_does() {
        assert_eq!(MEMORY.used_up_by(500, 1_000), None);
        let low = AvailableMemory { available: 1_000_000, ..MEMORY };
        assert_eq!(
            low.used_up_by(500, 1_000).expect("too little"),
            "1000 connections do not fit into memory: with 500 open, 1.0 MB of 16.0 MB are \
             available, and no less is left to others; ask for fewer than 500"
        );
    }
}
