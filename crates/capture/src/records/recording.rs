//! `run.json` of `tlsheap record`: what was recorded, how much of it was seen, and what came of
//! it. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::path::Path;

use analysis::ssl_object_share::SslObjectShare;
use analysis::steps::{Each, Interval, StepCost, Tier, is_told};
use ledger::{Found, Other, Outcome};
use serde::{Deserialize, Serialize};

use crate::CaptureError;
use crate::json::interval::Ends;
use crate::machine::Machine;
use crate::records::account::AccountRecord;
use crate::records::counts::CountsRecord;
use crate::records::heap::{HeapRecord, HolderRecord};
use crate::records::memory::MemoryRecord;
use crate::records::recorder::RecorderRecord;
use crate::records::run::SymbolsRecord;
use crate::records::{parse_json, read_json};

/// What [`Recording::kind`] holds; runs of the reference server have no such field.
pub const KIND: &str = "record";

/// The version of this file's shape.
pub const SCHEMA: u32 = 1;

/// One recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recording {
    /// [`SCHEMA`].
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How the program ended, in words.
    pub ended: String,
    /// What is said of a program that was attached to while it ran; absent where it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<AttachedRecord>,
    /// The program's exit code; `null` when a signal ended it.
    pub exit_code: Option<i32>,
    /// When the figures were read, in words.
    pub captured: String,
    /// When they were read, in seconds after the program's start; `null` when that was at its end.
    pub captured_after_seconds: Option<f64>,
    /// SSL objects that were live at the capture, without those that are known to be closed; `null`
    /// without one while the program ran. Each end of a connection has one.
    pub connections: Option<u64>,
    /// What one SSL object costs; `null` without any.
    pub per_connection: Option<PerSslObject>,
    /// What one connection costs by the steps between looks at the ledgers; `null` where that
    /// cannot be said. `per_connection` and the folder's baseline are by it where it is known.
    #[serde(default)]
    pub steps: Option<StepsRecord>,
    /// The last still moment before the capture without SSL objects; `null` when there was none.
    pub baseline: Option<BaselineRecord>,
    /// The moment at which the connections of the capture were closed; `null` without one.
    #[serde(default)]
    pub closed: Option<ClosedRecord>,
    /// What memory the processes have beside OpenSSL's; `null` where that could not be read.
    #[serde(default)]
    pub memory: Option<MemoryRecord>,
    /// What everybody else than OpenSSL asked the malloc family for; absent where OpenSSL's memory
    /// alone was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap: Option<HeapRecord>,
    /// What the resident memory is; absent where OpenSSL's memory alone was recorded, where the
    /// processes might not be looked into, and of a program that had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountRecord>,
    /// Live OpenSSL objects by kind at the capture.
    pub objects: BTreeMap<String, i64>,
    /// How many captures are in `series`.
    pub series: usize,
    /// This program's version.
    pub tlsheap: String,
    /// The commit it was built from, where it is known.
    pub commit: Option<String>,
    /// What it ran on.
    pub machine: Machine,
    /// When the program was started.
    pub started: String,
    /// From its start to its end.
    pub seconds: f64,
    /// All processes added up. Their peaks need not have come at one time.
    pub openssl: CountsRecord,
    /// Every process that allocated in an OpenSSL, in order of their first allocations.
    pub processes: Vec<ProcessRecord>,
    /// What was not seen, in sentences.
    pub problems: Vec<String>,
    /// How well addresses could be named.
    pub symbols: SymbolsRecord,
}

/// Processes that were attached to while they ran. All figures are of what came since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttachedRecord {
    /// The process that was named; `null` where a control group was.
    pub pid: Option<u32>,
    /// The folder of the control group that was named; `null` where a process was.
    pub cgroup: Option<String>,
    /// Those that were attached to, in that order. What they have forked since is not among them.
    pub processes: Vec<VisitedRecord>,
    /// Blocks that were freed or moved and are from before the attach; they are in no other figure.
    pub earlier_blocks: u64,
}

