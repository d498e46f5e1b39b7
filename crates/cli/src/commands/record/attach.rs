//! Which processes `tlsheap record` attaches to in place of starting a program.

use std::path::PathBuf;

use clap::Args;
use recording::{AttachTo, Earlier, RecordingError};

/// The options that name running processes.
#[derive(Debug, Args)]
pub struct Attach {
    /// Attach to the process that runs with this id in place of starting a program, record what it
    /// allocates from then on, and let it go when a goal is reached, at Ctrl-C or SIGTERM: it goes
    /// on as before (docs/attach.md)
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Attach to all that PID has started, too, and that those have, as far as they use TLS
    #[arg(long, requires = "pid")]
    children: bool,
    /// Attach to the processes of a control group, as a service or a container has one, as far as
    /// they use TLS: its folder below /sys/fs/cgroup, its path as in /proc/PID/cgroup, or the
    /// container's id, of which 12 digits are enough
    #[arg(long, value_name = "PATH", conflicts_with = "pid")]
    cgroup: Option<PathBuf>,
    /// Count the SSL objects that are there before the attach as well, and say how many: by a scan
    /// of the processes' memory for pointers to OpenSSL's functions, from outside, for at most 5
    /// seconds each. They are in no other figure
    #[arg(long, conflicts_with = "command")]
    count_earlier: bool,
}

impl Attach {
    /// The processes, and the option that named them.
    pub fn to(&self) -> Result<Option<(AttachTo, &'static str)>, RecordingError> {
        Ok(match (self.pid, &self.cgroup) {
            (Some(pid), _) if self.children => Some((AttachTo::Tree(pid), "--pid")),
            (Some(pid), _) => Some((AttachTo::Process(pid), "--pid")),
            (None, Some(path)) => Some((AttachTo::cgroup(path)?, "--cgroup")),
            (None, None) => None,
        })
    }

    /// What becomes of the SSL objects from before.
    pub fn earlier(&self) -> Earlier {
        if self.count_earlier { Earlier::Counted } else { Earlier::LeftOut }
    }

    pub fn is_asked_for(&self) -> bool {
        self.pid.is_some() || self.cgroup.is_some()
    }
}
