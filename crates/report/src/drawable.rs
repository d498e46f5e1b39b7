//! What of a profile can be drawn.
//!
//! A picture has a row for each frame of its deepest stack, and its text has each name as often as
//! frames show it: a small profile with stacks that are tens of thousands of frames deep, or with
//! names as long as a book, would make a picture that nothing can open, and that takes a recursion
//! as deep to make. So stacks have a limit in pictures, and names have one; a stack that goes
//! beyond it says so in the picture, with a frame of its own.

use std::borrow::Cow;

use profile::{Function, FunctionId, Line, Location, LocationId, Profile, Sample};

use crate::fit::shorten;

/// The most frames of a stack that are drawn, one that stands for those left out among them. Our
/// own recorder keeps 128.
pub const MOST_FRAMES: usize = 500;

/// Of these, so many are next to the allocation.
const INNERMOST: usize = 100;

/// The frame in the middle of a deep stack. It is as wide as all that is held by deep stacks there,
/// and has one name in all of them: those that have a beginning in common still have it.
pub const LEFT_OUT: &str = "[frames left out: stacks are deeper than 500]";

/// The most characters of a name that are drawn.
pub const LONGEST_NAME: usize = 500;

/// The profile as far as it can be drawn, with the values, the labels and the order of its samples.
/// One that can be drawn whole is itself.
pub fn drawable(profile: &Profile) -> Cow<'_, Profile> {
    let frames: Vec<usize> = profile.locations().map(frames_of).collect();
    let is_deep = |sample: &Sample| is_deep(&frames, sample);
    if profile.samples().iter().any(is_deep) || profile.functions().any(is_long) {
        Cow::Owned(cut(profile, is_deep))
    } else {
        Cow::Borrowed(profile)
    }
}

/// A location without a name is a frame, too.
fn frames_of(location: &Location) -> usize {
    location.lines.len().max(1)
}

fn is_deep(frames: &[usize], sample: &Sample) -> bool {
    let mut left = MOST_FRAMES;
    sample.stack.iter().any(|id| match left.checked_sub(frames[id.index()]) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    })
}

fn is_long(function: &Function) -> bool {
    [&function.name, &function.file]
        .into_iter()
        .any(|name| name.chars().nth(LONGEST_NAME).is_some())
}

/// The profile with the middle of deep stacks and of long names left out.
fn cut(profile: &Profile, is_deep: impl Fn(&Sample) -> bool) -> Profile {
    let mut drawn = Profile::new(profile.sample_types().to_vec(), profile.default_sample_type());
    drawn.sampling = profile.sampling;
    let functions: Vec<FunctionId> =
        profile.functions().map(|function| drawn.function(shown(function))).collect();
    let line = |line: &Line| Line { function: functions[line.function.index()], line: line.line };
    let locations: Vec<LocationId> = profile
        .locations()
        .map(|location| {
            let lines = location.lines.iter().take(MOST_FRAMES).map(line).collect();
            drawn.location(Location { mapping: None, address: location.address, lines })
        })
        .collect();
    let function = drawn.function(Function {
        name: LEFT_OUT.to_owned(),
        system_name: LEFT_OUT.to_owned(),
        file: String::new(),
    });
    let gap = Location { lines: vec![Line { function, line: 0 }], ..Location::default() };
    let gap = drawn.location(gap);
    for sample in profile.samples() {
        let stack = if is_deep(sample) {
            Ends::of(profile, sample).in_profile(&mut drawn, &functions, gap)
        } else {
            sample.stack.iter().map(|id| locations[id.index()]).collect()
        };
        let (values, labels) = (sample.values.clone(), sample.labels.clone());
        drawn.push(Sample { stack, values, labels });
    }
    drawn
}

fn shown(function: &Function) -> Function {
    let name = shorten(&function.name, LONGEST_NAME);
    let file = shorten(&function.file, LONGEST_NAME);
    Function { system_name: name.clone(), name, file }
}

/// One frame: its address, and its line if it has a name.
type OneFrame = (u64, Option<Line>);

/// Both ends of a deep stack, innermost frame first.
struct Ends {
    inner: Vec<OneFrame>,
    outer: Vec<OneFrame>,
}

