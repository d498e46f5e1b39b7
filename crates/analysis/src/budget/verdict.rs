//! Whether a capture keeps to a budget, and what broke it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroU64;

use super::limit::{Budget, Figure, Limit, Most, Scope};
use super::others::Others;
use crate::column::Column;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::finding::Finding;
use crate::group::{Key, Row};
use crate::inventory::Inventory;
use crate::short_name::c_name;

/// Causes shown for each breach.
pub(super) const CAUSES: usize = 4;

/// What limits are compared with: one capture.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name, for errors.
    pub name: String,
    /// Which of its figures are held against the limits.
    pub column: Column,
    /// Its rows by site, in the whole process.
    pub rows: Vec<Row>,
    /// The rows by site, less those before the first connection.
    pub grown: Vec<Row>,
    /// Connections open at that moment.
    pub connections: Option<NonZeroU64>,
    /// Objects that came with the connections; `None` where the profile knows no blocks.
    pub objects: Option<Inventory>,
    /// What was recorded of others than OpenSSL, and of all together.
    pub others: Others,
}

/// A figure that a capture does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmeasurable {
    /// The capture.
    pub name: String,
    /// The limit: `total.bytes_per_connection`.
    pub limit: String,
    /// What is missing.
    pub missing: &'static str,
}

impl fmt::Display for Unmeasurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmeasurable { name, limit, missing } = self;
        write!(f, "{name} cannot be held against {limit}: {missing}")
    }
}

impl std::error::Error for Unmeasurable {}

/// One limit, held against a capture.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The limit.
    pub limit: Limit,
    /// How much it may be, in the unit of its figure.
    pub most: f64,
    /// How much it was in the baseline profile, if it is compared with one.
    pub baseline: Option<f64>,
    /// How much it is.
    pub value: f64,
    /// For a breach: what holds most, or what grew most against the baseline.
    pub causes: Vec<Cause>,
}

/// A site that holds much of what is limited.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Which.
    pub key: Key,
    /// How much, in the unit of the limit; with a baseline, how much more than there.
    pub amount: f64,
    /// The few functions of its heaviest stack that tell its story, outermost first.
    pub telling: Vec<String>,
}

/// The names of what a review is about, for whoever shows it.
#[derive(Clone, Copy, Debug)]
pub struct Reviewed<'a> {
    /// The capture's name.
    pub capture: &'a str,
    /// The budget's file.
    pub budget: &'a str,
    /// Which figures of the capture are held against it.
    pub column: Column,
}

/// A whole budget, held against a capture.
#[derive(Clone, Debug)]
pub struct Review {
    /// Every limit, in the order of the file.
    pub verdicts: Vec<Verdict>,
    /// Findings that the budget does not allow: each is a breach.
    pub unwanted: Vec<Finding>,
    /// Findings that may explain breaches of limits, where the budget says nothing of findings.
    pub explanations: Vec<Finding>,
}

impl Verdict {
    /// The figure is over the limit.
    pub fn is_breach(&self) -> bool {
        // A baseline's own figure, calculated once more, is no breach.
        self.value > self.most + self.most.abs() * 1e-9
    }
}

impl Review {
    /// Nothing is over its limit.
    pub fn passes(&self) -> bool {
        self.unwanted.is_empty() && !self.verdicts.iter().any(Verdict::is_breach)
    }
}

/// Holds a capture against a budget. `baseline` is the capture that the budget names, and
/// `diagnosis` what was found in the capture at hand.
pub fn review(
    budget: &Budget,
    measured: &Measured,
    baseline: Option<&Measured>,
    diagnosis: &Diagnosis,
) -> Result<Review, Unmeasurable> {
    let unwanted: Vec<Finding> = match &budget.allowed_findings {
        Some(allowed) => {
            let is_unwanted = |it: &&Finding| !allowed.iter().any(|id| id == it.rule.id);
            diagnosis.findings.iter().filter(is_unwanted).cloned().collect()
        }
        None => Vec::new(),
    };
    let mut verdicts = Vec::new();
    for limit in &budget.limits {
        let value = measured.figure(limit)?;
        let before = match (limit.most, baseline) {
            (Most::Absolute(_), _) | (_, None) => None,
            (_, Some(baseline)) => Some(baseline.figure(limit)?),
        };
        let most = match (limit.most, before.unwrap_or_default()) {
            (Most::Absolute(most), _) => most,
            (Most::BaselinePercent(percent), before) => before + before.abs() * percent / 100.0,
            (Most::BaselineMore(more), before) => before + more,
        };
        let mut verdict =
            Verdict { limit: limit.clone(), most, baseline: before, value, causes: Vec::new() };
        if verdict.is_breach() {
            let baseline = baseline.filter(|_| before.is_some());
            verdict.causes = causes(limit, measured, baseline, &unwanted);
        }
        verdicts.push(verdict);
    }
    let broken = verdicts.iter().any(Verdict::is_breach);
    let says_nothing = budget.allowed_findings.is_none();
    let explanations = if broken && says_nothing { diagnosis.findings.clone() } else { Vec::new() };
    Ok(Review { verdicts, unwanted, explanations })
}

