//! The atomics by which threads agree on accounts and the peak: the processor's; or, to try every
//! order of events, those of loom, which has none of 128 bits.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};
#[cfg(not(loom))]
pub(crate) use portable_atomic::AtomicU128;

#[cfg(loom)]
pub(crate) use of_loom::AtomicU128;

#[cfg(loom)]
mod of_loom {
    use std::sync::atomic::Ordering;

    use loom::sync::Mutex;

    /// One word behind a lock, which is at least as strong as any order that is asked for.
    #[derive(Debug)]
    pub(crate) struct AtomicU128(Mutex<u128>);

    impl Default for AtomicU128 {
        fn default() -> AtomicU128 {
            AtomicU128(Mutex::new(0))
        }
    }

    impl AtomicU128 {
        pub(crate) fn load(&self, _order: Ordering) -> u128 {
            *self.0.lock().expect("nobody panics with it")
        }

        pub(crate) fn compare_exchange(
            &self,
            old: u128,
            new: u128,
            _success: Ordering,
            _failure: Ordering,
        ) -> Result<u128, u128> {
            let mut word = self.0.lock().expect("nobody panics with it");
            if *word != old {
                return Err(*word);
            }
            *word = new;
            Ok(old)
        }
    }
}