impl Ends {
    fn of(profile: &Profile, sample: &Sample) -> Ends {
        let frames = |id: &LocationId| {
            let location = profile.location_of(*id);
            let unnamed = location.lines.is_empty().then_some((location.address, None));
            let named = location.lines.iter().map(|line| (location.address, Some(*line)));
            unnamed.into_iter().chain(named).collect::<Vec<OneFrame>>()
        };
        let inner = sample.stack.iter().flat_map(frames).take(INNERMOST).collect();
        let outermost_first = sample.stack.iter().rev();
        let outermost_first = outermost_first.flat_map(|id| frames(id).into_iter().rev());
        let mut outer: Vec<OneFrame> = outermost_first.take(MOST_FRAMES - INNERMOST - 1).collect();
        outer.reverse();
        Ends { inner, outer }
    }

    /// The stack in `drawn`, with `gap` between the ends.
    fn in_profile(
        &self,
        drawn: &mut Profile,
        functions: &[FunctionId],
        gap: LocationId,
    ) -> Vec<LocationId> {
        let mut put = |(address, line): &OneFrame| {
            let line = line
                .map(|line| Line { function: functions[line.function.index()], line: line.line });
            let lines = line.into_iter().collect();
            drawn.location(Location { mapping: None, address: *address, lines })
        };
        let inner: Vec<LocationId> = self.inner.iter().map(&mut put).collect();
        let outer: Vec<LocationId> = self.outer.iter().map(&mut put).collect();
        inner.into_iter().chain([gap]).chain(outer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One stack that is so deep, with as many functions, and one that is not deep at all.
    fn profile(depth: usize) -> Profile {
        let mut profile = Profile::of_heap();
        let mut stack = Vec::new();
        for at in 0..depth {
            let name = format!("f{at}");
            let function = Function { system_name: name.clone(), name, file: "x.c".to_owned() };
            let lines = vec![Line { function: profile.function(function), line: 7 }];
            stack.push(profile.location(Location { lines, ..Location::default() }));
        }
        for stack in [stack.clone(), stack[depth - 3..].to_vec()] {
            profile.push(Sample { stack, values: vec![1, 2, 3, 4, 5, 6], labels: Vec::new() });
        }
        profile
    }

    fn names(profile: &Profile, sample: usize) -> Vec<&str> {
        profile.frames(&profile.samples()[sample]).map(|frame| frame.function).collect()
    }

    #[test]
    fn what_can_be_drawn_whole_stays_as_it_is() {
        let profile = profile(MOST_FRAMES);
        let drawn = drawable(&profile);
        assert!(matches!(drawn, Cow::Borrowed(_)));
    }

    #[test]
    fn of_a_deep_stack_both_ends_are_drawn_and_what_is_missing_is_said() {
        let profile = profile(40_000);
        let drawn = drawable(&profile);
        let deep = names(&drawn, 0);
        assert_eq!(deep.len(), MOST_FRAMES);
        assert_eq!((deep[0], deep[99], deep[499]), ("f0", "f99", "f39999"));
        assert_eq!(deep[100], LEFT_OUT);
        assert!(LEFT_OUT.contains(&MOST_FRAMES.to_string()));
        assert_eq!(names(&drawn, 1), ["f39997", "f39998", "f39999"]);
        assert_eq!(drawn.total(1), profile.total(1));
    }

    #[test]
    fn inlined_functions_are_frames_too() {
        let mut profile = profile(3);
        let function = profile.function(Function::default());
        let lines = (0..40_000).map(|line| Line { function, line }).collect();
        let id = profile.location(Location { lines, ..Location::default() });
        profile.push(Sample { stack: vec![id; 9], values: vec![0; 6], labels: Vec::new() });
        let drawn = drawable(&profile);
        assert_eq!(names(&drawn, 2).len(), MOST_FRAMES);
    }

    #[test]
    fn a_long_name_loses_its_middle() {
        let mut profile = profile(3);
        let name = "n".repeat(100_000);
        let function = Function { system_name: name.clone(), name: name.clone(), file: name };
        let function = profile.function(function);
        let lines = vec![Line { function, line: 7 }];
        let id = profile.location(Location { lines, ..Location::default() });
        profile.push(Sample { stack: vec![id], values: vec![0; 6], labels: Vec::new() });
        let drawn = drawable(&profile);
        assert_eq!(names(&drawn, 2)[0].chars().count(), LONGEST_NAME);
    }
}