/// What attaching to a process and letting it go took of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VisitedRecord {
    /// The process.
    pub pid: u32,
    /// When it was attached to, in seconds after the recording's begin: 0 for those that were there.
    #[serde(default)]
    pub after_seconds: f64,
    /// How long one of its threads stood still or did the tool's work, in seconds, to be attached to.
    pub stopped_seconds: f64,
    /// Processor time of the thread in that, in seconds.
    pub processor_seconds: f64,
    /// The same when it was let go; `null` where it had ended, or could not be.
    pub let_go_stopped_seconds: Option<f64>,
    /// The same when it was let go; `null` where it had ended, or could not be.
    pub let_go_processor_seconds: Option<f64>,
    /// The SSL objects that it had before the attach; `null` where they were not counted.
    #[serde(default)]
    pub earlier: Option<EarlierRecord>,
}

/// SSL objects that a process had before it was attached to, counted by a scan of its memory while
/// it ran. They are in no other figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlierRecord {
    /// Those that are blocks in use.
    pub ssl_objects: u64,
    /// What looks like one where it cannot be told whether it is in use.
    pub perhaps_ssl_objects: u64,
    /// Whether all memory was looked at in which there may be such. If not, there may be more.
    pub complete: bool,
    /// How much was looked at.
    pub scanned_bytes: u64,
    /// How long that took.
    pub seconds: f64,
}

/// OpenSSL's memory for each SSL object.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PerSslObject {
    /// Whether what was there before the first connection is taken off. If not, the figures are
    /// at most right: everything that OpenSSL holds is in them.
    pub less_baseline: bool,
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
    /// SSL objects that were made since the baseline.
    pub made: u64,
    /// Allocations since the baseline for each of them; `null` when none was made.
    pub allocations: Option<f64>,
}

/// What one connection costs, from how memory moved with the number of connections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StepsRecord {
    /// From which looks: `still_moments`, or `all_looks`.
    pub from: LooksUsed,
    /// How many looks that were.
    pub looks: usize,
    /// How often the number of connections was another than at the look before.
    pub changes: usize,
    /// Whether the figure may be said without its interval.
    pub certain: bool,
    /// Whether objects have outlived their connections that could not be told apart.
    pub mixed: bool,
    /// The part of the bytes for which a whole number of blocks was found, from 0 to 1.
    pub sure_share: f64,
    /// Requested bytes for each open connection.
    pub bytes: f64,
    /// Blocks for each open connection.
    pub blocks: f64,
    /// The bytes lie in this.
    pub bytes_interval: Ends,
    /// Bytes that were paid once; `null` where the program did not stand still before its first
    /// connection.
    pub paid_once_bytes: Option<f64>,
    /// SSL objects that were closed and not freed at the last look.
    pub idle_objects: i64,
    /// What each of those holds; `null` where there were none.
    pub idle: Option<EachRecord>,
    /// What each thread holds; `null` where that was not told apart from connections.
    pub thread: Option<EachRecord>,
    /// What each connection leaves behind when it has gone; `null` where none was seen to go.
    pub left: Option<EachRecord>,
}

impl StepsRecord {
    /// Whether the figure is told: [`StepCost::is_told`].
    pub fn is_told(&self) -> bool {
        let [low, high] = self.bytes_interval;
        is_told(self.from.tier(), self.changes, self.bytes, Interval { low, high })
    }
}

/// From which looks a figure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LooksUsed {
    /// Moments at which nothing changed, after the first connections.
    StillMoments,
    /// All, many of them with connections in mid-handshake.
    AllLooks,
}

impl LooksUsed {
    fn tier(self) -> Tier {
        match self {
            LooksUsed::StillMoments => Tier::Still,
            LooksUsed::AllLooks => Tier::Any,
        }
    }
}

/// Bytes and blocks for each of something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EachRecord {
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
}

impl From<Each> for EachRecord {
    fn from(each: Each) -> EachRecord {
        EachRecord { bytes: each.bytes, blocks: each.blocks }
    }
}

