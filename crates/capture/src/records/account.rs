//! What the resident memory of recorded processes is, in JSON.

use std::collections::BTreeMap;

use analysis::account_growth::AccountGrowth;
use analysis::block_sizes::Blocks;
use analysis::resident_account::{ResidentAccount, Touched};
use contract::Domain;
use serde::{Deserialize, Serialize};

/// Resident bytes at the capture that are in no file, not made to be shared and not the recorder's,
/// of all recorded processes: each is in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Live blocks, by domain: those that a process has from before its fork too.
    pub blocks: BTreeMap<String, TouchedRecord>,
    /// Mappings that are not made to be shared, without the blocks in them.
    pub mappings: TouchedRecord,
    /// What the C library's allocator has in front of each block and rounds it up by.
    pub headers_bytes: u64,
    /// Among blocks, and in none: free pages that the allocator keeps, and what another allocator
    /// rounds up by.
    pub free_bytes: u64,
    /// The part of it that is whole pages, which an allocator can give back to the kernel. Records
    /// of before it was told apart have none.
    #[serde(default)]
    pub free_pages_bytes: u64,
    /// Stacks of threads.
    pub stacks_bytes: u64,
    /// Pages of files that were written to.
    pub written_files_bytes: u64,
    /// Pages that processes share since a fork, whatever is in them, divided among them.
    pub shared_bytes: u64,
    /// In none of these.
    pub other_bytes: u64,
    /// All of them.
    pub total_bytes: u64,
    /// How large live blocks are, by whose they are and up to which power of two: the small ones of
    /// each domain first. Records of before it was told have none.
    #[serde(default)]
    pub sizes: Vec<SizesRecord>,
    /// The functions that asked for what is resident of blocks and mappings that are not OpenSSL's,
    /// the most first: the largest few.
    #[serde(default)]
    pub holders: Vec<ResidentHolderRecord>,
    /// By how much each line grew for each connection; `null` where few came, or none.
    pub growth: Option<AccountGrowthRecord>,
}

/// Live blocks of one class of sizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizesRecord {
    /// The word of the domain that asked for them.
    pub domain: String,
    /// The largest size of the class, a power of two; the smallest is one byte more than half of it.
    pub up_to_bytes: u64,
    /// How many there are.
    pub blocks: u64,
    /// Requested bytes in them.
    pub bytes: u64,
}

/// A function that asked for memory that is resident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResidentHolderRecord {
    /// The function that asked for it.
    pub function: String,
    /// Functions that lead there and tell its story, outermost first.
    pub through: Vec<String>,
    /// Resident bytes: in all, or for each connection that came.
    pub bytes: f64,
}

/// Memory that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TouchedRecord {
    /// Bytes that were asked for.
    pub requested_bytes: u64,
    /// Bytes of them in memory.
    pub resident_bytes: u64,
}

/// Bytes for each connection that came: the lines of [`AccountRecord`], below 0 where they shrank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountGrowthRecord {
    /// Live SSL objects at the account before.
    pub from_connections: u64,
    /// Live SSL objects at the capture.
    pub to_connections: u64,
    /// Resident bytes of live blocks, by domain.
    pub blocks: BTreeMap<String, f64>,
    /// Bytes that were asked for in live blocks, of all domains.
    pub requested: f64,
    /// Mappings.
    pub mappings: f64,
    /// Headers of the C library's allocator.
    pub headers: f64,
    /// Free pages among blocks: below 0 where new blocks lie in what was free before.
    pub free: f64,
    /// Stacks.
    pub stacks: f64,
    /// Pages of files that were written to.
    pub written_files: f64,
    /// Pages that are shared since a fork.
    pub shared: f64,
    /// In none of these.
    pub other: f64,
    /// All of them.
    pub total: f64,
    /// The functions whose blocks and mappings, OpenSSL's left out, grew so, the most first: the
    /// largest few.
    #[serde(default)]
    pub holders: Vec<ResidentHolderRecord>,
    /// The part of the total that is not in `other`, from 0 to 1; `null` where nothing grew.
    pub explained: Option<f64>,
}

impl AccountRecord {
    /// Of the capture.
    pub fn new(account: &ResidentAccount, growth: Option<&AccountGrowth>) -> AccountRecord {
        let word = |(domain, blocks): (&Domain, &Touched)| {
            (domain.word().to_owned(), TouchedRecord::from(*blocks))
        };
        AccountRecord {
            blocks: account.blocks.iter().map(word).collect(),
            mappings: account.mappings.into(),
            headers_bytes: account.headers,
            free_bytes: account.free,
            free_pages_bytes: account.free_pages,
            stacks_bytes: account.stacks,
            written_files_bytes: account.files,
            shared_bytes: account.shared,
            other_bytes: account.other,
            total_bytes: account.total(),
            sizes: account.sizes.classes().map(SizesRecord::of).collect(),
            holders: Vec::new(),
            growth: growth.map(AccountGrowthRecord::from),
        }
    }

    /// By how much it grew for each connection, where so many came that it can be told: with fewer,
    /// a page or two that come by chance would count for much. Nor where much else went away
    /// meanwhile.
    pub fn told_growth(&self) -> Option<&AccountGrowthRecord> {
        const FEW: u64 = 8;
        let growth = self.growth.as_ref()?;
        let came = growth.to_connections.saturating_sub(growth.from_connections);
        (came >= FEW && growth.total >= 1.0 && !growth.much_went_away()).then_some(growth)
    }

    /// What was asked for and is not in memory: never touched, or given back to the kernel since.
    pub fn untouched_bytes(&self) -> u64 {
        let all = self.blocks.values().chain([&self.mappings]);
        all.map(|it| it.requested_bytes.saturating_sub(it.resident_bytes)).sum()
    }
}

impl AccountGrowthRecord {
    /// Whether blocks or mappings shrank by more than an eighth of what grew: a collector's doing,
    /// or the program's, by which connections would seem to cost less than they do.
    pub fn much_went_away(&self) -> bool {
        const PART: f64 = 8.0;
        let asked = self.blocks.values().chain([&self.mappings]);
        let went: f64 = asked.filter(|bytes| **bytes < 0.0).sum::<f64>().abs();
        went * PART > self.total + went
    }
}

impl SizesRecord {
    /// The record of one of [`BlockSizes::classes`](analysis::block_sizes::BlockSizes::classes).
    pub fn of((domain, up_to_bytes, of): (Domain, u64, Blocks)) -> SizesRecord {
        let Blocks { blocks, bytes } = of;
        SizesRecord { domain: domain.word().to_owned(), up_to_bytes, blocks, bytes }
    }
}

impl From<Touched> for TouchedRecord {
    fn from(Touched { requested, resident }: Touched) -> TouchedRecord {
        TouchedRecord { requested_bytes: requested, resident_bytes: resident }
    }
}

impl From<&AccountGrowth> for AccountGrowthRecord {
    fn from(growth: &AccountGrowth) -> AccountGrowthRecord {
        let word = |(domain, bytes): (&Domain, &f64)| (domain.word().to_owned(), *bytes);
        AccountGrowthRecord {
            from_connections: growth.from,
            to_connections: growth.to,
            blocks: growth.blocks.iter().map(word).collect(),
            requested: growth.requested,
            mappings: growth.mappings,
            headers: growth.headers,
            free: growth.free,
            stacks: growth.stacks,
            written_files: growth.files,
            shared: growth.shared,
            other: growth.other,
            total: growth.total,
            holders: Vec::new(),
            explained: growth.explained(),
        }
    }
}
