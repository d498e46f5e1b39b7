//! Every way into an OpenSSL, and programs that use OpenSSL's memory in ways of their own. What is
//! recorded is built here from `fixtures/openssls`.

mod program;
mod workshop;

use program::{path, text};
use serde_json::Value;
use workshop::{Workshop, number};

/// Options of the compiler for each form of a program with an OpenSSL in it.
const LINKED_IN: &[&str] = &[];
const STRIPPED: &[&str] = &["-s"];
const AT_A_FIXED_PLACE: &[&str] = &["-no-pie", "-fno-pie", "-s"];
/// The linker leaves out what nobody calls.
const WITHOUT_SETTER: &[&str] = &["-DWITHOUT_GIVING", "-ffunction-sections", "-Wl,--gc-sections"];
const STRIPPED_WITHOUT_SETTER: &[&str] =
    &["-DWITHOUT_GIVING", "-ffunction-sections", "-Wl,--gc-sections", "-s"];

/// The way in and the outcome of the one OpenSSL in a process.
fn openssl(process: &Value) -> (&str, &str) {
    let openssls = process["openssls"].as_array().unwrap();
    assert_eq!(openssls.len(), 1, "{openssls:#?}");
    (openssls[0]["way"].as_str().unwrap(), openssls[0]["outcome"].as_str().unwrap())
}

/// What `use` in program.c allocates: three allocations, of which a thousand bytes are kept.
fn assert_is_complete(process: &Value) {
    assert_eq!(number(process, "/openssl/alloc_blocks"), 3, "{process:#}");
    assert_eq!(number(process, "/openssl/alloc_bytes"), 1_300);
    assert_eq!(number(process, "/openssl_at_end/inuse_bytes"), 1_000);
    assert_eq!(number(process, "/recorder/foreign_frees"), 0);
    assert_eq!(number(process, "/recorder/stale_blocks"), 0);
}

#[test]
fn a_library_that_exports_its_setter_is_recorded_in_full() {
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.with_library(&[]), &[]).process();
    assert_eq!(openssl(&process), ("exported", "recorded"));
    assert_eq!(process["openssls"][0]["version"], "OpenSSL 3.9.9 1 Jan 2026");
    assert_is_complete(&process);
}

#[test]
fn an_openssl_that_is_linked_in_is_found_in_the_symbol_table() {
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.linked_in(LINKED_IN), &[]).process();
    assert_eq!(openssl(&process), ("symbol-table", "recorded"));
    assert_is_complete(&process);
}

#[test]
fn without_its_setter_an_openssl_is_recorded_through_its_variables() {
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.linked_in(WITHOUT_SETTER), &[]).process();
    assert_eq!(openssl(&process), ("variable-symbols", "recorded"));
    assert_is_complete(&process);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn in_a_stripped_program_the_setter_is_known_by_its_code() {
    for options in [STRIPPED, AT_A_FIXED_PLACE] {
        let workshop = Workshop::new();
        let process = workshop.record(&workshop.linked_in(options), &[]).process();
        assert_eq!(openssl(&process), ("instructions", "recorded"), "{options:?}");
        assert_is_complete(&process);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn in_a_stripped_program_without_setter_the_variables_are_known_by_who_reads_them() {
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.linked_in(STRIPPED_WITHOUT_SETTER), &[]).process();
    assert_eq!(openssl(&process), ("variable-instructions", "recorded"));
    assert_eq!(process["openssls"][0]["version"], "OpenSSL 3.9.9 1 Jan 2026");
    assert_is_complete(&process);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_openssl_that_has_allocated_while_it_was_loaded_is_recorded_from_then_on() {
    let early = "-DALLOCATES_WHILE_LOADING";
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.with_library(&[early]), &[]).process();
    assert_eq!(openssl(&process), ("exported", "late"));
    assert_eq!(number(&process, "/openssl/alloc_bytes"), 1_300);
    assert_eq!(number(&process, "/recorder/foreign_frees"), 1, "the block from before");

    // It would refuse the program's functions by itself, and still does.
    let workshop = Workshop::new();
    let recorded = workshop.record(&workshop.with_library(&[early]), &["gives-before"]);
    assert!(recorded.said().contains("taken: 0\nown: 0 0 0\n"), "{}", recorded.said());
    assert_eq!(openssl(&recorded.process()), ("exported", "late"));
}

#[test]
fn functions_that_a_program_gives_before_the_first_allocation_are_called_below_ours() {
    let workshop = Workshop::new();
    let recorded = workshop.record(&workshop.with_library(&[]), &["gives-before"]);
    assert!(recorded.said().contains("taken: 1\nown: 1 1 1\n"), "{}", recorded.said());
    assert!(recorded.said().contains("calls: 2 1 1\n"), "{}", recorded.said());
    let process = recorded.process();
    assert_eq!(openssl(&process), ("exported", "chained"));
    assert_is_complete(&process);
}

#[test]
fn functions_that_a_program_gives_after_the_first_allocation_are_refused() {
    let workshop = Workshop::new();
    let recorded = workshop.record(&workshop.with_library(&[]), &["gives-after"]);
    assert!(recorded.said().contains("taken: 0\nown: 0 0 0\n"), "{}", recorded.said());
    let process = recorded.process();
    assert_eq!(openssl(&process), ("exported", "recorded"));
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 6);
}

