//! A part of a profile: what one recorded process holds.

use std::collections::BTreeSet;

use profile::Profile;

/// The label under which samples of a recording carry their process: its id, a blank, and the
/// name of its program.
pub const LABEL: &str = contract::labels::PROCESS;

/// The processes that samples of the profile name.
pub fn present(profile: &Profile) -> BTreeSet<&str> {
    profile.samples().iter().filter_map(|sample| sample.label(LABEL)).collect()
}

/// Whether a process is meant by `wanted`: its id, its program's name, or both as in the label.
pub fn is(label: &str, wanted: &str) -> bool {
    let (id, program) = label.split_once(' ').unwrap_or((label, ""));
    wanted == label || wanted == id || (!program.is_empty() && wanted == program)
}

/// Keeps the samples of the processes that are meant by `wanted`.
pub fn keep(profile: &mut Profile, wanted: &str) {
    profile.samples_mut().retain(|sample| sample.label(LABEL).is_some_and(|one| is(one, wanted)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Counts;
    use crate::sample_profile::{push, stack};

    fn of_three_processes() -> Profile {
        let mut profile = Profile::of_heap();
        for (label, bytes) in [("70 sh", 1), ("71 nginx: worker", 20), ("72 nginx: worker", 300)] {
            push(&mut profile, "openssl", &stack(&[("SSL_new", "ssl/ssl_lib.c")]), 1, bytes);
            profile.samples_mut().last_mut().unwrap().set_label(LABEL, label);
        }
        push(&mut profile, "openssl", &stack(&[("SSL_new", "ssl/ssl_lib.c")]), 1, 4_000);
        profile
    }

    #[test]
    fn a_process_is_meant_by_its_id_or_its_program() {
        assert_eq!(present(&of_three_processes()).len(), 3);
        for (wanted, bytes) in
            [("71", 20), ("nginx: worker", 320), ("72 nginx: worker", 300), ("sh", 1), ("7", 0)]
        {
            let mut profile = of_three_processes();
            keep(&mut profile, wanted);
            assert_eq!(Counts::total(&profile).inuse_bytes, Some(bytes), "{wanted}");
        }
    }
}
