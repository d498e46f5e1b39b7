//! By how much the memory of processes grew while connections came.
//!
//! Memory that was given back by whoever came before is used again without a new page, and most
//! allocators keep what was freed: memory follows the *most* connections that there ever were, and
//! the first of them cost less than they do later. So looks are compared at which there were more
//! connections than at any before, and only the upper half of the way up.

/// What was seen at one look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Live SSL objects.
    pub connections: u64,
    /// Resident bytes that the processes have to themselves.
    pub own_bytes: u64,
    /// Bytes that OpenSSL had asked for and held.
    pub openssl_bytes: u64,
}

/// The growth between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryGrowth {
    /// Connections at the first of them.
    pub from: u64,
    /// Connections at the second, which is the most that there were.
    pub to: u64,
    /// By which the processes' own memory grew.
    pub bytes: i64,
    /// By which OpenSSL's requested bytes grew.
    pub openssl_bytes: i64,
}

impl MemoryGrowth {
    /// Bytes for each connection that came.
    pub fn bytes_each(&self) -> f64 {
        self.bytes as f64 / self.came()
    }

    /// Bytes that OpenSSL asked for, for each connection that came.
    pub fn openssl_bytes_each(&self) -> f64 {
        self.openssl_bytes as f64 / self.came()
    }

    fn came(&self) -> f64 {
        (self.to - self.from) as f64
    }
}

/// Fewer connections are lost among pages.
const LEAST_CONNECTIONS: u64 = 10;

/// The readings from which growth is told: at each number of connections that was not reached
/// before, the last one.
#[derive(Clone, Debug, Default)]
pub struct Climb(Vec<Reading>);

impl Climb {
    /// Adds a reading that is later than all before it.
    pub fn add(&mut self, reading: Reading) {
        match self.0.last_mut() {
            Some(last) if last.connections == reading.connections => *last = reading,
            Some(last) if last.connections > reading.connections => {}
            _ => self.0.push(reading),
        }
    }

    /// The growth over the upper half of the way; `None` where there never were enough connections.
    pub fn growth(&self) -> Option<MemoryGrowth> {
        let last = self.0.last().filter(|last| last.connections >= LEAST_CONNECTIONS)?;
        let before = self.0.partition_point(|it| it.connections * 2 <= last.connections);
        let first = self.0[before.checked_sub(1)?];
        let more = |after: u64, before: u64| after.wrapping_sub(before) as i64;
        Some(MemoryGrowth {
            from: first.connections,
            to: last.connections,
            bytes: more(last.own_bytes, first.own_bytes),
            openssl_bytes: more(last.openssl_bytes, first.openssl_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(seen: &[(u64, u64)]) -> Option<MemoryGrowth> {
        let mut climb = Climb::default();
        for (connections, own_bytes) in seen {
            let openssl_bytes = 10 * connections;
            climb.add(Reading { connections: *connections, own_bytes: *own_bytes, openssl_bytes });
        }
        climb.growth()
    }

    #[test]
    fn the_upper_half_of_the_way_up_counts_and_what_was_given_back_does_not() {
        // Ten first connections live in memory that the warm-up left behind.
        let seen = [(0, 900), (10, 900), (25, 1_000), (50, 3_500), (3, 3_400), (40, 3_500)];
        let growth = growth(&seen).expect("connections came");
        assert_eq!((growth.from, growth.to), (25, 50));
        assert_eq!((growth.bytes_each(), growth.openssl_bytes_each()), (100.0, 10.0));
    }

    #[test]
    fn of_one_number_of_connections_the_last_reading_counts() {
        // In mid-handshake, and at rest.
        let growth = growth(&[(20, 5_000), (20, 2_000), (40, 9_000), (40, 4_000), (30, 9_999)]);
        assert_eq!(growth.map(|growth| growth.bytes), Some(2_000));
    }

    #[test]
    fn few_connections_or_one_moment_say_nothing() {
        assert_eq!(growth(&[(0, 10), (9, 90)]), None);
        assert_eq!(growth(&[(40, 10)]), None);
        assert_eq!(growth(&[]), None);
        let shrunk = growth(&[(0, 900), (12, 300)]).expect("connections came");
        assert_eq!(shrunk.bytes, -600);
    }
}