#[test]
fn a_program_that_replaces_the_functions_of_an_openssl_in_itself_is_reported() {
    // Without a getter, what is in the variables tells; those are found by code.
    let forms =
        if cfg!(target_arch = "x86_64") { &[LINKED_IN, STRIPPED][..] } else { &[LINKED_IN] };
    for options in forms {
        let workshop = Workshop::new();
        let recorded = workshop.record(&workshop.linked_in(options), &["gives-before"]);
        // Nothing stands between the program and its own setter.
        assert_eq!(recorded.output.status.code(), Some(3));
        let said = text(&recorded.output.stderr);
        assert!(said.contains("the program has put memory functions of its own into it"), "{said}");
    }
}

#[test]
fn blocks_that_end_behind_openssl_are_counted_and_the_program_runs_on() {
    let workshop = Workshop::new();
    let process = workshop.record_openssl(&workshop.with_library(&[]), &["frees-behind"]).process();
    assert_eq!(number(&process, "/recorder/foreign_frees"), 0);
    assert_eq!(number(&process, "/recorder/stale_blocks"), 10, "each place was given again");
}

#[test]
fn blocks_that_are_not_openssls_pass_through_it_and_are_counted() {
    let workshop = Workshop::new();
    let recorded = workshop.record_openssl(&workshop.with_library(&[]), &["gives-foreign"]);
    let process = recorded.process();
    assert_eq!(number(&process, "/recorder/foreign_frees"), 2, "one free and one realloc");
    let words = text(&recorded.output.stderr);
    assert!(words.contains("2 frees of blocks never seen allocated"), "{words}");
    // What was made larger is OpenSSL's from then on.
    assert_eq!(number(&process, "/openssl/alloc_bytes"), 6_300);
    assert_eq!(number(&process, "/openssl_at_end/inuse_bytes"), 1_000);
}

#[test]
fn a_library_that_is_unloaded_and_loaded_again_is_recorded_again() {
    let workshop = Workshop::new();
    let library = workshop.library(&[]);
    let program = workshop.build("loads", &["loads.c"], &["-ldl"]);
    let recorded = workshop.record(&program, &[path(&library)]);
    let once = |calls| format!("taken: 1\ncalls: {calls}\ntaken: 1\n");
    assert_eq!(recorded.said(), once(2) + &once(4), "the setter that dlsym finds is ours");
    let process = recorded.process();
    assert_eq!(openssl(&process), ("exported", "chained"));
    assert_eq!(number(&process, "/openssl/alloc_bytes"), 200);
    assert_eq!(number(&process, "/recorder/foreign_frees"), 0);
}

