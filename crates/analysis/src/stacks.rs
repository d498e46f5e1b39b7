//! The stacks of a profile and what each holds: the material of a picture.

use std::collections::BTreeMap;

use profile::{Frame, Profile, Uncertainty};

use crate::category;
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
    let mut amounts: BTreeMap<(Vec<Call>, &'static str), (i64, Uncertainty)> = BTreeMap::new();
    let sides = [(Some(at_rest), Sign::Plus), (baseline, Sign::Minus)];
    for (side, sign) in sides {
        let Some(ColumnOf { profile, column }) = side else { continue };
        let uncertainty = profile.uncertainty(column);
        for sample in profile.samples() {
            let frames: Vec<Frame<'_>> = profile.frames(sample).collect();
            let key = (calls(&frames), category::of_sample(profile, sample).group());
            let (amount, off) = amounts.entry(key).or_default();
            *amount = match sign {
                Sign::Plus => amount.saturating_add(sample.values[column]),
                Sign::Minus => amount.saturating_sub(sample.values[column]),
            };
            // Of a difference as of a sum.
            *off = off.and(uncertainty(sample));
        }
    }
    amounts
        .into_iter()
        .filter(|(_, held)| *held != (0, Uncertainty::default()))
        .map(|((calls, group), (amount, off))| Stack { calls, group, amount, off })
        .collect()
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

/// `frames` come innermost first.
fn calls(frames: &[Frame<'_>]) -> Vec<Call> {
    let program = frames.iter().rposition(|frame| Origin::of(frame) == Origin::Program);
    let kept = program.map_or(frames.len(), |outermost| outermost + 1);
    frames[..kept]
        .iter()
        .rev()
        .map(|frame| Call {
            function: match (frame.function, frame.address) {
                ("", 0) => String::new(),
                ("", address) => format!("{address:#x}"),
                (function, _) => function.to_owned(),
            },
            file: frame.file.to_owned(),
            line: frame.line,
        })
        .collect()
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
