//! Programs that the recorder's library cannot be loaded into, because of another C library or
//! another root directory: they run as they do bare.

mod program;
mod recorded;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::{path, text, tlsheap};
use recorded::{Recorded, installed, tlsheap_record};
use tempfile::TempDir;

/// A program of musl's, built in `folder`. `None` where musl is not installed.
fn of_musl(folder: &Path) -> Option<PathBuf> {
    let (source, built) = (folder.join("says.c"), folder.join("says"));
    let text = "#include <stdio.h>\nint main(void) { puts(\"musl\"); return 7; }\n";
    fs::write(&source, text).unwrap();
    let compiled = Command::new("musl-gcc").args(["-o", path(&built), path(&source)]).status();
    if !compiled.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "missing: musl-gcc");
        println!("skipped: musl-gcc is not installed");
        return None;
    }
    Some(built)
}

#[test]
fn a_program_of_another_c_library_is_refused_before_it_starts() {
    let place = TempDir::new().unwrap();
    let Some(program) = of_musl(place.path()) else { return };
    let script = place.path().join("script");
    fs::write(&script, format!("#!{}\n", program.display())).unwrap();
    for program in [&program, &script] {
        let output = tlsheap_record(&place.path().join("run"), &[], &[path(program)]);
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{words}");
        assert_eq!(text(&output.stdout), "", "it was not started");
        assert!(words.contains("was not started: it is built for another C library"), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
    }
    let doctor = tlsheap(&["doctor", path(&program)]);
    assert_eq!(doctor.status.code(), Some(3));
    let words = text(&doctor.stdout);
    assert!(words.contains("is built for another C library"), "{words}");
}

#[test]
fn a_child_of_another_c_library_runs_as_without_the_recorder() {
    let place = TempDir::new().unwrap();
    let Some(program) = of_musl(place.path()) else { return };
    if !installed("openssl") {
        return;
    }
    let line = format!("openssl version; {}", path(&program));
    let recorded = Recorded::of(&["sh", "-c", &line]);
    recorded.is_transparent();
    assert_eq!(recorded.output.status.code(), Some(7));
    let words = text(&recorded.output.stderr);
    assert!(!words.contains("Error "), "{words}");
    assert_eq!(recorded.record()["processes"].as_array().unwrap().len(), 1);
}

/// Another root with `true` in it, and what that needs.
fn another_root(folder: &Path) -> Option<PathBuf> {
    let root = folder.join("root");
    let needs = Command::new("ldd").arg("/bin/true").output().ok()?;
    let needs = text(&needs.stdout);
    let libraries = needs.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/bin/true"]) {
        let copy = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(copy.parent()?).unwrap();
        fs::copy(file, copy).unwrap();
    }
    Some(root)
}

#[test]
fn a_program_behind_another_root_is_told_nothing_of_the_library() {
    if !installed("openssl") || !installed("chroot") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can change the root directory");
        return;
    }
    let place = TempDir::new().unwrap();
    let Some(root) = another_root(place.path()) else { return };
    let line = format!("openssl version; chroot {} /bin/true", path(&root));
    let recorded = Recorded::of(&["sh", "-c", &line]);
    recorded.is_transparent();
    let words = text(&recorded.output.stderr);
    assert!(!words.contains("ERROR"), "{words}");
    // What the user preloads goes on.
    let output = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&place.path().join("run")), "--", "sh", "-c", &line])
        .env("LD_PRELOAD", "/no/such/library.so")
        .output()
        .unwrap();
    let words = text(&output.stderr);
    let complaints = words.lines().filter(|line| line.contains("ERROR")).collect::<Vec<_>>();
    assert!(!complaints.is_empty(), "{words}");
    assert!(complaints.iter().all(|line| line.contains("/no/such/library.so")), "{words}");
}
