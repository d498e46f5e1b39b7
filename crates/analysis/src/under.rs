//! A part of a profile: what was reached through given source files.

use profile::Profile;

/// Keeps the samples whose stack passes through a source file that begins with one of `paths`,
/// e.g. `crypto/x509` for all that parsing and keeping certificates holds, whoever's line asked
/// for the memory in the end.
pub fn keep_under(profile: &mut Profile, paths: &[String]) {
    let passes = |file: &str| paths.iter().any(|path| file.starts_with(path.as_str()));
    let mut kept = profile
        .samples()
        .iter()
        .map(|sample| profile.frames(sample).any(|frame| passes(frame.file)))
        .collect::<Vec<_>>()
        .into_iter();
    profile.samples_mut().retain(|_| kept.next().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Counts;
    use crate::sample_profile::{push, stack};

    #[test]
    fn what_a_directory_asked_others_for_is_its_own() {
        let mut profile = Profile::of_heap();
        let buffer = ("BUF_MEM_grow", "crypto/buffer/buffer.c");
        let certificate = [buffer, ("x509_name_canon", "crypto/x509/x_name.c")];
        let handshake = [buffer, ("ssl3_setup", "ssl/statem/statem.c")];
        push(&mut profile, "openssl", &stack(&certificate), 1, 300);
        push(&mut profile, "openssl", &stack(&handshake), 1, 21_848);
        keep_under(&mut profile, &["crypto/pem".to_owned(), "crypto/x509".to_owned()]);
        assert_eq!(Counts::total(&profile).inuse_bytes, Some(300));
    }
}