impl Measured {
    /// The figure of a limit.
    pub(super) fn figure(&self, limit: &Limit) -> Result<f64, Unmeasurable> {
        let missing = |missing| Unmeasurable {
            name: self.name.clone(),
            limit: format!("{} {}", limit.scope.name(), limit.figure.key()),
            missing,
        };
        if let Scope::Objects(object) = limit.scope {
            let objects = self.objects.as_ref();
            let objects = objects.ok_or_else(|| missing("it knows no blocks in use"))?;
            let each = self.share(objects.live(object).count as f64);
            return each.ok_or_else(|| missing(NO_CONNECTIONS));
        }
        if limit.scope.is_beyond_openssl() {
            return self.others.figure(&limit.scope, limit.figure).map_err(missing);
        }
        if limit.figure == Figure::AllocationsPerHandshake && self.column == Column::Peak {
            return Err(missing(NO_HANDSHAKES));
        }
        let mut sum = 0.0;
        for row in self.rows_of(limit.figure).iter().filter(|row| limit.scope.has(&row.key)) {
            sum += figure_of(row, limit.figure).ok_or_else(|| missing("it has no such column"))?;
        }
        self.scaled(limit.figure, sum).ok_or_else(|| missing(NO_CONNECTIONS))
    }

    fn rows_of(&self, figure: Figure) -> &[Row] {
        match figure {
            Figure::Bytes | Figure::Blocks => &self.rows,
            _ => &self.grown,
        }
    }

    /// A sum of rows in the unit of the figure.
    fn scaled(&self, figure: Figure, sum: f64) -> Option<f64> {
        match figure {
            Figure::Bytes | Figure::Blocks => Some(sum),
            _ => self.share(sum),
        }
    }

    fn share(&self, sum: f64) -> Option<f64> {
        self.connections.map(|connections| sum / connections.get() as f64)
    }
}

const NO_CONNECTIONS: &str = "it is not known how many connections were open; say it with \
                              --connections";

const NO_HANDSHAKES: &str = "its peak is that of the whole program, whose handshakes are not \
                             counted; leave the limit out, or choose --column in-use";

fn figure_of(row: &Row, figure: Figure) -> Option<f64> {
    match figure {
        Figure::BytesPerConnection | Figure::Bytes => row.bytes(),
        Figure::BlocksPerConnection | Figure::Blocks => row.blocks(),
        Figure::AllocationsPerHandshake => row.counts.alloc_blocks,
        Figure::ObjectsPerConnection => None,
    }
    .map(|figure| figure as f64)
}

impl Scope {
    /// It is about memory that others have asked for too.
    fn is_beyond_openssl(&self) -> bool {
        matches!(self, Scope::Resident | Scope::Domain(_))
    }

