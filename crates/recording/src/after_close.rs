//! What is there when the connections of the capture are closed, beside what was there before them.

use std::num::NonZeroU64;

use analysis::resident_account::ResidentAccount;
use capture::records::account::AccountRecord;
use capture::records::recording::ClosedRecord;
use profile::{Profile, Symbols, merge};

use crate::gathering::live_ssl_objects;
use crate::heap::others;
use crate::holding;
use crate::moments::Moment;
use crate::profiles::{merged, totals, whole};

/// The moment, of whole processes as far as they were recorded.
pub(crate) struct AfterClose {
    pub record: ClosedRecord,
    pub profile: Profile,
    /// Before the first connection, where more than OpenSSL's memory was recorded: the baseline of
    /// the rest is what the steps between looks say.
    pub before: Option<Profile>,
}

impl AfterClose {
    /// `account` says what is resident then.
    pub fn of(
        closed: &Moment,
        before: Option<&Moment>,
        account: Option<&ResidentAccount>,
        symbols: &mut Symbols,
    ) -> AfterClose {
        let mut profile = merged(&closed.ledgers, symbols);
        let ssl_objects = live_ssl_objects(&profile);
        let both = before.filter(|before| !closed.heap.is_empty() && !before.heap.is_empty());
        let holders = both
            .map(|before| holding::requested(&closed.heap, &before.heap, NonZeroU64::MIN, symbols));
        if both.is_some() {
            merge(&mut profile, &merged(&closed.heap, symbols));
        }
        AfterClose {
            record: ClosedRecord {
                after_seconds: closed.after.as_secs_f64(),
                openssl: totals(&closed.ledgers),
                ssl_objects,
                others: others(&closed.heap),
                holders: holders.unwrap_or_default(),
                account: account.map(|account| AccountRecord::new(account, None)),
            },
            profile,
            before: both.map(|before| whole(&before.ledgers, &before.heap, symbols)),
        }
    }
}
