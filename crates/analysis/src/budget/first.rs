//! A first budget, from what a capture is now.

use std::fmt::Write;

use contract::Domain;

use super::limit::{Figure, Limit, Most, Scope};
use super::verdict::{Measured, Unmeasurable};
use crate::category;
use crate::column::Column;
use crate::diagnosis::Diagnosis;
use crate::objects::Object;

/// By how much bytes and blocks may grow before it is a breach: they are exact, and differ with
/// the sizes of certificates and tickets only.
const BYTES: f64 = 1.02;

/// What one thread more has of its own in OpenSSL: how many serve the connections is chance.
const THREAD_BYTES: f64 = 12_000.0;
const THREAD_BLOCKS: f64 = 40.0;

/// By how much resident memory may: pages of the allocator's, and collectors, have moods.
const RESIDENT: f64 = 1.10;

/// And a page for each connection.
const LEAST_ROOM: f64 = 4_096.0;

/// By how much allocations may: how often a connection was heard differs from run to run.
const ALLOCATIONS: f64 = 1.10;

/// A category with less than this part of a connection has no limit of its own.
const LEAST_SHARE: f64 = 0.02;

/// The text of a budget to which the capture keeps. `command` is what was run, for its heading.
pub fn first_budget(
    measured: &Measured,
    diagnosis: &Diagnosis,
    command: &str,
) -> Result<String, Unmeasurable> {
    let figure = |scope: Scope, figure: Figure| {
        measured.figure(&Limit { scope, figure, most: Most::Absolute(0.0), line: 0 })
    };
    let mut text = format!(
        "# What a connection may cost: held by `tlsheap check RUN --budget THIS-FILE`.\n# Written \
         by `{command}`; every limit has some room above what was measured.\n# A limit is a \
         number, or \"baseline + 5 %\" with a [baseline] to compare with (docs/ci.md).\n"
    );
    let line = |text: &mut String, key: &str, most: String, is: f64| {
        // Into a String: cannot fail.
        let _ = writeln!(text, "{key} = {most} # measured: {}", two_decimals(is));
    };

    text += "\n[total]\n";
    let connections = measured.connections.map_or(1.0, |connections| connections.get() as f64);
    // A program that has ended may have had no connection that is known of.
    let at_peak = measured.column == Column::Peak;
    let [bytes, blocks] = match measured.connections {
        None if at_peak => [Figure::Bytes, Figure::Blocks],
        _ => [Figure::BytesPerConnection, Figure::BlocksPerConnection],
    };
    for (kind, room, thread) in [
        (bytes, BYTES, THREAD_BYTES),
        (blocks, BYTES, THREAD_BLOCKS),
        (Figure::AllocationsPerHandshake, ALLOCATIONS, THREAD_BLOCKS),
    ] {
        if at_peak && kind == Figure::AllocationsPerHandshake {
            continue;
        }
        let is = figure(Scope::Total, kind)?;
        line(&mut text, kind.key(), whole(is * room + thread / connections), is);
    }
    text += &of_others(measured);
    let total = figure(Scope::Total, bytes)?;
    for category in category::all() {
        let scope = Scope::Category(category.name.to_owned());
        let is = figure(scope, bytes)?;
        // A group is the sum of its categories, which have limits of their own.
        if is < total * LEAST_SHARE || !is_finest(category.name) {
            continue;
        }
        text += &format!("\n[category.\"{}\"]\n", category.name);
        line(&mut text, bytes.key(), whole(is * BYTES), is);
    }
    if bytes == Figure::BytesPerConnection {
        text += "\n[objects] # that came with each connection\n";
        for object in [Object::SslCtx, Object::X509Store, Object::X509, Object::SslSession] {
            let is = figure(Scope::Objects(object), Figure::ObjectsPerConnection)?;
            // A context that is made anew for the first connections is no context for each.
            line(&mut text, object.name(), two_decimals(is.max(0.0) * BYTES + 0.1), is);
        }
    }
    text += "\n[findings] # of `tlsheap diagnose`; every other one is a breach\n";
    let ids: Vec<String> =
        diagnosis.findings.iter().map(|finding| format!("{:?}", finding.rule.id)).collect();
    text += &format!("allow = [{}]\n", ids.join(", "));
    Ok(text)
}

