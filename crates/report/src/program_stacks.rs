//! Stacks that begin with the program: outside of its first function there is only the runtime, the
//! same for every task, and of an async runtime it is sixty rows of a picture.

use std::collections::HashMap;

use analysis::origin::Origin;
use profile::{LocationId, Profile};

/// The profile without the runtime's frames around the program. A stack without a function of the
/// program is whole.
pub(crate) fn program_stacks(profile: &Profile) -> Profile {
    let mut programs: HashMap<LocationId, bool> = HashMap::new();
    for id in profile.samples().iter().flat_map(|sample| &sample.stack) {
        programs.entry(*id).or_insert_with(|| {
            profile.frames_of(*id).any(|frame| Origin::of(&frame) == Origin::Program)
        });
    }
    let mut begun = profile.clone();
    for sample in begun.samples_mut() {
        if let Some(outermost) = sample.stack.iter().rposition(|id| programs[id]) {
            sample.stack.truncate(outermost + 1);
        }
    }
    begun
}

#[cfg(test)]
mod tests {
    use profile::{Function, Line, Location, Sample};

    use super::*;

    #[test]
    fn what_is_around_the_program_goes_and_every_value_stays() {
        let mut profile = Profile::of_heap();
        let mut at = |name: &str, file: &str| {
            let (name, file) = (name.to_owned(), file.to_owned());
            let function = profile.function(Function { system_name: name.clone(), name, file });
            let lines = vec![Line { function, line: 1 }];
            profile.location(Location { lines, ..Location::default() })
        };
        let leaf = at("SSL_new", "ssl/ssl_lib.c");
        let program = at("echo_server::serve", "crates/server/src/main.rs");
        let runtime = at("tokio::runtime::task::poll", "tokio-1.54.1/src/runtime/task/core.rs");
        let start = at("start_thread", "");
        for stack in [vec![leaf, runtime, program, runtime, start], vec![leaf, runtime, start]] {
            profile.push(Sample { stack, values: vec![1, 5, 1, 5, 1, 5], labels: Vec::new() });
        }
        let begun = program_stacks(&profile);
        assert_eq!(begun.samples()[0].stack, [leaf, runtime, program]);
        assert_eq!(begun.samples()[1].stack, profile.samples()[1].stack);
        assert_eq!(begun.total(1), 10);
    }
}