#[test]
fn threads_that_load_and_unload_at_once_lose_nothing() {
    let workshop = Workshop::new();
    let library = workshop.library(&[]);
    let other = workshop.0.path().join("libother.so");
    std::fs::copy(&library, &other).unwrap();
    let program = workshop.build("churn", &["churn.c"], &["-ldl", "-lpthread"]);
    let recorded = workshop.record(&program, &[path(&library), path(&other)]);
    let process = recorded.process();
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 600);
    assert_eq!(number(&process, "/openssl_at_end/inuse_blocks"), 0);
    assert_eq!(number(&process, "/recorder/foreign_frees"), 0);
    let found = process["openssls"].as_array().unwrap();
    assert_eq!(found.len(), 2, "each is told of once: {found:#?}");
}

/// A constructor that looks a name up makes the library look at what is new, in the middle of the
/// program's own call of `dlopen`.
#[test]
fn libraries_are_constructed_in_their_order() {
    let workshop = Workshop::new();
    let origin = "-Wl,-rpath,$ORIGIN";
    let library = |name: &str, options: &[&str]| {
        let shared = ["-shared", "-fPIC", "-Wl,--no-as-needed", origin];
        workshop.build(name, &["constructed.c"], &[&shared, options].concat())
    };
    let first = library("libfirst.so", &["-DFIRST", "-Wl,-soname,libfirst.so"]);
    let second = library("libsecond.so", &["-DSECOND", "-Wl,-soname,libsecond.so", path(&first)]);
    let outer = library("libouter.so", &["-DOUTER", path(&first), path(&second)]);
    let program = workshop.build("program", &["constructed.c"], &["-ldl"]);
    let recorded = workshop.record_with(&["--heap"], &program, &[path(&outer)]);
    recorded.process();
    assert_eq!(recorded.said(), "in order\nloaded\n");
}

#[test]
fn two_openssls_in_one_process_are_kept_apart() {
    let workshop = Workshop::new();
    let library = workshop.library(&[]);
    let program = workshop.build("twice", &["twice.c", "library.c"], &["-ldl"]);
    let recorded = workshop.record(&program, &[path(&library)]);
    let process = recorded.process();
    let openssls = process["openssls"].as_array().unwrap();
    let found: Vec<_> = openssls.iter().map(|it| (&it["object"], &it["way"])).collect();
    let expected =
        [["twice", "symbol-table"], ["libplay.so", "exported"]].map(|of| of.map(Value::from));
    assert_eq!(found, expected.each_ref().map(|[object, way]| (object, way)));
    assert_eq!(number(&process, "/openssl/alloc_bytes"), 2_100);

    let bytes = std::fs::read(recorded.folder.join("heap.pb.gz")).unwrap();
    let profile = profile::pprof::read(&bytes, "heap.pb.gz").unwrap();
    let allocated = profile.column(profile::Metric::AllocSpace).unwrap();
    let sites: Vec<_> = profile
        .samples()
        .iter()
        .filter_map(|sample| Some((sample.label("openssl")?, sample.values[allocated])))
        .collect();
    assert_eq!(
        sites,
        [("libplay.so OpenSSL 3.9.9 1 Jan 2026", 2_000), ("twice OpenSSL 3.9.9 1 Jan 2026", 100)]
    );
}

#[test]
#[cfg(target_arch = "x86_64")]
fn where_no_ssl_object_would_be_recognised_none_is_waited_for() {
    let workshop = Workshop::new();
    let stripped = workshop.build("stripped", &["nameless.c", "library.c"], STRIPPED);
    let folder = workshop.0.path().join("run");
    let start = ["record", "--out", path(&folder), "--at-rest=5", "--for=60s", "--"];
    let output = program::tlsheap(&[&start[..], &[path(&stripped)]].concat());
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("SSL objects, and none would be recognised here"), "{words}");
    let record = std::fs::read_to_string(folder.join("run.json")).expect("it is written");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["openssl"]["alloc_blocks"], 400);
    // With names of files it is waited for.
    let folder = workshop.0.path().join("named");
    let start = ["record", "--out", path(&folder), "--at-rest=5", "--for=2s", "--"];
    let output = program::tlsheap(&[&start[..], &[path(&stripped), "named"]].concat());
    let words = text(&output.stderr);
    assert!(words.contains("there never were 5 SSL objects: at most 0"), "{words}");
}
