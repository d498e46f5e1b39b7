//! Several processes, each judged for itself: twelve that have one context each have no twelve.

use std::collections::BTreeMap;

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Finding, Site};
use crate::diagnosis::unclaimed::{Note, Unclaimed};
use crate::diagnosis::{Diagnosis, RULES_OF_OTHERS, diagnose, found, resident, rest};

/// Applies every rule to each of the processes of a capture; `whole` is all of them together, and
/// the figures of a connection are of that. Findings of one rule become one.
pub fn diagnose_processes(whole: &Case, processes: &[Case]) -> Diagnosis {
    if processes.is_empty() {
        return diagnose(whole);
    }
    let judged: Vec<Diagnosis> = processes.iter().map(diagnose).collect();
    let connections: f64 = processes.iter().map(connections).sum();
    let mut by_rule: BTreeMap<&str, Vec<(Finding, f64)>> = BTreeMap::new();
    for (diagnosis, case) in judged.iter().zip(processes) {
        for finding in &diagnosis.findings {
            let of_rule = by_rule.entry(finding.rule.id).or_default();
            of_rule.push((finding.clone(), connections_of(finding, case)));
        }
    }
    let mut findings: Vec<Finding> =
        by_rule.into_values().map(|found| together(found, connections)).collect();
    let others = RULES_OF_OTHERS.iter().copied();
    findings.extend(found(&mut Unclaimed::all_of(whole), others));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.weight()));
    let mut notes: Vec<Note> = Vec::new();
    for note in judged.iter().flat_map(|it| &it.notes) {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
    let holders = judged.iter().flat_map(|it| &it.rest.holders).cloned();
    let heaviest = judged.iter().max_by_key(|it| it.looked_at);
    let mut diagnosis = Diagnosis {
        findings,
        notes,
        at: heaviest.map(|it| it.at).unwrap_or_default(),
        looked_at: judged.iter().fold(0, |sum, it| sum.saturating_add(it.looked_at)),
        resident: resident(whole),
        rest: rest::of(holders),
        bytes_per_connection: whole.per_connection(whole.grown().bytes),
        floor_per_connection: None,
        unknown_share: whole.unknown_share(),
    };
    diagnosis.floor_per_connection = diagnosis.floor();
    diagnosis
}

fn connections(case: &Case) -> f64 {
    case.connections.map_or(0.0, |connections| connections.get() as f64)
}

fn connections_of(finding: &Finding, case: &Case) -> f64 {
    if finding.bytes_per_connection.is_some() { connections(case) } else { 0.0 }
}

/// What one rule has found in several processes, of which each finding's connections are given, and
/// those of all processes.
fn together(mut found: Vec<(Finding, f64)>, connections: f64) -> Finding {
    found.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.weight()));
    let share = |of: fn(&Finding) -> Option<f64>| {
        let bytes = found.iter().filter_map(|(finding, n)| Some(of(finding)? * n));
        let sum = bytes.reduce(|sum, bytes| sum + bytes)?;
        (connections > 0.0).then_some(sum / connections)
    };
    let bytes_per_connection = share(|finding| finding.bytes_per_connection);
    let at_rest_per_connection = share(|finding| finding.at_rest_per_connection);
    let most = found.iter().map(|(finding, _)| finding.most).sum::<Option<f64>>();
    let processes = found.len();
    let mut all = found.into_iter().map(|(finding, _)| finding);
    let first = all.next().expect("no rule is listed that has found nothing");
    let mut sum = Finding {
        bytes_per_connection,
        at_rest_per_connection,
        most,
        claimed: Vec::new(),
        ..first
    };
    for other in all {
        sum.bytes_total = sum.bytes_total.saturating_add(other.bytes_total);
        sum.sites.extend(other.sites);
        for remedy in other.remedies {
            if !sum.remedies.contains(&remedy) {
                sum.remedies.push(remedy);
            }
        }
    }
    sum.sites = merged(sum.sites);
    if processes > 1 { sum.fact("processes in which it was found", processes as f64) } else { sum }
}

/// Each site once, the heaviest first.
fn merged(sites: Vec<Site>) -> Vec<Site> {
    let mut merged: Vec<Site> = Vec::new();
    let mut places: BTreeMap<(String, u32, String), usize> = BTreeMap::new();
    for site in sites {
        let key = (site.file.clone(), site.line, site.function.clone());
        if let Some(at) = places.get(&key) {
            let known: &mut Site = &mut merged[*at];
            known.bytes = known.bytes.saturating_add(site.bytes);
            known.blocks = known.blocks.saturating_add(site.blocks);
        } else {
            places.insert(key, merged.len());
            merged.push(site);
        }
    }
    merged.sort_by_key(|site| std::cmp::Reverse(site.bytes));
    merged
}
