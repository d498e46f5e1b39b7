//! `what-if.json`: what each fix saved and what it cost. Documented in docs/json.md.

use analysis::diagnosis::Diagnosis;
use serde::Serialize;

use crate::commands::compare::figures::{Figures, median, spread};
use crate::commands::what_if::fix::{self, Fix};
use crate::commands::what_if::reached::Place;
use crate::machine::Machine;
use crate::run_record::Versions;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub schema: u32,
    /// The configuration.
    pub subject: String,
    pub as_it_is: Cost,
    /// Those that were applied, most bytes saved first, then the others.
    pub fixes: Vec<Tried>,
    pub machine: Machine,
    pub versions: Option<Versions>,
    pub command: Vec<String>,
}

/// What a connection costs. What was not measured is `null`.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub connections: Option<u64>,
    pub bytes_per_connection: Option<f64>,
    pub blocks_per_connection: Option<f64>,
    /// From connecting to the capture: handshake, welcome, echoes.
    pub allocs_per_handshake: Option<f64>,
    /// Without the recorder: median.
    pub handshakes_per_second: Option<f64>,
    pub handshakes_per_second_spread: Option<(f64, f64)>,
}

/// One fix.
#[derive(Debug, Serialize)]
pub struct Tried {
    pub name: &'static str,
    /// Why it was not applied; `null` when it was.
    pub not_applied: Option<String>,
    /// What `diagnose` says of the run without it; `null` where it has nothing to say.
    pub predicted_bytes_per_connection: Option<f64>,
    pub saved_bytes_per_connection: Option<f64>,
    /// What a connection costs with it.
    pub cost: Option<Cost>,
    /// The differential flamegraph, in the folder.
    pub flamegraph: Option<String>,
    /// The OpenSSLs of a program whose connections got it; empty for the reference server.
    pub reached: Vec<Place>,
    /// What else there is to say of it, in sentences.
    pub remarks: Vec<String>,
}

impl Outcome {
    /// Puts everything together.
    pub fn new(
        subject: String,
        as_it_is: Cost,
        mut fixes: Vec<Tried>,
        versions: Option<Versions>,
    ) -> Outcome {
        // The sort is stable: what was not applied stays in the order of the table, at the end.
        let saved = |tried: &Tried| tried.saved_bytes_per_connection.unwrap_or(f64::NEG_INFINITY);
        fixes.sort_by(|a, b| {
            let applied = |tried: &Tried| tried.not_applied.is_none();
            applied(b).cmp(&applied(a)).then_with(|| saved(b).total_cmp(&saved(a)))
        });
        let machine = Machine::this();
        let command = std::env::args().collect();
        Outcome { schema: SCHEMA, subject, as_it_is, fixes, machine, versions, command }
    }
}

impl Tried {
    /// A fix that could not be applied.
    pub fn not_applied(fix: Fix, reason: &str) -> Tried {
        Tried {
            name: fix.name(),
            not_applied: Some(reason.to_owned()),
            predicted_bytes_per_connection: None,
            saved_bytes_per_connection: None,
            cost: None,
            flamegraph: None,
            reached: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// A fix that was, compared with the run without it.
    pub fn applied(
        fix: Fix,
        as_it_is: &Cost,
        cost: Cost,
        diagnosis: &Diagnosis,
        flamegraph: String,
    ) -> Tried {
        let before = as_it_is.bytes_per_connection;
        Tried {
            name: fix.name(),
            not_applied: None,
            predicted_bytes_per_connection: predicted(fix, diagnosis),
            saved_bytes_per_connection: before
                .zip(cost.bytes_per_connection)
                .map(|(before, after)| before - after),
            cost: Some(cost),
            flamegraph: Some(flamegraph),
            reached: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// What the findings that a fix removes say that it saves while connections are open.
fn predicted(fix: Fix, diagnosis: &Diagnosis) -> Option<f64> {
    let removed = diagnosis
        .findings
        .iter()
        .filter(|finding| fix::findings(fix).contains(&finding.rule.id))
        .filter_map(|finding| finding.at_rest_per_connection);
    removed.reduce(|sum, bytes| sum + bytes)
}

impl Cost {
    /// Adds the handshakes per second of each round.
    pub fn set_rates(&mut self, rates: &[f64]) {
        self.handshakes_per_second = median(rates);
        self.handshakes_per_second_spread = spread(rates);
    }
}

impl From<&Figures> for Cost {
    fn from(figures: &Figures) -> Cost {
        Cost {
            connections: figures.connections,
            bytes_per_connection: figures.openssl_bytes_per_connection,
            blocks_per_connection: figures.blocks_per_connection,
            allocs_per_handshake: figures.allocs_per_handshake,
            handshakes_per_second: figures.handshakes_per_second,
            handshakes_per_second_spread: figures.handshakes_per_second_spread,
        }
    }
}
