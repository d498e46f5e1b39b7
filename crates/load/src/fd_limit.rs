//! The limit on file descriptors: raised where the system allows it, else said before anything
//! is started.

use std::io;

/// Descriptors that a program needs beside its connections: the standard streams, the runtime's
/// own, a listening socket, files.
const BESIDE_CONNECTIONS: u64 = 64;

/// Why so many connections cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FdLimitError {
    /// The hard limit is too low, and this process may not raise it.
    #[error(
        "{connections} connections need {needed} file descriptors in one process, and the limit is \
         {limit}: ask for at most {possible} connections, or raise the hard limit \
         (`ulimit -Hn {needed}` as root, or nofile in /etc/security/limits.conf)"
    )]
    TooLow {
        /// How many connections are wanted.
        connections: u64,
        /// How many descriptors that takes.
        needed: u64,
        /// The hard limit, which only root can raise.
        limit: u64,
        /// How many connections are possible.
        possible: u64,
    },
    /// No process of this machine can have so many, whoever runs it.
    #[error(
        "{connections} connections need {needed} file descriptors in one process, and this system \
         allows none more than {limit}: ask for at most {possible} connections, or raise it \
         (`sysctl fs.nr_open={needed}` as root)"
    )]
    MoreThanTheSystemAllows {
        /// How many connections are wanted.
        connections: u64,
        /// How many descriptors that takes.
        needed: u64,
        /// `fs.nr_open`.
        limit: u64,
        /// How many connections are possible.
        possible: u64,
    },
    /// The system did not say, or did not do it.
    #[error("the limit of file descriptors cannot be {0}")]
    System(&'static str, #[source] io::Error),
}

/// The limits of a process: the soft one holds, the hard one is how far it can be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    soft: u64,
    hard: u64,
}

/// Makes sure that this process, and those it starts from now on, can have so many connections
/// open at once. Raises the soft limit when it is too low and the hard limit allows it, and the
/// hard limit too where the process may do that, as root's may. `others` is how many connections
/// beside those may be open meanwhile.
pub fn make_room_for(connections: usize, others: usize) -> Result<(), FdLimitError> {
    let connections = connections as u64;
    let beside = BESIDE_CONNECTIONS.saturating_add(others as u64);
    let limits = read()?;
    let Some(wanted) = limits_for(connections, beside, limits, most_of_any_process())? else {
        return Ok(());
    };
    match set(wanted) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && wanted.hard > limits.hard => {
            let possible = limits.hard.saturating_sub(beside);
            let (needed, limit) = (wanted.soft, limits.hard);
            Err(FdLimitError::TooLow { connections, needed, limit, possible })
        }
        done => done.map_err(|error| FdLimitError::System("raised", error)),
    }
}

/// The limits to set; `None` when the present ones will do. `most` is what the system allows any
/// process.
fn limits_for(
    connections: u64,
    beside: u64,
    limits: Limits,
    most: u64,
) -> Result<Option<Limits>, FdLimitError> {
    let needed = connections.saturating_add(beside);
    if needed <= limits.soft {
        Ok(None)
    } else if needed <= limits.hard.max(most) {
        Ok(Some(Limits { soft: needed, hard: limits.hard.max(needed) }))
    } else {
        let possible = most.saturating_sub(beside);
        Err(FdLimitError::MoreThanTheSystemAllows { connections, needed, limit: most, possible })
    }
}

/// `fs.nr_open`; where it cannot be read, the system will say what it allows.
fn most_of_any_process() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}

fn read() -> Result<Limits, FdLimitError> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the type that the call fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) } != 0 {
        return Err(FdLimitError::System("read", io::Error::last_os_error()));
    }
    Ok(Limits { soft: limits.rlim_cur, hard: limits.rlim_max })
}

fn set(limits: Limits) -> io::Result<()> {
    let limits = libc::rlimit { rlim_cur: limits.soft, rlim_max: limits.hard };
    // SAFETY: the pointer is to a live value that the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { soft: 1024, hard: 4096 };
    const MOST: u64 = 1 << 20;

    #[test]
    fn a_limit_that_will_do_is_left_alone() {
        assert_eq!(limits_for(960, 64, LIMITS, MOST).unwrap(), None);
    }

    #[test]
    fn a_soft_limit_that_is_too_low_is_raised_as_far_as_needed() {
        for (connections, soft) in [(961, 1025), (4032, 4096)] {
            let wanted = limits_for(connections, 64, LIMITS, MOST).unwrap();
            assert_eq!(wanted, Some(Limits { soft, ..LIMITS }));
        }
    }

    #[test]
    fn a_hard_limit_that_is_too_low_goes_with_it() {
        let wanted = limits_for(100_000, 64, LIMITS, MOST).unwrap();
        assert_eq!(wanted, Some(Limits { soft: 100_064, hard: 100_064 }));
    }

    #[test]
    fn more_than_a_process_may_have_is_refused_with_the_way_out() {
        let error =
            FdLimitError::TooLow { connections: 5000, needed: 5064, limit: 4096, possible: 4032 };
        assert_eq!(
            error.to_string(),
            "5000 connections need 5064 file descriptors in one process, and the limit is 4096: \
             ask for at most 4032 connections, or raise the hard limit \
             (`ulimit -Hn 5064` as root, or nofile in /etc/security/limits.conf)"
        );
        let error = limits_for(2_000_000, 64, LIMITS, MOST).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2000000 connections need 2000064 file descriptors in one process, and this system \
             allows none more than 1048576: ask for at most 1048512 connections, or raise it \
             (`sysctl fs.nr_open=2000064` as root)"
        );
    }

    #[test]
    fn an_absurd_count_is_refused_too() {
        assert!(limits_for(u64::MAX, 64, LIMITS, MOST).is_err());
    }

    #[test]
    fn this_process_has_room_for_a_few() {
        make_room_for(10, 0).unwrap();
        assert!(read().unwrap().soft >= 10);
    }
}
