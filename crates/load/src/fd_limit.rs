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
    /// The hard limit is too low.
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
/// open at once. Raises the soft limit when it is too low and the hard limit allows it.
pub fn make_room_for(connections: usize) -> Result<(), FdLimitError> {
    let limits = read()?;
    match soft_limit_for(connections as u64, limits)? {
        Some(soft) => raise(Limits { soft, ..limits }),
        None => Ok(()),
    }
}

/// The soft limit to set; `None` when the present one will do.
fn soft_limit_for(connections: u64, limits: Limits) -> Result<Option<u64>, FdLimitError> {
    let needed = connections.saturating_add(BESIDE_CONNECTIONS);
    if needed <= limits.soft {
        Ok(None)
    } else if needed <= limits.hard {
        Ok(Some(needed))
    } else {
        let possible = limits.hard.saturating_sub(BESIDE_CONNECTIONS);
        Err(FdLimitError::TooLow { connections, needed, limit: limits.hard, possible })
    }
}

fn read() -> Result<Limits, FdLimitError> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live value of the type that the call fills in.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) } != 0 {
        return Err(FdLimitError::System("read", io::Error::last_os_error()));
    }
    Ok(Limits { soft: limits.rlim_cur, hard: limits.rlim_max })
}

fn raise(limits: Limits) -> Result<(), FdLimitError> {
    let limits = libc::rlimit { rlim_cur: limits.soft, rlim_max: limits.hard };
    // SAFETY: the pointer is to a live value that the call only reads.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) } != 0 {
        return Err(FdLimitError::System("raised", io::Error::last_os_error()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { soft: 1024, hard: 4096 };

    #[test]
    fn a_limit_that_will_do_is_left_alone() {
        assert_eq!(soft_limit_for(960, LIMITS).unwrap(), None);
    }

    #[test]
    fn a_soft_limit_that_is_too_low_is_raised_as_far_as_needed() {
        assert_eq!(soft_limit_for(961, LIMITS).unwrap(), Some(1025));
        assert_eq!(soft_limit_for(4032, LIMITS).unwrap(), Some(4096));
    }

    #[test]
    fn more_than_the_hard_limit_is_refused_with_the_way_out() {
        let error = soft_limit_for(5000, LIMITS).unwrap_err();
        assert_eq!(
            error.to_string(),
            "5000 connections need 5064 file descriptors in one process, and the limit is 4096: \
             ask for at most 4032 connections, or raise the hard limit \
             (`ulimit -Hn 5064` as root, or nofile in /etc/security/limits.conf)"
        );
    }

    #[test]
    fn an_absurd_count_is_refused_too() {
        assert!(soft_limit_for(u64::MAX, LIMITS).is_err());
    }

    #[test]
    fn this_process_has_room_for_a_few() {
        make_room_for(10).unwrap();
        assert!(read().unwrap().soft >= 10);
    }
}