impl From<&StepCost> for StepsRecord {
    fn from(cost: &StepCost) -> StepsRecord {
        StepsRecord {
            from: match cost.tier {
                Tier::Still => LooksUsed::StillMoments,
                Tier::Any => LooksUsed::AllLooks,
            },
            looks: cost.looks,
            changes: cost.changes,
            certain: cost.is_certain(),
            mixed: cost.mixed,
            sure_share: cost.sure,
            bytes: cost.open.bytes,
            blocks: cost.open.blocks,
            bytes_interval: [cost.interval.low, cost.interval.high],
            paid_once_bytes: cost.once_bytes,
            idle_objects: cost.idle_objects,
            idle: cost.idle.map(EachRecord::from),
            thread: cost.thread.map(EachRecord::from),
            left: cost.left.map(EachRecord::from),
        }
    }
}

impl PerSslObject {
    /// The figures by steps in the place of those of two moments.
    #[must_use]
    pub fn by_steps(self, cost: &StepCost) -> PerSslObject {
        let Each { bytes, blocks } = cost.open;
        PerSslObject { less_baseline: true, bytes, blocks, ..self }
    }
}

/// The moment before the first connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BaselineRecord {
    /// After the program's start.
    pub after_seconds: f64,
    /// OpenSSL's memory, all processes added up.
    pub openssl: CountsRecord,
    /// All other memory, where it was recorded.
    #[serde(default)]
    pub others: Option<OthersRecord>,
}

/// The moment at which the connections of the capture were closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClosedRecord {
    /// After the program's start.
    pub after_seconds: f64,
    /// OpenSSL's memory, all processes added up.
    pub openssl: CountsRecord,
    /// SSL objects that were not freed by then.
    pub ssl_objects: u64,
    /// All other memory, where it was recorded.
    #[serde(default)]
    pub others: Option<OthersRecord>,
    /// The functions whose blocks and mappings, OpenSSL's left out, are more than before the first
    /// connection, the most first: the largest few, each with what it holds more.
    #[serde(default)]
    pub holders: Vec<HolderRecord>,
    /// What is resident then; `null` where only OpenSSL's memory was recorded, or the processes
    /// could not be looked into.
    #[serde(default)]
    pub account: Option<AccountRecord>,
}

/// Memory that is not OpenSSL's at one moment, all processes added up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct OthersRecord {
    /// The malloc family's.
    pub heap: CountsRecord,
    /// Mappings.
    pub mappings: CountsRecord,
    /// Python's objects; `null` where they are not counted one by one.
    pub python: Option<CountsRecord>,
}

impl OthersRecord {
    /// Bytes in use, of all of them.
    pub fn inuse_bytes(&self) -> u64 {
        let python = self.python.map_or(0, |counts| counts.inuse_bytes);
        let all = self.heap.inuse_bytes.saturating_add(self.mappings.inuse_bytes);
        all.saturating_add(python)
    }
}

/// One process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The process's id.
    pub pid: u32,
    /// Path of its program.
    pub program: String,
    /// The recorded process that forked it; `null` when it began with a program of its own.
    pub forked_from: Option<u32>,
    /// The file of the process's profile, in the folder.
    pub profile: String,
    /// The process's own allocations at the capture.
    pub openssl: CountsRecord,
    /// The process's own allocations when the program had ended.
    pub openssl_at_end: CountsRecord,
    /// What it had from the process that forked it.
    pub inherited: InheritedRecord,
    /// The OpenSSLs in it.
    pub openssls: Vec<OpensslRecord>,
    /// The TLS libraries in it that are not OpenSSL: none of them is recorded.
    #[serde(default)]
    pub other_tls: Vec<OtherTlsRecord>,
    /// What the recorder says of itself.
    pub recorder: RecorderRecord,
    /// Sites whose stacks end before their root, for lack of unwind tables.
    pub broken_stacks: u64,
}

