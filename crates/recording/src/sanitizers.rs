//! Programs that are built with a sanitizer, which look at what else is in their process.

use std::ffi::{OsStr, OsString};
use std::fs;

use finder::Elf;

use crate::program_file::ProgramFile;

/// AddressSanitizer's options.
pub const ADDRESS_OPTIONS: &str = "ASAN_OPTIONS";

/// Has the shared library of AddressSanitizer, as gcc links it, start behind the recorder's. By
/// itself it refuses to start behind any other, which might have an allocator of its own.
const BEHIND_OTHERS: &str = "verify_asan_link_order=0";

/// What [`ADDRESS_OPTIONS`] is to be in a recorded program, and in what it starts: `own`, and no
/// refusal. What is said there of that stays.
pub fn address_options(own: Option<OsString>) -> OsString {
    let Some(mut options) = own.filter(|own| !own.is_empty()) else { return BEHIND_OTHERS.into() };
    if !options.to_string_lossy().contains("verify_asan_link_order") {
        options.push(":");
        options.push(BEHIND_OTHERS);
    }
    options
}

/// What to know before a program is recorded that is built with ThreadSanitizer, as a sentence.
/// `None` of others, and of one whose file cannot be read.
pub fn notice(program: &OsStr) -> Option<String> {
    let file = ProgramFile::of(program).ok()?.path;
    let bytes = fs::read(&file).ok()?;
    let elf = Elf::parse(&bytes).ok()?;
    let shared = elf.needed().libraries.iter().any(|name| name.starts_with("libtsan.so"));
    (shared || finder::functions(&elf, ["__tsan_init"])[0].is_some()).then(|| {
        format!(
            "{} is built with ThreadSanitizer, which does not see how the recorder's threads \
             agree: reports with libtlsheap_preload.so in them are none of the program's",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_says_of_address_sanitizer_stays() {
        let options = |own: &str| address_options(Some(own.into())).into_string().unwrap();
        assert_eq!(address_options(None), "verify_asan_link_order=0");
        assert_eq!(options(""), "verify_asan_link_order=0");
        assert_eq!(options("detect_leaks=0"), "detect_leaks=0:verify_asan_link_order=0");
        assert_eq!(options("verify_asan_link_order=1"), "verify_asan_link_order=1");
    }

    #[test]
    fn this_program_is_built_with_none() {
        let this = std::env::current_exe().unwrap();
        assert_eq!(notice(this.as_os_str()), None);
    }
}
