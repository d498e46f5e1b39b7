//! What the page shows.

use std::collections::BTreeMap;

use analysis::composition::Part;
use analysis::diagnosis::Diagnosis;
use analysis::diff::{Change, DiffRow, Margins};
use analysis::stacks::Stack;
use analysis::top::Top;
use profile::Sampling;

use super::choices::Choices;
use crate::timeline::Timeline;

/// Everything that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What was measured, in the order in which it is told.
    pub subjects: Vec<Subject>,
    /// What holds for all subjects: machine, versions, command.
    pub measured: Vec<Fact>,
}

/// One capture, usually of one configuration.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What to call it.
    pub name: String,
    /// What it is, in one line; empty when nothing is known.
    pub summary: String,
    /// Why it is shown at another moment than the capture's, as `at the peak: …`; may be empty.
    pub moment: String,
    /// Bytes and blocks by site.
    pub top: Top,
    /// What one connection costs the whole process, where that was recorded.
    pub whole: Option<Whole>,
    /// What it held at its peak, where its figures are of a whole process.
    pub peak: Option<f64>,
    /// What was found in it, or why that is not known.
    pub found: Found,
    /// Fixes that were tried on it one by one; none where that was not done.
    pub tried: Vec<Tried>,
    /// Every stack with the figures that a reader may choose; `None` where the script has nothing
    /// to draw from.
    pub choices: Option<Choices>,
    /// How its blocks were sampled; `None` where each was counted.
    pub sampling: Option<Sampling>,
    /// The bytes by group, see [`analysis::composition`].
    pub parts: Vec<Part>,
    /// The bytes by stack.
    pub stacks: Vec<Stack>,
    /// What others than OpenSSL hold: sampled, and in the flamegraph only.
    pub other_stacks: Vec<Stack>,
    /// Figures that no profile has.
    pub beside: Beside,
    /// Live objects by OpenSSL's name of their type.
    pub objects: BTreeMap<String, i64>,
    /// What changed against the subject before.
    pub step: Option<Step>,
    /// What resident memory is made of, moment after moment.
    pub accounts: Vec<Account>,
    /// How large live blocks are.
    pub sizes: BlockSizes,
    /// What is still there when all connections are closed; `None` where that is not known.
    pub stays: Option<Stays>,
    /// Memory over time.
    pub timeline: Option<Timeline>,
    /// How this capture was made and what the recorder says of itself.
    pub measured: Vec<Fact>,
}

/// A fix that was tried: figures in words, `None` for what was not measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Its name, as `what-if` takes it.
    pub name: String,
    /// Bytes of OpenSSL's that a connection costs less with it.
    pub saved: Option<String>,
    /// What the diagnosis says of that.
    pub predicted: Option<String>,
    /// Resident bytes that the whole program has less.
    pub saved_resident: Option<String>,
    /// By how much there are more handshakes in a second.
    pub handshakes: Option<String>,
    /// Why it was not applied, and what else there is to say of it.
    pub said: Vec<String>,
}

/// What one connection costs the whole process, of which its OpenSSL is a part.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// Resident bytes.
    pub bytes: f64,
    /// Who asked for them, in words.
    pub made_of: String,
    /// How that is known, in words.
    pub how: String,
}

/// What a diagnosis has to say.
#[derive(Clone, Debug, Default)]
pub enum Found {
    /// There was none.
    #[default]
    Nothing,
    /// The findings, most bytes first.
    Diagnosis(Box<Diagnosis>),
    /// Why there is no diagnosis.
    Unknown(String),
}

/// Figures of a connection that come from elsewhere than its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Beside {
    /// Allocations until the capture.
    pub allocations: Option<f64>,
    /// Half the width of the 95 % interval of `allocations`; `None` where that is exact.
    pub allocations_margin: Option<f64>,
    /// Resident bytes, measured without the recorder.
    pub rss: Option<Spread>,
    /// Full handshakes in a second, measured without the recorder.
    pub handshakes_per_second: Option<Spread>,
}

/// The middle of several measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least and the most, where there was more than one.
    pub range: Option<(f64, f64)>,
}

/// What changed against the subject before, figures in the meaning of both [`Top::figures`].
#[derive(Clone, Debug)]
pub struct Step {
    /// All bytes.
    pub bytes: Change,
    /// How far off they may be.
    pub bytes_margins: Margins,
    /// The changes by site, largest first.
    pub rows: Vec<DiffRow>,
}

/// What is still there when all connections are closed.
#[derive(Clone, Debug, Default)]
pub struct Stays {
    /// Whose memory was looked at.
    pub of: StaysOf,
    /// The sites that hold more than before the first connection, those with most first.
    pub rows: Vec<DiffRow>,
}

/// Whose memory it is that may stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StaysOf {
    /// OpenSSL's.
    #[default]
    Openssl,
    /// All that was recorded.
    Everything,
}

/// How large live blocks are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum BlockSizes {
    /// Nobody would expect to be told, as of a profile alone.
    #[default]
    OutOfPlace,
    /// They are not known: why, in a sentence.
    Unknown(&'static str),
    /// They are known.
    Known {
        /// When, in a few words that follow "were live".
        moment: String,
        /// Those in which there are blocks, the small ones first.
        classes: Vec<SizeClass>,
    },
}

/// Live blocks between two powers of two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SizeClass {
    /// The largest size, a power of two.
    pub up_to: u64,
    /// How many there are.
    pub blocks: u64,
    /// Requested bytes in them.
    pub bytes: u64,
    /// Who asked for these bytes, in words.
    pub owners: String,
}

/// What resident memory is made of, as a sum that comes out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// When, in a few words that follow "were resident".
    pub moment: String,
    /// Whose it is: accounts of one kind are drawn on one scale.
    pub of: AccountOf,
    /// Resident bytes: the sum of the lines.
    pub resident: i64,
    /// What explains them, in the order in which it is told.
    pub lines: Vec<AccountLine>,
}

/// What an account is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountOf {
    /// All that the processes have.
    #[default]
    Processes,
    /// What a connection more adds to it.
    Connection,
}

/// One part of resident memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountLine {
    /// What it is.
    pub name: String,
    /// How many bytes; negative for what was asked for and never touched.
    pub bytes: i64,
    /// Half the width of the 95 % interval of `bytes`; `None` where they are exact.
    pub margin: Option<f64>,
    /// What it belongs to; may be empty.
    pub of: String,
}

/// A name and what is to be said under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What it is.
    pub value: String,
}

impl Fact {
    /// A fact.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Fact {
        Fact { name: name.into(), value: value.into() }
    }
}

/// The anchor of a subject. Names may repeat and hold anything, so they are not used.
pub(super) fn id(subject: usize) -> String {
    format!("subject-{}", subject + 1)
}
