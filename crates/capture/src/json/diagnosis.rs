//! `diagnose --json`: stable field names, documented in docs/json.md.

use analysis::diagnosis::finding::{Finding, Site};
use analysis::diagnosis::held_at::HeldAt;
use serde::Serialize;

use crate::examined::Examined;
use crate::json::objects::ObjectsJson;
use crate::records::memory::MemoryRecord;

/// Sites of a finding's evidence.
const SITES: usize = 5;

/// Holders of what lies in no finding.
const HOLDERS: usize = 10;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// `diagnose --json`.
#[derive(Serialize)]
pub struct DiagnosisJson<'a> {
    schema: u32,
    name: &'a str,
    connections: Option<u64>,
    /// To how many connections findings are projected.
    projected_connections: Option<u64>,
    bytes_per_connection: Option<f64>,
    floor_bytes_per_connection: Option<f64>,
    unknown_share: f64,
    /// `in-use` or `peak`: the moment that was judged.
    judged: &'static str,
    /// All that OpenSSL held at that moment.
    looked_at_bytes: i64,
    /// What of it lies in no finding.
    rest_bytes: i64,
    /// Who holds that.
    rest: Vec<HolderJson<'a>>,
    notes: Vec<NoteJson<'a>>,
    /// What memory the processes have beside OpenSSL's, where a recording knows it.
    memory: Option<&'a MemoryRecord>,
    objects: ObjectsJson,
    findings: Vec<FindingJson<'a>>,
}

/// Who holds memory that lies in no finding.
#[derive(Serialize)]
struct HolderJson<'a> {
    path: &'a str,
    bytes: i64,
    blocks: i64,
}

/// What is worth a word and no finding.
#[derive(Serialize)]
struct NoteJson<'a> {
    id: &'a str,
    text: &'a str,
}

/// One finding.
#[derive(Serialize)]
pub struct FindingJson<'a> {
    id: &'a str,
    title: &'a str,
    bytes_per_connection: Option<f64>,
    bytes_total: i64,
    projected_bytes: Option<f64>,
    evidence: EvidenceJson<'a>,
    remedies: Vec<RemedyJson<'a>>,
    trade_off: &'a str,
    link: &'a str,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    facts: Vec<FactJson<'a>>,
    sites: Vec<SiteJson<'a>>,
}

#[derive(Serialize)]
struct FactJson<'a> {
    what: &'a str,
    value: f64,
}

#[derive(Serialize)]
struct SiteJson<'a> {
    file: &'a str,
    line: u32,
    function: &'a str,
    bytes: i64,
    blocks: i64,
    story: &'a [String],
}

#[derive(Serialize)]
struct RemedyJson<'a> {
    ecosystem: &'a str,
    text: &'a str,
}

impl<'a> DiagnosisJson<'a> {
    /// Everything that was found.
    pub fn new(examined: &'a Examined, projected_to: Option<u64>) -> DiagnosisJson<'a> {
        let Examined { name, case, diagnosis, recording } = examined;
        DiagnosisJson {
            schema: SCHEMA,
            name,
            connections: case.connections.map(std::num::NonZeroU64::get),
            projected_connections: projected_to,
            bytes_per_connection: diagnosis.bytes_per_connection,
            floor_bytes_per_connection: diagnosis.floor_per_connection,
            unknown_share: diagnosis.unknown_share,
            judged: match diagnosis.at {
                HeldAt::Capture => "in-use",
                HeldAt::Peak => "peak",
            },
            looked_at_bytes: diagnosis.looked_at,
            rest_bytes: diagnosis.rest.bytes,
            rest: diagnosis
                .rest
                .holders
                .iter()
                .take(HOLDERS)
                .map(|holder| HolderJson {
                    path: &holder.path,
                    bytes: holder.bytes,
                    blocks: holder.blocks,
                })
                .collect(),
            notes: diagnosis
                .notes
                .iter()
                .map(|note| NoteJson { id: note.rule, text: &note.text })
                .collect(),
            memory: recording.as_ref().and_then(|recording| recording.memory.as_ref()),
            objects: ObjectsJson::new(&case.all_objects, &case.objects, case.connections),
            findings: diagnosis
                .findings
                .iter()
                .map(|finding| FindingJson::new(finding, projected_to))
                .collect(),
        }
    }
}

impl<'a> FindingJson<'a> {
    /// One finding, projected if that is wanted.
    pub fn new(finding: &'a Finding, projected_to: Option<u64>) -> FindingJson<'a> {
        let rule = finding.rule;
        FindingJson {
            id: rule.id,
            title: &finding.title,
            bytes_per_connection: finding.bytes_per_connection,
            bytes_total: finding.bytes_total,
            projected_bytes: projected_to.and_then(|connections| finding.projected(connections)),
            evidence: EvidenceJson {
                facts: finding
                    .facts
                    .iter()
                    .map(|fact| FactJson { what: &fact.what, value: fact.value })
                    .collect(),
                sites: finding.sites.iter().take(SITES).map(SiteJson::new).collect(),
            },
            remedies: finding
                .remedies
                .iter()
                .map(|remedy| RemedyJson { ecosystem: remedy.ecosystem.name(), text: remedy.text })
                .collect(),
            trade_off: rule.trade_off,
            link: rule.link,
        }
    }
}

impl<'a> SiteJson<'a> {
    fn new(site: &'a Site) -> SiteJson<'a> {
        SiteJson {
            file: &site.file,
            line: site.line,
            function: &site.function,
            bytes: site.bytes,
            blocks: site.blocks,
            story: &site.telling,
        }
    }
}