/// Blocks that a process had from the one that forked it: in none of its other figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InheritedRecord {
    /// How many.
    pub blocks: u64,
    /// Their requested bytes.
    pub bytes: u64,
    /// How many of them it has freed.
    pub freed_blocks: u64,
    /// Requested bytes of those.
    pub freed_bytes: u64,
    /// How far off the bytes may be, where a part of the blocks was counted. Of the blocks that is
    /// not known: their sizes are in no ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_interval95: Option<Ends>,
    /// How far off the freed bytes may be, where a part of the blocks was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_bytes_interval95: Option<Ends>,
}

/// One OpenSSL in a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpensslRecord {
    /// The file it lies in, without its folder.
    pub object: String,
    /// What it says of itself.
    pub version: String,
    /// How it was found, in a word of [`ledger::Way`].
    pub way: String,
    /// What came of it, in a word of [`ledger::Outcome`].
    pub outcome: String,
}

/// One TLS library in a process that is not OpenSSL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OtherTlsRecord {
    /// The file it lies in, without its folder.
    pub object: String,
    /// Its name, as [`ledger::TlsLibrary::name`] has it.
    pub library: String,
}

impl Recording {
    /// Reads a recording's `run.json`.
    pub fn read(path: &Path) -> Result<Recording, CaptureError> {
        Recording::parse(&read_json(path)?, path)
    }

    /// What the text of a `run.json` says. `path` is what errors call the file.
    pub fn parse(text: &str, path: &Path) -> Result<Recording, CaptureError> {
        parse_json(text, path, "a recording", SCHEMA)
    }

    /// The program, as it was named.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// What one connection costs by steps, where that is better than what two moments say.
    pub fn told_steps(&self) -> Option<&StepsRecord> {
        self.steps.as_ref().filter(|steps| steps.is_told())
    }

    /// Whether the folder's baseline is what the processes would hold at the capture without their
    /// open connections, and no moment of its own.
    pub fn has_baseline_by_steps(&self) -> bool {
        let at_a_moment = self.closed.is_some() && self.baseline.is_some();
        self.told_steps().is_some() && !self.is_at_peak() && !at_a_moment
    }

    /// Whether the program had ended, so that its highest total is what there is to look at.
    pub fn is_at_peak(&self) -> bool {
        self.captured_after_seconds.is_none()
    }

    /// Of which moment the peaks are, in words.
    pub fn moment_of_peak(&self) -> &'static str {
        match &self.heap {
            Some(heap) if heap.peak_is_openssls => "when OpenSSL's total was highest",
            _ => "at the highest total",
        }
    }

    /// The version of the OpenSSL that was recorded, if all processes had one and the same.
    pub fn openssl(&self) -> Option<&str> {
        let recorded = Outcome::Recorded.word();
        let mut versions = self
            .processes
            .iter()
            .flat_map(|process| &process.openssls)
            .filter(|openssl| openssl.outcome == recorded && !openssl.version.is_empty())
            .map(|openssl| openssl.version.as_str());
        let first = versions.next()?;
        versions.all(|version| version == first).then_some(first)
    }
}

impl From<&SslObjectShare> for PerSslObject {
    fn from(share: &SslObjectShare) -> PerSslObject {
        PerSslObject {
            less_baseline: share.less_baseline,
            bytes: share.bytes,
            blocks: share.blocks,
            made: share.made,
            allocations: share.allocations,
        }
    }
}

impl From<&Found> for OpensslRecord {
    fn from(found: &Found) -> OpensslRecord {
        OpensslRecord {
            object: found.object.rsplit('/').next().unwrap_or_default().to_owned(),
            version: found.version.clone(),
            way: found.way.word().to_owned(),
            outcome: found.outcome.word().to_owned(),
        }
    }
}

impl From<&Other> for OtherTlsRecord {
    fn from(other: &Other) -> OtherTlsRecord {
        OtherTlsRecord {
            object: other.object.rsplit('/').next().unwrap_or_default().to_owned(),
            library: other.library.name().to_owned(),
        }
    }
}
