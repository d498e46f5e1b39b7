//! How captures were made: the facts under the pictures.

use analysis::notation::{exact, give_or_take, human, rounded};
use capture::json::interval::margin;
use capture::machine::Machine;
use capture::records::counts::{CountsRecord, Moment};
use capture::records::recorder::RecorderRecord;
use capture::records::recording::Recording;
use capture::records::run::{NegotiatedRecord, RunRecord};
use capture::{Capture, Known};

use crate::html::{Fact, Subject};
use crate::losses::losses;
use crate::{account, memory};

/// What is known of how a capture was made.
pub fn of(capture: &Capture) -> Vec<Fact> {
    let mut facts = match &capture.known {
        Known::Run(record) => of_run(record),
        Known::Recording(recording) => of_recording(recording),
        _ => vec![Fact::new(
            "capture",
            "a profile without a run: machine, versions and connections are not known",
        )],
    };
    if let Some(statistics) = &capture.statistics {
        let recorder = RecorderRecord::new(statistics, capture.profile.sampling);
        facts.push(Fact::new("recorder", losses(&recorder).trim_end()));
    }
    facts
}

/// Takes out what is the same for all subjects, and returns it.
pub fn take_common(subjects: &mut [Subject]) -> Vec<Fact> {
    let Some((first, others)) = subjects.split_first() else { return Vec::new() };
    let common: Vec<Fact> = first
        .measured
        .iter()
        .filter(|fact| others.iter().all(|other| other.measured.contains(fact)))
        .cloned()
        .collect();
    for subject in subjects {
        subject.measured.retain(|fact| !common.contains(fact));
    }
    common
}

fn of_run(record: &RunRecord) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("command", command(&record.command)),
        of_machine(&record.machine),
        Fact::new("OpenSSL", &record.versions.openssl),
        of_program(&record.versions.tlsheap, record.versions.commit.as_deref()),
        Fact::new("configuration", &record.configuration),
        Fact::new("started", seconds_of(&record.times.started)),
    ];
    if let Some(connections) = record.connections {
        facts.push(Fact::new("connections", exact(connections.get() as i64)));
    }
    let times = (record.times.until_rest_seconds, record.times.hold_seconds);
    if let (Some(until_rest), Some(hold)) = times {
        let value = format!("{until_rest:.1} s until all were echoed, held for {hold:.1} s");
        facts.push(Fact::new("load", value));
    }
    let negotiated: Vec<String> = record.negotiated.iter().map(negotiation).collect();
    if !negotiated.is_empty() {
        facts.push(Fact::new("negotiated", negotiated.join("; ")));
    }
    facts.push(Fact::new("OpenSSL before the first connection", in_use(&record.baseline.openssl)));
    facts.push(Fact::new("OpenSSL at rest", in_use(&record.at_rest.openssl)));
    if let Some(closed) = &record.closed {
        facts.push(Fact::new("OpenSSL after the last was closed", in_use(&closed.openssl)));
    }
    let sampled = record.at_rest.rust.and_then(|rust| rust.sample);
    if let Some(sample) = sampled {
        let every = human(sample.period_bytes as f64);
        facts.push(Fact::new("Rust's sample", format!("a byte in {every} on average")));
    }
    if let Some(counted) = record.at_rest.rust.and_then(|rust| rust.counted) {
        facts.push(Fact::new("Rust at rest, counted", in_use(&counted)));
    }
    let resident = |moment: &Moment| moment.rss_bytes.map(|bytes| human(bytes as f64));
    let moments = [
        resident(&record.baseline).map(|bytes| format!("{bytes} before")),
        resident(&record.at_rest).map(|bytes| format!("{bytes} at rest")),
        record.closed.as_ref().and_then(resident).map(|bytes| format!("{bytes} after")),
    ];
    let moments: Vec<String> = moments.into_iter().flatten().collect();
    if !moments.is_empty() {
        facts.push(Fact::new("resident, recorder and all", moments.join(", ")));
    }
    let recorder = &record.recorder;
    facts.extend([
        Fact::new("recorder", losses(recorder).trim_end()),
        Fact::new(
            "the recorder's own memory",
            format!(
                "{} at most, in none of OpenSSL's figures",
                human(recorder.ledger_bytes.saturating_add(recorder.private_bytes) as f64)
            ),
        ),
        Fact::new(
            "symbols",
            format!(
                "{} addresses named, {} not",
                exact(record.symbols.resolved as i64),
                exact(record.symbols.unresolved.saturating_add(record.symbols.outside) as i64)
            ),
        ),
    ]);
    facts
}

