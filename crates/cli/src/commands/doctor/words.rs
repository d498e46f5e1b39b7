//! What `tlsheap doctor` says.

use profile::harmless::harmless;
use recording::doctor::{Examined, Offers};
use report::medium::Medium;
use report::wrapping::wrapped;

/// What this machine offers for recording.
pub fn offers(offers: &Offers, medium: Medium) -> String {
    let limit = |limit: Option<u64>| limit.map_or("any number".to_owned(), |n| n.to_string());
    let mut lines = String::new();
    let mut say = |name: &str, text: &str| {
        lines += &format!("{name:<16}  {}\n", wrapped(text, 18, medium).trim_start());
    };
    match (&offers.library, &offers.library_missing) {
        (Some(path), _) => {
            say("library", &format!("comes with tlsheap, and is put into {path}"));
        }
        (None, Some(why)) => say("library", &format!("has no place: {why}")),
        (None, None) => say("library", "has no place"),
    }
    if let Some(why) = &offers.tmpdir_refused {
        say("TMPDIR", &format!("is not used: {why}"));
    }
    let version = offers.c_library.as_deref().unwrap_or("of unknown version");
    say("C library", &format!("GNU {version}"));
    say(
        "stacks",
        match offers.stacks {
            "unwind-tables" => "read through unwind tables: programs need no frame pointers",
            _ => {
                "read through frame pointers: this C library has no _dl_find_object (it came \
                     with 2.35), and programs built without frame pointers have short stacks"
            }
        },
    );
    say("machine", &format!("{}, Linux {}", offers.architecture, offers.kernel));
    say(
        "without symbols",
        if offers.reads_code {
            "OpenSSL is found by its code in programs that were stripped"
        } else {
            "OpenSSL is found by its symbols only: on this processor its code is not read"
        },
    );
    say(
        "made code",
        if offers.perf_maps {
            "programs can name it in /tmp/perf-PID.map (Node: --perf-basic-prof)"
        } else {
            "has no names: there is no /tmp for perf-PID.map"
        },
    );
    say(
        "processes",
        if offers.other_users {
            "of every user can be looked into"
        } else {
            "of this user can be looked into; set-user-ID programs are not recorded"
        },
    );
    let (now, most) = (limit(offers.open_files), limit(offers.most_open_files));
    say("open files", &format!("{now} for each process, which may raise that to {most}"));
    lines
}

/// What was found in a program or process.
pub fn examined(examined: &Examined, medium: Medium) -> String {
    let mut text = String::new();
    let process = examined.pid.map_or(String::new(), |pid| format!("process {pid}, "));
    let objects = if examined.objects == 1 { "object" } else { "objects" };
    let program = harmless(&examined.program);
    text += &format!("{process}{program} ({} {objects})\n", examined.objects);
    if let Some(script) = &examined.script {
        text += &format!("  runs the script {}\n", harmless(script));
    }
    for tls in &examined.libraries {
        let name = tls.version.as_deref().unwrap_or(tls.library);
        let can = if tls.recordable { "can be recorded" } else { "cannot be recorded" };
        text += &(wrapped(&format!("{name} in {}", tls.object), 2, medium) + "\n");
        text += &(wrapped(&format!("{can}: {}", tls.why), 4, medium) + "\n");
    }
    for name in &examined.unresolved {
        text += &(wrapped(&format!("not found: {name}"), 2, medium) + "\n");
    }
    for note in &examined.notes {
        text += &(wrapped(note, 2, medium) + "\n");
    }
    text + &wrapped(&examined.verdict(), 0, medium) + "\n"
}
