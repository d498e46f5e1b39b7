//! All that programs ask malloc for, held against an independent count, and what one connection
//! costs of it.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
mod counted;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;
mod workshop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use counted::{Asked, SOURCES, Trial, recorded, sum};
use needed::FIXTURES;
use program::{path, printed, printed_json, text, tlsheap_in};
use serde_json::Value;
use server::free_port;
use workshop::{Workshop, number};

/// Every way of adding up gives the same, to the byte.
fn sums_agree(run: &Path, record: &Value) {
    for (domain, pointer) in [
        ("heap", "/heap/counts/alloc"),
        ("mapping", "/heap/mappings/alloc"),
        ("openssl", "/openssl/alloc"),
    ] {
        let expected = sum(record, pointer);
        if expected == [0, 0] {
            continue;
        }
        for by in ["site", "function", "file", "category"] {
            let words =
                ["top", path(run), "--json", "-n0", "--column=allocated", "--domain", domain];
            let top = printed_json(&[&words[..], &["--by", by]].concat());
            let rows = top.as_object().unwrap().values().find_map(Value::as_array).unwrap();
            let added = ["alloc_blocks", "alloc_bytes"]
                .map(|what| rows.iter().map(|row| number(row, &format!("/{what}"))).sum::<u64>());
            assert_eq!(added, expected, "{domain} by {by}");
        }
    }
}