/// A recorded program.
fn of_recording(recording: &Recording) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("command", command(&recording.command)),
        of_machine(&recording.machine),
        of_program(&recording.tlsheap, recording.commit.as_deref()),
        Fact::new("started", seconds_of(&recording.started)),
        Fact::new("captured", &recording.captured),
        Fact::new("ended", &recording.ended),
    ];
    for process in &recording.processes {
        let openssls: Vec<String> = process
            .openssls
            .iter()
            .map(|found| format!("{}, {}, {}", found.object, found.version, found.outcome))
            .collect();
        facts.push(Fact::new(
            format!("process {}", process.pid),
            format!("{}: {}", process.program, openssls.join("; ")),
        ));
        let others: Vec<String> = process
            .other_tls
            .iter()
            .map(|other| format!("{} in {}", other.library, other.object))
            .collect();
        if !others.is_empty() {
            let name = format!("not recorded in process {}", process.pid);
            facts.push(Fact::new(name, others.join("; ")));
        }
    }
    let mut memory = memory::sentences(recording);
    memory.splice(0..0, account::one_connection(recording));
    if !memory.is_empty() {
        facts.push(Fact::new("beside OpenSSL's memory", memory.join(" ")));
    }
    if !recording.problems.is_empty() {
        facts.push(Fact::new("not seen", recording.problems.join("; ")));
    }
    facts
}

fn of_machine(machine: &Machine) -> Fact {
    Fact::new(
        "machine",
        format!(
            "{}, {} processors, {} of memory, Linux {}, {}",
            machine.cpu,
            machine.cpus,
            human(machine.memory_bytes as f64),
            machine.kernel,
            machine.architecture
        ),
    )
}

fn of_program(version: &str, commit: Option<&str>) -> Fact {
    let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
    Fact::new("tlsheap", format!("{version}{commit}"))
}

fn in_use(counts: &CountsRecord) -> String {
    let say = |figure: u64, ends| give_or_take(figure as f64, margin(figure as f64, ends), rounded);
    let off = counts.interval95;
    format!(
        "{} bytes in {} blocks",
        say(counts.inuse_bytes, off.and_then(|off| off.inuse_bytes)),
        say(counts.inuse_blocks, off.and_then(|off| off.inuse_blocks)),
    )
}

fn negotiation(negotiated: &NegotiatedRecord) -> String {
    let NegotiatedRecord { protocol, cipher, group, compression, .. } = negotiated;
    let said = |word: &str| word != "none" && !word.is_empty();
    let compression = if said(compression) { compression } else { "no compression" };
    let words = [protocol, cipher, group].into_iter().map(String::as_str).filter(|word| said(word));
    words.chain([compression]).collect::<Vec<_>>().join(", ")
}

/// A time without the parts of its second.
fn seconds_of(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// A command line that a shell would take.
fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted() {
        let words = ["tlsheap", "run", "--out", "my run", "it's", ""].map(str::to_owned);
        assert_eq!(command(&words), r"tlsheap run --out 'my run' 'it'\''s' ''");
    }

    #[test]
    fn a_time_is_said_in_whole_seconds() {
        assert_eq!(seconds_of("2026-11-23T10:09:30.05641952Z"), "2026-11-23T10:09:30Z");
        assert_eq!(seconds_of("2026-11-23T10:09:30Z"), "2026-11-23T10:09:30Z");
    }
}
