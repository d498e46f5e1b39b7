//! `check --json`: stable field names, documented in docs/json.md.

use analysis::budget::{Cause, Review, Reviewed, Verdict};
use serde::Serialize;

use crate::json::diagnosis::FindingJson;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// `check --json`.
#[derive(Serialize)]
pub struct ReviewJson<'a> {
    schema: u32,
    capture: &'a str,
    budget: &'a str,
    /// Which figures of the capture are held against it.
    column: &'static str,
    passes: bool,
    limits: Vec<LimitJson<'a>>,
    /// Findings that the budget does not allow.
    unwanted: Vec<FindingJson<'a>>,
    /// Findings that may explain a breach.
    explanations: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct LimitJson<'a> {
    scope: String,
    figure: &'static str,
    line: usize,
    passes: bool,
    value: f64,
    most: f64,
    baseline: Option<f64>,
    causes: Vec<CauseJson<'a>>,
}

#[derive(Serialize)]
struct CauseJson<'a> {
    file: &'a str,
    line: u32,
    function: &'a str,
    category: &'a str,
    amount: f64,
    story: &'a [String],
}

impl<'a> ReviewJson<'a> {
    /// The whole review of a capture by the budget in a file.
    pub fn new(review: &'a Review, reviewed: &Reviewed<'a>) -> ReviewJson<'a> {
        let findings =
            |all: &'a [_]| all.iter().map(|finding| FindingJson::new(finding, None)).collect();
        ReviewJson {
            schema: SCHEMA,
            capture: reviewed.capture,
            budget: reviewed.budget,
            column: reviewed.column.word(),
            passes: review.passes(),
            limits: review.verdicts.iter().map(LimitJson::new).collect(),
            unwanted: findings(&review.unwanted),
            explanations: findings(&review.explanations),
        }
    }
}

impl<'a> LimitJson<'a> {
    fn new(verdict: &'a Verdict) -> LimitJson<'a> {
        LimitJson {
            scope: verdict.limit.scope.name(),
            figure: verdict.limit.figure.key(),
            line: verdict.limit.line,
            passes: !verdict.is_breach(),
            value: verdict.value,
            most: verdict.most,
            baseline: verdict.baseline,
            causes: verdict.causes.iter().map(CauseJson::new).collect(),
        }
    }
}

impl<'a> CauseJson<'a> {
    fn new(cause: &'a Cause) -> CauseJson<'a> {
        CauseJson {
            file: &cause.key.file,
            line: cause.key.line,
            function: &cause.key.function,
            category: &cause.key.category,
            amount: cause.amount,
            story: &cause.telling,
        }
    }
}