#[test]
fn a_program_in_c_is_counted_to_the_byte_and_so_is_its_child() {
    let trial = Trial::new();
    let sources = ["../heap/family.c", "library.c"];
    let program = trial.workshop.build("family", &sources, &["-pthread"]);
    for arguments in [&[][..], &["hands"]] {
        let (run, record) = trial.record(&program, arguments);
        let counted = trial.counted(&program, arguments);
        let Asked { ever, at_end } = recorded(&record);
        // The child asks for one block, which it has at its end; the other library is not told.
        assert_eq!([ever[0] - 1, ever[1] - 123], counted.ever, "{record:#}");
        assert_eq!([at_end[0] - 1, at_end[1] - 123], counted.at_end, "{record:#}");
        assert_eq!(sum(&record, "/openssl/inuse"), [1, 64]);
        let processes = record["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 2, "{record:#}");
        for process in processes {
            // Blocks that change hands are known to both.
            assert_eq!(number(process, "/recorder/foreign_frees"), 0, "{process:#}");
            assert_eq!(number(process, "/recorder/stale_blocks"), 0, "{process:#}");
            assert_eq!(number(process, "/recorder/nested_calls"), 0, "{process:#}");
        }
        // One of the parent's blocks was given back before the child asked for its own.
        let child = &processes[1];
        let inherited =
            ["blocks", "bytes"].map(|what| number(child, &format!("/inherited/{what}")));
        assert_eq!(inherited, counted.at_end, "{child:#}");
        assert_eq!(record["problems"], serde_json::json!([]));
        sums_agree(&run, &record);
        // OpenSSL's alone.
        let _ = fs::remove_dir_all(&run);
        let only = ["--only", "openssl"];
        let alone = trial.workshop.record_with(&only, &program, arguments).record();
        assert_eq!(alone["openssl"]["alloc_bytes"], record["openssl"]["alloc_bytes"]);
        assert_eq!(alone.get("heap"), None, "{alone:#}");
    }
}

#[test]
fn programs_in_other_languages_are_counted_to_the_byte() {
    let python = needed::program("/usr/bin/python3").or_else(|| needed::program("python3"));
    let script = format!("{SOURCES}/family.py");
    let isolated = ["-S", "-s", &script];
    let trial = Trial::new();
    let programs = [
        trial.compile("c++", "family.cc").map(|program| (program, &[][..])),
        python.map(|python| (PathBuf::from(python), &isolated[..])),
        trial.compile("rustc", "family.rs").map(|program| (program, &[][..])),
    ];
    for (program, arguments) in programs.into_iter().flatten() {
        let (run, record) = trial.record(&program, arguments);
        let counted = trial.counted(&program, arguments);
        assert_eq!(recorded(&record), counted, "{}: {record:#}", program.display());
        sums_agree(&run, &record);
    }
}

#[test]
fn what_is_mapped_is_what_the_kernel_says_and_a_mapping_is_one_until_its_last_byte_goes() {
    let trial = Trial::new();
    let program = trial.workshop.build("mappings", &["../heap/mappings.c"], &["-pthread"]);
    let plain = Command::new(&program).output().unwrap();
    assert!(plain.status.success(), "{}", plain.status);
    let said = text(&plain.stdout);
    let counted: Vec<u64> = said.split_whitespace().map(|it| it.parse().unwrap()).collect();
    let (run, record) = trial.record(&program, &[]);
    assert_eq!(sum(&record, "/heap/mappings/inuse"), [counted[0], counted[1]], "{record:#}");
    let recorder = &record["processes"][0]["recorder"];
    for what in ["untracked_blocks", "nested_calls", "stale_blocks", "unsettled_events"] {
        assert_eq!(number(recorder, &format!("/{what}")), 0, "{recorder:#}");
    }
    assert_eq!(record["problems"], serde_json::json!([]));
    sums_agree(&run, &record);
    // Otherwise nobody looks.
    let _ = fs::remove_dir_all(&run);
    let alone = trial.workshop.record_with(&["--only", "openssl"], &program, &[]);
    assert_eq!(text(&alone.output.stdout), said, "the recorder maps nothing in such a program");
}

#[test]
fn what_a_programs_own_functions_ask_for_is_openssls_and_counted_once() {
    let workshop = Workshop::new();
    let program = workshop.with_library(&[]);
    let plain = workshop.record(&program, &["gives-before"]).process();
    let _ = fs::remove_dir_all(workshop.0.path().join("run"));
    let whole = workshop.record_with(&["--heap"], &program, &["gives-before"]).process();
    assert_eq!(whole["openssls"][0]["outcome"], "chained", "{whole:#}");
    for what in ["/openssl/alloc_bytes", "/openssl/alloc_blocks", "/openssl_at_end/inuse_bytes"] {
        assert_eq!(number(&whole, what), number(&plain, what), "{what}");
    }
    assert_eq!(number(&whole, "/recorder/stale_blocks"), 0, "{whole:#}");
}

#[test]
fn a_program_with_a_malloc_of_its_own_is_told_and_its_openssl_recorded() {
    let workshop = Workshop::new();
    let sources = ["../heap/own_malloc.c", "library.c"];
    let program = workshop.build("own_malloc", &sources, &["-rdynamic", "-fno-builtin"]);
    let record = workshop.record_with(&["--heap"], &program, &[]).record();
    assert_eq!(sum(&record, "/openssl/alloc"), [2, 100]);
    assert_eq!(sum(&record, "/openssl/inuse"), [1, 30]);
    let said = record["problems"][0].as_str().unwrap();
    assert!(said.ends_with("or a library before tlsheap's, has a malloc of its own"), "{said}");
    assert_eq!(record.get("heap"), None);
}

#[test]
fn of_an_allocator_with_a_new_of_its_own_it_is_told_what_is_not_counted() {
    let trial = Trial::new();
    let folder = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    // Redis brings it.
    let Some(jemalloc) = needed::program(&format!("{folder}/libjemalloc.so.2")) else { return };
    let Some(program) = trial.compile("c++", "family.cc") else { return };
    let run = trial.workshop.0.path().join("run");
    let output = trial.record_with(&[("LD_PRELOAD", &jemalloc)], &run, &program, &[]);
    assert_eq!(text(&output.stdout), "done\n", "{}", text(&output.stderr));
    let record = fs::read_to_string(run.join("run.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let said = record["problems"][0].as_str().unwrap_or_else(|| panic!("{record:#}"));
    assert!(said.contains("what C++'s new asks for is not recorded: "), "{said}");
}

/// At rest, the tables have what the counts say, and each connection's buffer is in its class.
fn sizes_are_those_of_the_blocks(record: &Value) {
    let sizes = record["account"]["sizes"].as_array().unwrap();
    let of = |domain: &str| {
        let own = sizes.iter().filter(|it| it["domain"] == domain);
        ["blocks", "bytes"]
            .map(|what| own.clone().map(|it| number(it, &format!("/{what}"))).sum::<u64>())
    };
    assert_eq!(of("openssl"), sum(record, "/openssl/inuse"));
    assert_eq!(of("heap"), sum(record, "/heap/counts/inuse"));
    let is_buffers = |it: &&Value| it["domain"] == "heap" && it["up_to_bytes"] == 524_288;
    let buffers = sizes.iter().find(is_buffers).unwrap();
    assert!(number(buffers, "/blocks") >= 120 && number(buffers, "/bytes") >= 120 * 262_145);
}

#[test]
fn a_connection_of_asyncios_costs_a_quarter_of_a_megabyte_and_it_is_said_whose() {
    let Some(python) = needed::program("python3") else { return };
    let place = certificate::place();
    let port = free_port().to_string();
    let script = format!("{FIXTURES}/echo_asyncio.py");
    let address = format!("127.0.0.1:{port}");
    let start = ["record", "--heap", "--load", &address, "-n", "60", "--out", "run", "--"];
    let server = [&python, &script, "certificate.pem", "key.pem", &port];
    let output = tlsheap_in(place.path(), &[&start[..], &server].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let run = place.path().join("run");
    let record: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    let steps = &record["heap"]["steps"];
    assert_eq!(steps["certain"], true, "{record:#}");
    let holder = &record["heap"]["holders"][0];
    // SSLProtocol.max_size and the byte that ends every bytearray.
    assert_eq!((&holder["bytes"], &holder["blocks"]), (&262_145.0.into(), &1.0.into()));
    let bytes = |it: &Value| it["bytes"].as_f64().unwrap();
    let whole = bytes(steps) + bytes(&record["steps"]);
    // What resident memory grows by, less what lies in memory that was free before.
    let grown = record["memory"]["growth"]["bytes_each"].as_f64().unwrap();
    assert!((0.5..1.2).contains(&(grown / whole)), "{whole}, and {grown}");
    the_account_closes(&record);
    sizes_are_those_of_the_blocks(&record);
    let page = printed(&["report", path(&run), "-o", "-"]);
    assert!(page.contains("<h3>Sizes of blocks</h3>") && page.contains("262,145–524,288"));
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Resident and in no file are "), "{said}");
    assert!(words.contains("Of all that is asked for, one connection costs "), "{said}");
    assert!(words.contains(": 262,145 in 1.0 block"), "{said}");
    // Whoever asks for nothing else gets OpenSSL's part, as ever.
    let openssl = printed(&["top", path(&run), "-n1"]);
    assert!(!openssl.contains("heap"), "{openssl}");
    let all = printed(&["top", path(&run), "-n1", "--domain=all"]);
    assert!(all.contains("   262,145          1.0"), "{all}");
    let line = fs::read_to_string(run.join("timeline.csv")).unwrap();
    assert!(line.lines().next().unwrap().split(',').any(|column| column == "heap"), "{line}");
}

/// Each resident byte is in one line, and nearly all of what connections added says whose it is.
fn the_account_closes(record: &Value) {
    let account = &record["account"];
    let of = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{account:#}"));
    let mut lines: u64 = account["blocks"]
        .as_object()
        .unwrap()
        .values()
        .map(|blocks| of(&blocks["resident_bytes"]))
        .sum();
    lines += of(&account["mappings"]["resident_bytes"]);
    for line in ["headers", "free", "stacks", "written_files", "shared", "other"] {
        lines += of(&account[format!("{line}_bytes")]);
    }
    assert_eq!(lines, of(&account["total_bytes"]), "{account:#}");
    // Live blocks are those of the ledgers, and what each process has from before its fork.
    let counted = ["/openssl/inuse_bytes", "/heap/counts/inuse_bytes"];
    let counted: u64 = counted.iter().map(|place| number(record, place)).sum();
    let processes = record["processes"].as_array().unwrap();
    let inherited: u64 = processes.iter().map(|it| number(it, "/inherited/bytes")).sum();
    let told = account["blocks"].as_object().unwrap().values();
    let told: u64 = told.map(|blocks| of(&blocks["requested_bytes"])).sum();
    let most = counted + inherited;
    assert!(
        told * 100 >= counted * 99 && told * 100 <= most * 101,
        "{told} of {counted} and {inherited}"
    );
    let growth = &account["growth"];
    let [total, explained] = ["total", "explained"]
        .map(|what| growth[what].as_f64().unwrap_or_else(|| panic!("{account:#}")));
    assert!(explained >= 0.95, "{growth:#}");
    let footprint = record["memory"]["growth"]["bytes_each"].as_f64().unwrap();
    assert!((0.9..1.1).contains(&(total / footprint)), "{total}, and {footprint}");
}

#[test]
fn of_several_processes_the_account_closes_too() {
    let Some(nginx) = needed::program("nginx") else { return };
    let place = certificate::place();
    let port = free_port();
    fs::write(
        place.path().join("listen.conf"),
        format!("listen 127.0.0.1:{port} ssl reuseport;\n"),
    )
    .unwrap();
    fs::copy(format!("{FIXTURES}/nginx.conf"), place.path().join("nginx.conf")).unwrap();
    let (folder, address) = (format!("{}/", path(place.path())), format!("127.0.0.1:{port}"));
    let configuration = format!("{folder}nginx.conf");
    let record = ["record", "--heap", "--protocol", "http", "-n", "60", "--out", "run"];
    let load = ["--load", &address, "--"];
    let server = [&nginx, "-p", &folder, "-c", &configuration, "-g", "pid nginx.pid;"];
    let output = tlsheap_in(place.path(), &[&record[..], &load, &server].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record = fs::read_to_string(place.path().join("run/run.json")).unwrap();
    the_account_closes(&serde_json::from_str(&record).unwrap());
}

#[test]
fn a_sample_of_pythons_objects_is_refused() {
    let output = program::tlsheap(&["record", "--python", "--sample", "64k", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--sample"), "{}", text(&output.stderr));
}
