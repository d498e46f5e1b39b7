//! The stacks of a profile and what each holds: the material of a picture.

use std::collections::BTreeMap;

use profile::{Frame, Profile};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The calls, outermost first, without what the runtime does around the program.
    pub calls: Vec<Call>,
    /// The top-level group of what the memory is for.
    pub group: &'static str,
    /// The value of the column; negative where the baseline held more.
    pub amount: i64,
}

/// Every stack of `at_rest` less the same stack of `baseline`, sorted by calls. Stacks that come
/// out at zero are left out; the amounts add up to the difference of both columns.
///
/// Outside of the program's first function there are only the runtime's frames, the same for
/// every task: a stack begins with the program. One without a function of the program is whole.
pub fn grown_stacks(at_rest: ColumnOf<'_>, baseline: Option<ColumnOf<'_>>) -> Vec<Stack> {
    let mut amounts: BTreeMap<(Vec<Call>, &'static str), i64> = BTreeMap::new();
    let sides = [(Some(at_rest), Sign::Plus), (baseline, Sign::Minus)];
    for (side, sign) in sides {
        let Some(ColumnOf { profile, column }) = side else { continue };
        for sample in profile.samples() {
            let frames: Vec<Frame<'_>> = profile.frames(sample).collect();
            let key = (calls(&frames), category::of_sample(profile, sample).group());
            let amount = amounts.entry(key).or_default();
            *amount = match sign {
                Sign::Plus => amount.saturating_add(sample.values[column]),
                Sign::Minus => amount.saturating_sub(sample.values[column]),
            };
        }
    }
    amounts
        .into_iter()
        .filter(|(_, amount)| *amount != 0)
        .map(|((calls, group), amount)| Stack { calls, group, amount })
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
    fn a_stack_without_the_program_is_whole() {
        let calls = [("CRYPTO_new", "crypto/x.c"), ("start_thread", "")];
        let profile = profile(&[(&calls, 8)]);
        assert_eq!(grown_stacks(in_use(&profile), None)[0].calls.len(), 2);
    }
}