    /// A row belongs to it.
    fn has(&self, key: &Key) -> bool {
        match self {
            Scope::Total => true,
            Scope::Category(name) => {
                let rest = key.category.strip_prefix(name.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
            Scope::Site(site) => {
                let (file, line) = site.rsplit_once(':').unwrap_or((site, ""));
                key.file == file && key.line.to_string() == line
            }
            Scope::Function(name) => c_name(&key.function) == name,
            Scope::Objects(_) | Scope::Resident | Scope::Domain(_) => false,
        }
    }
}

/// What holds most of a breach, or grew most against the baseline: sites of findings that are not
/// allowed come first. Lines may have moved since the baseline: sites are the same where function,
/// file and category are.
fn causes(
    limit: &Limit,
    measured: &Measured,
    baseline: Option<&Measured>,
    unwanted: &[Finding],
) -> Vec<Cause> {
    if limit.scope.is_beyond_openssl() {
        let earlier = baseline.map(|baseline| &baseline.others);
        return measured.others.causes(limit, earlier);
    }
    // Objects have no rows: their contexts, stores and sessions are told by findings.
    let rows = |measured: &Measured| -> Vec<(Key, f64, Vec<String>)> {
        measured
            .rows_of(limit.figure)
            .iter()
            .filter(|row| limit.scope.has(&row.key))
            .filter_map(|row| {
                let amount = measured.scaled(limit.figure, figure_of(row, limit.figure)?)?;
                Some((row.key.clone(), amount, row.telling()))
            })
            .collect()
    };
    let mut before: HashMap<(String, String, String), f64> = HashMap::new();
    let place = |key: &Key| (key.file.clone(), key.function.clone(), key.category.clone());
    for (key, amount, _) in baseline.map(rows).unwrap_or_default() {
        *before.entry(place(&key)).or_default() += amount;
    }
    let mut causes: Vec<Cause> = rows(measured)
        .into_iter()
        .map(|(key, amount, telling)| {
            // Of several lines of a function, the first takes what the function had.
            let had = before.remove(&place(&key)).unwrap_or_default();
            Cause { key, amount: amount - had, telling }
        })
        .filter(|cause| cause.amount > 0.0)
        .collect();
    let suspects: HashSet<(&str, u32)> = unwanted
        .iter()
        .flat_map(|finding| &finding.sites)
        .map(|site| (site.file.as_str(), site.line))
        .collect();
    let is_suspect = |cause: &Cause| suspects.contains(&(cause.key.file.as_str(), cause.key.line));
    causes.sort_by(|a, b| {
        is_suspect(b)
            .cmp(&is_suspect(a))
            .then_with(|| b.amount.total_cmp(&a.amount))
            .then_with(|| a.key.cmp(&b.key))
    });
    causes.truncate(CAUSES);
    causes
}

#[cfg(test)]
mod tests {
    use contract::Domain;
    use profile::Profile;

    use super::*;
    use crate::budget::{Each, Extent};
    use crate::diagnosis::case::{Case, Profiles};
    use crate::diagnosis::diagnose;
    use crate::diagnosis::held_at::HeldAt;
    use crate::diagnosis::whole::Holder;
    use crate::group::{By, group};
    use crate::sample_profile::{push, stack};

    /// Ten connections, some with a context of their own.
    fn server(contexts: i64) -> (Measured, Diagnosis) {
        let mut profile = Profile::of_heap();
        let new = [("SSL_new", "ssl/ssl_lib.c"), ("serve", "src/main.c")];
        let context = [("SSL_CTX_new_ex", "ssl/ssl_lib.c"), ("serve", "src/main.c")];
        push(&mut profile, "openssl", &stack(&new), 10, 60_000);
        push(&mut profile, "openssl", &stack(&context), contexts, contexts * 1_400);
        let profiles = Profiles { at_rest: &profile, baseline: None, closed: None };
        let case = Case::new(profiles, NonZeroU64::new(10), HeldAt::Capture).unwrap();
        let measured = Measured {
            name: "run".to_owned(),
            column: Column::InUse,
            rows: group(&profile, By::Site),
            grown: group(&profile, By::Site),
            connections: case.connections,
            objects: Some(case.objects.clone()),
            others: others(),
        };
        (measured, diagnose(&case))
    }

    /// Ten connections' buffers, and as many bytes again that nobody is known of.
    fn others() -> Others {
        let holder = |bytes| Holder {
            function: "PyByteArray_Resize".to_owned(),
            through: vec!["SSLProtocol".to_owned()],
            bytes,
            blocks: None,
        };
        let each = Each { bytes: 300_000.0, blocks: None, holders: vec![holder(262_145.0)] };
        let holders = vec![holder(2_621_450.0)];
        let resident = Extent { bytes: 5e6, blocks: None, each: Some(each), holders };
        let heap = Extent { bytes: 4e6, blocks: Some(50.0), ..Extent::default() };
        Others { resident: Some(resident), domains: HashMap::from([(Domain::Heap, heap)]) }
    }

    #[test]
    fn the_whole_process_has_limits_of_its_own() {
        let keeps = "[resident]\nbytes_per_connection = 300_000\nbytes = 5_000_000\n\
                     [domain.heap]\nbytes = 4_000_000\nblocks = 50\n";
        assert!(reviewed(keeps, 1, None).passes());
        let broken = reviewed("[resident]\nbytes_per_connection = 299_999\n", 1, None);
        let [cause] = &broken.verdicts[0].causes[..] else { panic!("{broken:?}") };
        assert_eq!((cause.key.function.as_str(), cause.amount), ("PyByteArray_Resize", 262_145.0));
        assert_eq!(cause.telling, ["SSLProtocol"]);
        let against = "[baseline]\nprofile = \"p\"\n[resident]\nbytes = \"baseline + 0\"\n";
        assert!(reviewed(against, 1, Some(1)).passes());
    }

    #[test]
    fn what_was_not_recorded_of_it_is_an_error_and_no_pass() {
        let (measured, diagnosis) = server(1);
        for (text, why) in [
            ("[domain.mapping]\nbytes = 1\n", "record it with --heap"),
            ("[domain.heap]\nblocks_per_connection = 1\n", "too few connections came"),
        ] {
            let budget = Budget::parse(text, "b").unwrap();
            let error = review(&budget, &measured, None, &diagnosis).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = Budget::parse("[resident]\nblocks = 1\n", "b").unwrap_err().to_string();
        assert!(error.contains("a key out of bytes_per_connection, bytes"), "{error}");
        let error = Budget::parse("[domain.hepa]\nbytes = 1\n", "b").unwrap_err().to_string();
        assert!(error.contains("heap"), "{error}");
    }

    fn reviewed(text: &str, contexts: i64, before: Option<i64>) -> Review {
        let budget = Budget::parse(text, "budget.toml").unwrap();
        let (measured, diagnosis) = server(contexts);
        let baseline = before.map(|contexts| server(contexts).0);
        review(&budget, &measured, baseline.as_ref(), &diagnosis).unwrap()
    }

    #[test]
    fn a_breach_names_the_sites_that_hold_most() {
        let text = "[total]\nbytes_per_connection = 6_500\n";
        assert!(reviewed(text, 1, None).passes());
        let broken = reviewed(text, 10, None);
        assert!(!broken.passes());
        assert_eq!(broken.verdicts[0].value, 7_400.0);
        let causes = &broken.verdicts[0].causes;
        assert_eq!((causes[0].key.function.as_str(), causes[0].amount), ("SSL_new", 6_000.0));
        assert_eq!(broken.explanations[0].rule.id, "context-per-connection");
    }

    #[test]
    fn against_a_baseline_a_breach_names_what_grew() {
        let text = "[baseline]\nprofile = \"main\"\n[total]\nbytes_per_connection = \"baseline + \
                    5 %\"\nblocks = \"baseline + 1\"\n";
        assert!(reviewed(text, 1, Some(1)).passes());
        let broken = reviewed(text, 10, Some(1));
        let verdict = &broken.verdicts[0];
        assert_eq!((verdict.baseline, verdict.value), (Some(6_140.0), 7_400.0));
        assert_eq!(verdict.causes.len(), 1);
        assert_eq!(verdict.causes[0].key.function, "SSL_CTX_new_ex");
        assert_eq!(verdict.causes[0].amount, 1_260.0);
        assert!(broken.verdicts[1].is_breach());
    }

    #[test]
    fn every_scope_has_its_own_rows() {
        for (table, value) in [
            ("[category.tls]", 74_000.0),
            ("[category.\"tls.context\"]", 14_000.0),
            ("[site.\"ssl/ssl_lib.c:100\"]", 74_000.0),
            ("[function.SSL_CTX_new_ex]", 14_000.0),
            ("[function.nobody]", 0.0),
        ] {
            let review = reviewed(&format!("{table}\nbytes = 0\n"), 10, None);
            assert_eq!(review.verdicts[0].value, value, "{table}");
        }
        let objects = reviewed("[objects]\nSSL_CTX = 0.5\n", 10, None);
        assert_eq!(objects.verdicts[0].value, 1.0);
        assert!(objects.verdicts[0].is_breach());
    }

    #[test]
    fn a_finding_that_is_not_allowed_is_a_breach_of_its_own() {
        let text = "[findings]\nallow = [\"record-buffers-kept\"]\n";
        assert!(reviewed(text, 1, None).passes());
        let broken = reviewed(text, 10, None);
        assert_eq!(broken.unwanted[0].rule.id, "context-per-connection");
        let text = "[findings]\nallow = [\"context-per-connection\"]\n";
        assert!(reviewed(text, 10, None).passes());
    }

    #[test]
    fn a_figure_that_is_not_there_is_an_error_and_no_pass() {
        let budget = Budget::parse("[total]\nbytes_per_connection = 1\n", "b").unwrap();
        let (mut measured, diagnosis) = server(1);
        measured.connections = None;
        let error = review(&budget, &measured, None, &diagnosis).unwrap_err().to_string();
        assert!(error.contains("run cannot be held against total bytes_per_connection"), "{error}");
    }
}