/// Limits of the whole process's memory, as far as a connection's part of it is known.
fn of_others(measured: &Measured) -> String {
    let heap = Scope::Domain(Domain::Heap);
    let mut text = String::new();
    for (scope, table, room) in
        [(Scope::Resident, "resident", RESIDENT), (heap, "domain.heap", BYTES)]
    {
        let limit =
            Limit { scope, figure: Figure::BytesPerConnection, most: Most::Absolute(0.0), line: 0 };
        if let Ok(is) = measured.figure(&limit)
            && is > 0.0
        {
            let key = limit.figure.key();
            let most = whole(is * room + LEAST_ROOM);
            text += &format!("\n[{table}]\n{key} = {most} # measured: {}\n", two_decimals(is));
        }
    }
    text
}

/// No category belongs to it.
fn is_finest(name: &str) -> bool {
    let inner = format!("{name}.");
    !category::all().iter().any(|category| category.name.starts_with(&inner))
}

fn whole(figure: f64) -> String {
    format!("{}", figure.max(0.0).ceil() as i64)
}

fn two_decimals(figure: f64) -> String {
    let text = format!("{figure:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use profile::Profile;

    use super::*;
    use crate::budget::{Budget, Others, review};
    use crate::diagnosis::case::{Case, Profiles};
    use crate::diagnosis::diagnose;
    use crate::diagnosis::held_at::HeldAt;
    use crate::group::{By, group, group_in};
    use crate::sample_profile::{DEFLATE, push, push_values, stack};

    #[test]
    fn a_capture_keeps_to_the_budget_that_was_made_of_it() {
        let mut profile = Profile::of_heap();
        push(&mut profile, "openssl", &stack(&[("SSL_new", "ssl/ssl_lib.c")]), 10, 60_001);
        push(&mut profile, "openssl", &stack(&DEFLATE), 130, 5_833_120);
        let profiles = Profiles { at_rest: &profile, baseline: None, closed: None };
        let case = Case::new(profiles, None, HeldAt::Capture).unwrap();
        let measured = Measured {
            name: "run".to_owned(),
            column: Column::InUse,
            rows: group(&profile, By::Site),
            grown: group(&profile, By::Site),
            connections: case.connections,
            objects: Some(case.objects.clone()),
            others: Others::default(),
        };
        let diagnosis = diagnose(&case);
        let text = first_budget(&measured, &diagnosis, "tlsheap check --init run").unwrap();
        assert!(text.contains("[category.\"compression.zlib\"]\nbytes_per_connection = 594979 #"));
        assert!(text.contains("allow = [\"compression-negotiated\"]"), "{text}");
        let budget = Budget::parse(&text, "budget.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        let review = review(&budget, &measured, None, &diagnosis).unwrap();
        assert!(review.passes(), "{review:?}");
    }

    #[test]
    fn of_a_program_that_has_ended_without_connections_the_whole_process_is_limited() {
        let mut profile = Profile::of_heap();
        let frames = stack(&[("sk_reserve", "crypto/stack/stack.c")]);
        push_values(&mut profile, "openssl", &frames, vec![0, 0, 9, 9_000, 5, 5_000]);
        let profiles = Profiles { at_rest: &profile, baseline: None, closed: None };
        let case = Case::new(profiles, None, HeldAt::Peak).unwrap();
        let rows = || group_in(&profile, By::Site, Column::Peak);
        let measured = Measured {
            name: "run".to_owned(),
            column: Column::Peak,
            rows: rows(),
            grown: rows(),
            connections: case.connections,
            objects: Some(case.objects.clone()),
            others: Others::default(),
        };
        let diagnosis = diagnose(&case);
        let text = first_budget(&measured, &diagnosis, "tlsheap check --init run").unwrap();
        assert!(text.contains("\nbytes = 17100 # measured: 5000\n"), "{text}");
        assert!(!text.contains("per_connection") && !text.contains("handshake"), "{text}");
        let budget = Budget::parse(&text, "budget.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert!(review(&budget, &measured, None, &diagnosis).unwrap().passes(), "{text}");

        let allocations = "[total]\nallocations_per_handshake = 1\n";
        let budget = Budget::parse(allocations, "b").unwrap();
        let error = review(&budget, &measured, None, &diagnosis).unwrap_err().to_string();
        assert!(error.contains("choose --column in-use"), "{error}");
    }
}
