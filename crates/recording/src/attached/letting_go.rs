//! Lets processes go: those that were attached to, and what they have forked since.

use std::collections::BTreeSet;
use std::fs;

use attach::{AttachError, Prospect, Target};

use super::{Member, PASSES, Visit};
use crate::descendants::Descendants;
use crate::place::{CONTENT, Place};
use crate::running::Fate;

/// Lets all of them go, and keeps what their libraries say. What could not be let go is said in
/// `problems`.
pub(super) fn all(
    members: &mut [Member],
    descendants: &mut Descendants,
    place: &Place,
    problems: &mut Vec<String>,
) -> Fate {
    // Who has forked others first: what it forks from then on has nothing in it.
    let fates = members.iter_mut().map(|member| member.let_go(problems)).collect::<Vec<_>>();
    let mut tried: BTreeSet<u32> = members.iter().map(|member| member.process.pid).collect();
    for _ in 0..PASSES {
        let mut forked = descendants.ids();
        forked.retain(|pid| !tried.contains(pid) && is_attached(*pid));
        if forked.is_empty() {
            break;
        }
        for pid in forked {
            tried.insert(pid);
            let_go_forked(pid, place, problems);
        }
    }
    let in_order = [Fate::NotLetGo, Fate::GoesOn, Fate::IsAnother];
    in_order.into_iter().find(|fate| fates.contains(fate)).unwrap_or(Fate::HasEnded)
}

impl Member {
    fn let_go(&mut self, problems: &mut Vec<String>) -> Fate {
        let pid = self.process.pid;
        if !self.counts() {
            return if self.runs() { Fate::IsAnother } else { Fate::HasEnded };
        }
        match attach::detach(pid, CONTENT) {
            Ok(done) => {
                let _ = fs::write(self.ledger.with_extension("coverage"), &done.coverage);
                self.end = Some(Visit::from(&done));
                Fate::GoesOn
            }
            Err(_) if !self.runs() => Fate::HasEnded,
            Err(error) => {
                problems.push(not_let_go(pid, &error));
                Fate::NotLetGo
            }
        }
    }
}

fn is_attached(pid: u32) -> bool {
    Target::of(pid, CONTENT).is_ok_and(|target| target.prospect() == Prospect::Attached)
}

/// The same for one that was forked, which has found its own file to count in.
fn let_go_forked(pid: u32, place: &Place, problems: &mut Vec<String>) {
    match attach::detach(pid, CONTENT) {
        Ok(done) => {
            let mark = format!("{pid}-");
            let files = fs::read_dir(place.ledgers()).into_iter().flatten().flatten();
            let coverage = files.map(|file| file.path()).find(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with(&mark) && name.ends_with(".coverage")
            });
            if let Some(coverage) = coverage {
                let _ = fs::write(coverage, &done.coverage);
            }
        }
        Err(AttachError::NoProcess(_) | AttachError::Ended(_) | AttachError::NotAttached(_)) => {}
        Err(error) => problems.push(not_let_go(pid, &error)),
    }
}

fn not_let_go(pid: u32, error: &AttachError) -> String {
    format!(
        "process {pid} has the recorder in it still, which counts on and harms nobody: {error}; \
         `tlsheap record --pid {pid} --for 0s` lets it go"
    )
}
