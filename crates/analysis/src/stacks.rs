//! The stacks of a profile and what each holds: the material of a picture.

use foldhash::{HashMap, HashMapExt};
use profile::{Frame, LocationId, Profile, Sample, Uncertainty};

use crate::call_ids::{CallId, CallIds, OfLocations};
use crate::category::Judged;
use crate::group::Call;
use crate::origin::Origin;

/// One column of a profile.
#[derive(Clone, Copy, Debug)]
pub struct ColumnOf<'a> {
    /// The samples.
    pub profile: &'a Profile,
    /// Which of their values, from 0.
    pub column: usize,
}

/// One stack and what it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// The calls, outermost first, without what the runtime does around the program.
    pub calls: Vec<Call>,
    /// The top-level group of what the memory is for.
    pub group: &'static str,
    /// The value of the column; negative where the baseline held more.
    pub amount: i64,
    /// How far off it may be; nothing where it is exact.
    pub off: Uncertainty,
}

/// Every stack of `at_rest` less the same stack of `baseline`, sorted by calls. Stacks that come
/// out at zero for certain are left out; the amounts add up to the difference of both columns.
///
/// Outside of the program's first function there are only the runtime's frames, the same for
/// every task: a stack begins with the program. One without a function of the program is whole.
pub fn grown_stacks(at_rest: ColumnOf<'_>, baseline: Option<ColumnOf<'_>>) -> Vec<Stack> {
    let mut ids = CallIds::named_by(call);
    let mut amounts: HashMap<(Vec<CallId>, &'static str), (i64, Uncertainty)> = HashMap::new();
    let sides = [(Some(at_rest), Sign::Plus), (baseline, Sign::Minus)];
    for (side, sign) in sides {
        let Some(ColumnOf { profile, column }) = side else { continue };
        let uncertainty = profile.uncertainty(column);
        let categories = Judged::default().of_samples(profile);
        let mut programs = Programs::of(profile);
        for (sample, category) in profile.samples().iter().zip(categories) {
            let key = (programs.calls(sample, &mut ids), category.group());
            let (amount, off) = amounts.entry(key).or_default();
            *amount = match sign {
                Sign::Plus => amount.saturating_add(sample.values[column]),
                Sign::Minus => amount.saturating_sub(sample.values[column]),
            };
            // Of a difference as of a sum.
            *off = off.and(uncertainty(sample));
        }
    }
    let held = amounts.into_iter().filter(|(_, held)| *held != (0, Uncertainty::default()));
    let mut stacks: Vec<Stack> = held
        .map(|((calls, group), (amount, off))| {
            let calls = calls.iter().map(|id| ids.call(*id).clone()).collect();
            Stack { calls, group, amount, off }
        })
        .collect();
    stacks.sort_unstable_by(|one, other| {
        one.calls.cmp(&other.calls).then_with(|| one.group.cmp(other.group))
    });
    stacks
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

/// Where the program is in each location: stacks have most of theirs in common.
struct Programs<'a> {
    profile: &'a Profile,
    of_locations: OfLocations<'a>,
    /// The program's outermost frame there, counted from the innermost; `None` where it has none.
    outermost: HashMap<LocationId, Option<usize>>,
}

impl<'a> Programs<'a> {
    fn of(profile: &'a Profile) -> Programs<'a> {
        Programs { profile, of_locations: OfLocations::of(profile), outermost: HashMap::new() }
    }

    fn outermost(&mut self, id: LocationId) -> Option<usize> {
        let is_program = |frame: Frame<'_>| Origin::of(&frame) == Origin::Program;
        *self.outermost.entry(id).or_insert_with(|| {
            let frames: Vec<Frame<'_>> = self.profile.frames_of(id).collect();
            frames.into_iter().rposition(is_program)
        })
    }

    /// The calls of a sample's stack from the program's outermost one on; all where there is none.
    fn calls(&mut self, sample: &Sample, ids: &mut CallIds) -> Vec<CallId> {
        let begins = sample.stack.iter().enumerate().rev().find_map(|(at, id)| {
            let frame = self.outermost(*id)?;
            Some((at, frame))
        });
        let (locations, frames) =
            begins.map_or((sample.stack.len(), usize::MAX), |(at, frame)| (at + 1, frame + 1));
        let mut calls = Vec::with_capacity(2 * locations);
        for (at, id) in sample.stack[..locations].iter().enumerate() {
            let all = self.of_locations.calls(*id, ids);
            let kept = if at + 1 == locations { frames.min(all.len()) } else { all.len() };
            calls.extend_from_slice(&all[..kept]);
        }
        calls.reverse();
        calls
    }
}

fn call(frame: &Frame<'_>) -> Call {
    Call {
        function: match (frame.function, frame.address) {
            ("", 0) => String::new(),
            ("", address) => format!("{address:#x}"),
            (function, _) => function.to_owned(),
        },
        file: frame.file.to_owned(),
        line: frame.line,
    }
}

#[cfg(test)]
mod tests {
    use profile::Sampling;

    use super::*;
    use crate::sample_profile::{self, CERTIFICATE, DEFLATE, stack};

    fn profile(samples: &[(&[(&str, &str)], i64)]) -> Profile {
        let mut profile = Profile::of_heap();
        for (calls, bytes) in samples {
            sample_profile::push(&mut profile, "openssl", &stack(calls), 1, *bytes);
        }
        profile
    }

    fn in_use(profile: &Profile) -> ColumnOf<'_> {
        ColumnOf { profile, column: 1 }
    }

    #[test]
    fn stacks_begin_with_the_program_and_end_with_the_site() {
        let profile = profile(&[(&CERTIFICATE, 400)]);
        let stacks = grown_stacks(in_use(&profile), None);
        let names: Vec<&str> = stacks[0].calls.iter().map(|call| call.function.as_str()).collect();
        assert_eq!(names.first(), Some(&"echo_server::connection::serve_connection::{{closure}}"));
        assert_eq!(names.last(), Some(&"asn1_item_embed_new"));
        assert_eq!((stacks[0].group, stacks[0].amount), ("x509", 400));
    }

    #[test]
    fn the_baseline_is_taken_off_stack_by_stack() {
        let before = profile(&[(&CERTIFICATE, 400), (&DEFLATE, 70)]);
        let rest = profile(&[(&CERTIFICATE, 400), (&DEFLATE, 50), (&CERTIFICATE, 9)]);
        let stacks = grown_stacks(in_use(&rest), Some(in_use(&before)));
        let amounts: Vec<_> = stacks.iter().map(|stack| (stack.group, stack.amount)).collect();
        assert_eq!(amounts, [("compression", -20), ("x509", 9)]);
    }

    #[test]
    fn estimates_are_as_far_off_as_both_sides_and_an_estimate_of_nothing_is_kept() {
        let mut before = profile(&[(&CERTIFICATE, 400), (&DEFLATE, 70)]);
        let mut rest = profile(&[(&CERTIFICATE, 900), (&DEFLATE, 70)]);
        assert_eq!(grown_stacks(in_use(&rest), Some(in_use(&before))).len(), 1);
        for profile in [&mut before, &mut rest] {
            profile.sampling = Sampling::every(1_000);
            for sample in profile.samples_mut() {
                sample.set_block_bytes(10);
            }
        }
        let stacks = grown_stacks(in_use(&rest), Some(in_use(&before)));
        let amounts: Vec<i64> = stacks.iter().map(|stack| stack.amount).collect();
        assert_eq!(amounts, [0, 500]);
        let off = |bytes| rest.sampling.unwrap().uncertainty_of_bytes(10, bytes);
        assert_eq!(stacks[0].off, off(70.0).and(off(70.0)));
        assert_eq!(stacks[1].off, off(900.0).and(off(400.0)));
    }

    #[test]
    fn a_stack_without_the_program_is_whole() {
        let calls = [("CRYPTO_new", "crypto/x.c"), ("start_thread", "")];
        let profile = profile(&[(&calls, 8)]);
        assert_eq!(grown_stacks(in_use(&profile), None)[0].calls.len(), 2);
    }
}
