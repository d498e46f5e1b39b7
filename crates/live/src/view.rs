//! What was seen at one look.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use analysis::column::Column;
use analysis::group::{By, Key, Row, group_in};
use analysis::objects::Object;
use analysis::row_stacks::{RowStack, row_stacks};
use contract::Domain;
use ledger::{Counts, Sampling, Statistics};
use profile::Profile;

use crate::{Cost, Rates};

/// What was seen at one look.
#[derive(Debug)]
pub struct View {
    /// What is watched.
    pub name: String,
    /// Looks up to this one.
    pub number: u64,
    /// When it was.
    pub at: SystemTime,
    /// Since the first look.
    pub after: Duration,
    /// The processes that run, in the order in which they began.
    pub processes: Vec<ProcessView>,
    /// Processes that were seen to run and have ended.
    pub ended: usize,
    /// What the processes that run hold, by site: all domains, labelled with process and category.
    pub profile: Arc<Profile>,
    /// The same added up, by domain. Allocations are those of processes that have ended too.
    pub totals: BTreeMap<Domain, Counts>,
    /// SSL objects; `None` where a sample does not know them.
    pub connections: Option<Connections>,
    /// What one connection holds.
    pub cost: Cost,
    /// What the connections hold of each site of the profile, where [`View::cost`] is told by
    /// steps: bytes and blocks in use.
    pub of_connections: Option<Arc<Profile>>,
    /// What happens in a second; `None` at the first look.
    pub rates: Option<Rates>,
    /// What is there of each kind of object; `None` where a sample does not know them.
    pub objects: Option<BTreeMap<Object, i64>>,
    /// What the recorders say of themselves, together.
    pub recorder: Statistics,
    /// How blocks were chosen to be counted; `None` where each was.
    pub sampling: Option<Sampling>,
    /// What was refused or cannot be read, in sentences.
    pub problems: Vec<String>,
    pub(crate) rows: Rows,
}

/// SSL objects: one for each end of a connection that is in a process that is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// There now.
    pub live: u64,
    /// Ever made, by processes that have ended too.
    pub made: u64,
}

/// One process that runs.
#[derive(Clone, Debug)]
pub struct ProcessView {
    /// Its id, as it is known to this process.
    pub pid: u32,
    /// Its program, without the folder; may be empty.
    pub program: String,
    /// What it holds, all domains together.
    pub counts: Counts,
    /// Its SSL objects.
    pub connections: Option<Connections>,
    /// Resident bytes; `None` where the kernel does not say.
    pub resident_bytes: Option<u64>,
}

/// Rows, added up when they are asked for first.
#[derive(Debug, Default)]
pub(crate) struct Rows([OnceLock<Arc<Vec<Row>>>; 4], [OnceLock<Arc<Vec<Row>>>; 4]);

fn place(by: By) -> usize {
    match by {
        By::Site => 0,
        By::Function => 1,
        By::File => 2,
        By::Category => 3,
    }
}

impl View {
    /// What is in use, in rows: all domains.
    pub fn rows(&self, by: By) -> Arc<Vec<Row>> {
        let rows = || Arc::new(group_in(&self.profile, by, Column::InUse));
        Arc::clone(self.rows.0[place(by)].get_or_init(rows))
    }

    /// What connections hold, in rows of the same keys; none where that is not told by steps.
    pub fn rows_of_connections(&self, by: By) -> Arc<Vec<Row>> {
        let rows = || {
            let profile = self.of_connections.as_ref();
            Arc::new(profile.map(|it| group_in(it, by, Column::InUse)).unwrap_or_default())
        };
        Arc::clone(self.rows.1[place(by)].get_or_init(rows))
    }

    /// The stacks of the row with this key, most bytes in use first.
    pub fn stacks(&self, by: By, key: &Key) -> Vec<RowStack> {
        row_stacks(&self.profile, None, by, key, Column::InUse)
    }

    /// What is in use of a domain.
    pub fn in_use(&self, domain: Domain) -> Counts {
        self.totals.get(&domain).copied().unwrap_or_default()
    }

    /// The domain to look at first: OpenSSL's, where it has asked for anything.
    pub fn usual_domain(&self) -> Domain {
        let has_openssl = self.totals.contains_key(&Domain::Openssl);
        let other = self.totals.keys().next().copied();
        if has_openssl { Domain::Openssl } else { other.unwrap_or_default() }
    }

    /// Whether nothing of it runs.
    pub fn is_over(&self) -> bool {
        self.processes.is_empty()
    }
}
