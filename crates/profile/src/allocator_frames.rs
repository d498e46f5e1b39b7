//! Frames at the leaf of a Rust allocation that say only that memory was allocated: jemalloc's,
//! the allocator interface, and the collections of the standard library.

use crate::{Frame, Line, Location, LocationId, Profile};

/// How names of allocators' functions begin: jemalloc's, the interface's, and those of what counts
/// between the two.
const BEGINNINGS: [&str; 10] = [
    "_rjem_",
    "je_",
    "do_rallocx",
    "__rust_alloc",
    "__rust_realloc",
    "__rdl_",
    "__rg_",
    "<global_allocator::",
    "global_allocator::",
    "recorder::rust::",
];

/// Whether `frame` is the allocator's or a collection's, so that its caller asked for the memory.
pub fn is_allocator(frame: &Frame<'_>) -> bool {
    let name = frame.function;
    // Debug information has jemalloc's sources in the build folder of the crate that brings them.
    ["tikv-jemalloc-sys-", "tikv-jemallocator-", "global-allocator/src/"]
        .iter()
        .any(|package| frame.file.contains(package))
        || ["hashbrown-", "library/alloc/", "library/core/"]
            .iter()
            .any(|path| frame.file.starts_with(path))
        || BEGINNINGS
            .iter()
            .any(|beginning| name.trim_start_matches("__rustc::").starts_with(beginning))
}

/// A library that is the allocator and nothing else, whose own functions have no names mostly.
fn is_allocators_library(file: &str) -> bool {
    file.rsplit('/').next().is_some_and(|name| name.starts_with("libjemalloc"))
}

/// The stack without such frames at its leaf; as it is when nothing else is on it.
pub(crate) fn without_allocator(profile: &mut Profile, stack: &[LocationId]) -> Vec<LocationId> {
    for (depth, id) in stack.iter().enumerate() {
        let location = profile.location_of(*id);
        let lies_in = location.mapping.map(|mapping| profile.mapping_of(mapping).file.as_str());
        if depth + 1 < stack.len() && lies_in.is_some_and(is_allocators_library) {
            continue;
        }
        let of_allocator = |line: &&Line| {
            let function = profile.function_of(line.function);
            let (function, file) = (function.name.as_str(), function.file.as_str());
            is_allocator(&Frame { function, file, line: line.line, address: 0 })
        };
        let lines: Vec<Line> = location.lines.iter().skip_while(of_allocator).copied().collect();
        if lines.is_empty() && !location.lines.is_empty() {
            continue;
        }
        let leaf = Location { lines, ..location.clone() };
        let mut rest = vec![profile.location(leaf)];
        rest.extend(&stack[depth + 1..]);
        return rest;
    }
    stack.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Function;

    fn location(profile: &mut Profile, address: u64, frames: &[(&str, &str)]) -> LocationId {
        let lines = frames
            .iter()
            .map(|(name, file)| {
                let (name, file) = ((*name).to_owned(), (*file).to_owned());
                let function = Function { system_name: name.clone(), name, file };
                Line { function: profile.function(function), line: 1 }
            })
            .collect();
        profile.location(Location { mapping: None, address, lines })
    }

    fn leaf_of(profile: &mut Profile, stack: &[LocationId]) -> String {
        let stack = without_allocator(profile, stack);
        let line = profile.location_of(stack[0]).lines[0];
        profile.function_of(line.function).name.clone()
    }

    #[test]
    fn the_leaf_is_the_function_that_asked_for_memory() {
        let mut profile = Profile::of_heap();
        let jemalloc = "/t/build/tikv-jemalloc-sys-1f/out/build/src/jemalloc.c";
        let stack = [
            location(&mut profile, 1, &[("prof_backtrace_impl", jemalloc)]),
            location(&mut profile, 2, &[("_rjem_malloc", "")]),
            location(
                &mut profile,
                3,
                &[
                    ("alloc", "tikv-jemallocator-0.7.0/src/lib.rs"),
                    ("__rust_alloc", "crates/echo-server/src/allocator.rs"),
                    ("with_capacity<u8>", "library/alloc/src/vec/mod.rs"),
                    ("collect", "library/core/src/iter/traits/iterator.rs"),
                    ("new_uninitialized", "hashbrown-0.15.2/src/raw/mod.rs"),
                    ("tokio::task::Cell::new", "tokio-1.54.1/src/runtime/task/core.rs"),
                    ("Box::new", "library/alloc/src/boxed.rs"),
                ],
            ),
            location(&mut profile, 4, &[("main", "src/main.rs")]),
        ];
        assert_eq!(leaf_of(&mut profile, &stack), "tokio::task::Cell::new");
        // What lies further out stays, the standard library in the same location too.
        let kept = without_allocator(&mut profile, &stack);
        assert_eq!(kept.len(), 2);
        assert_eq!(profile.location_of(kept[0]).lines.len(), 2);
        assert_eq!(kept[1], stack[3]);
    }

    #[test]
    fn a_stack_of_nothing_else_stays_whole_and_one_without_names_too() {
        let mut profile = Profile::of_heap();
        let allocator = [location(&mut profile, 1, &[("__rust_alloc", "")])];
        assert_eq!(without_allocator(&mut profile, &allocator), allocator);
        let unnamed = [location(&mut profile, 2, &[]), location(&mut profile, 3, &[])];
        assert_eq!(without_allocator(&mut profile, &unnamed), unnamed);
        assert_eq!(without_allocator(&mut profile, &[]), []);
    }
}
