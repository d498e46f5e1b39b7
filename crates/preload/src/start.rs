//! The constructor: what happens before the program's own code runs.

use std::ffi::{CStr, c_void};
use std::panic::catch_unwind;
use std::path::Path;

use contract::{NO_LEDGER, Scope, attach, environment};
use recorder::{FirstLevel, InstallError, Options, SampleOptions, Sampling, StackSource, own_work};

use crate::report::Report;
use crate::{attached, fixes, malloc_family, python, scan, whole_process};

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destruct;

/// A panic here would be the end of somebody's program; without recording it runs on.
#[cfg_attr(test, allow(dead_code))]
extern "C" fn construct() {
    let _ = catch_unwind(|| own_work(begin));
}

fn begin() {
    if !is_preloaded() {
        // By whom it was loaded says what is to be done.
        return;
    }
    // All are read now: programs overwrite their environment.
    let fixes = fixes::begin();
    python::read_environment();
    let Some(folder) = std::env::var_os(environment::LEDGER_FOLDER) else {
        if fixes {
            scan::begin_for_fixes();
        }
        return;
    };
    let folder = Path::new(&folder);
    if !folder.is_absolute() {
        return;
    }
    let scope = scope();
    let mut options = Options::in_folder(folder, StackSource::best());
    options.begun = begun;
    options.peak_of = scope.peak_of();
    if python::is_wanted() {
        options.first_level = FirstLevel::Large;
    }
    let sample = sample_options();
    options.sample = sample.as_ref().ok().copied().flatten();
    // SAFETY: the process's allocator keeps its contract, and is what OpenSSL uses by itself.
    if unsafe { recorder::install(options, malloc_family::heap(), None) }.is_err() {
        return;
    }
    // SAFETY: the handler only stores atomics.
    unsafe { libc::pthread_atfork(None, None, Some(scan::after_fork)) };
    attached::is_preloaded();
    let is_main = is_main();
    whole_process::begin(scope, is_main);
    scan::begin(Report::of_this_process(folder, is_main));
    whole_process::note_start();
    if let Err(sentence) = &sample {
        scan::with_report(|report| report.problem(sentence.clone()));
    }
}

/// The last moment to see whether a program has replaced the recorder's functions.
#[cfg_attr(test, allow(dead_code))]
extern "C" fn destruct() {
    if !attached::is_let_go() {
        let _ = catch_unwind(|| own_work(scan::check_in_place));
    }
}

/// Whether the loader was told by the environment to load this library, or the program is linked
/// with it: one that was put into a running process is called otherwise, and that process's
/// environment, which its threads may be changing, is not looked at.
fn is_preloaded() -> bool {
    // SAFETY: all-zero bytes are a record without names.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: an address in this library, and a place for what the loader knows of it.
    let known = unsafe { libc::dladdr(is_preloaded as *const c_void, &raw mut found) } != 0;
    if !known || found.dli_fname.is_null() {
        return true;
    }
    // SAFETY: the loader's own string, which lives as long as this library is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) }.to_bytes();
    !name.starts_with(b"/proc/self/fd/") && !name.ends_with(attach::LIBRARY.as_bytes())
}

/// What is to be recorded.
fn scope() -> Scope {
    let word = std::env::var(environment::SCOPE).unwrap_or_default();
    Scope::from_word(&word).unwrap_or_default()
}

fn is_main() -> bool {
    let parent = std::env::var(environment::MAIN_PARENT).ok().and_then(|pid| pid.parse().ok());
    parent == Some(std::os::unix::process::parent_id())
}

/// How blocks are to be sampled, if they are. What cannot be understood is a sentence for the
/// report, and every block is counted then.
fn sample_options() -> Result<Option<SampleOptions>, String> {
    let Some(text) = std::env::var_os(environment::SAMPLE) else { return Ok(None) };
    let sampling = sampling(&text.to_string_lossy())?;
    let seed = std::env::var(environment::SAMPLE_SEED).ok().and_then(|seed| seed.parse().ok());
    Ok(Some(SampleOptions { sampling, seed }))
}

fn sampling(text: &str) -> Result<Sampling, String> {
    text.parse().ok().and_then(Sampling::every).ok_or_else(|| {
        format!(
            "{} is {text:?} and not a number of bytes from 1 to {}: every block is counted",
            environment::SAMPLE,
            Sampling::MOST
        )
    })
}

/// The recorder has made a ledger, or could not.
pub(crate) fn begun(ledger: Result<&Path, InstallError>) {
    scan::with_report(|report| match ledger {
        Ok(path) => report.ledger_begun(path),
        Err(error) => report.problem(format!("{NO_LEDGER}{error}")),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_between_samples_are_a_number() {
        assert_eq!(sampling("65536").map(Sampling::interval), Ok(65_536));
        for wrong in ["", "0", "64k", "-1", "99999999999"] {
            let said = sampling(wrong).expect_err("no number of bytes");
            assert!(said.contains(wrong) && said.ends_with("every block is counted"), "{said}");
        }
    }
}
