//! Looks again and again, until there is something to see or the time is over.

use std::time::{Duration, Instant};

/// The time between two looks.
pub const GLANCE: Duration = Duration::from_millis(50);

/// What `look` sees first; `None` when it has seen nothing after that time. It looks once at least.
pub fn seen_within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || begun.elapsed() >= time {
            return seen;
        }
        std::thread::sleep(GLANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_there_is_something_and_once_at_least() {
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            (looks == 3).then_some(looks)
        };
        assert_eq!(seen_within(Duration::ZERO, &mut third), None);
        assert_eq!(seen_within(Duration::from_secs(60), third), Some(3));
    }
}
