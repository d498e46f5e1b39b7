//! Threads and coroutines with stacks that are just large enough without the recorder.

mod program;
mod workshop;

use workshop::{Workshop, number};

#[test]
fn small_stacks_suffice_as_they_do_without_the_recorder() {
    // The process's first event on a coroutine's stack, and on the main thread's.
    for arguments in [&["quiet"][..], &["quiet", "main-first"]] {
        for sampled in [&[][..], &["--sample", "64"]] {
            let workshop = Workshop::new();
            let options = ["-pthread", "-Wl,-z,now"];
            let program = workshop.build("small", &["small_stacks.c", "library.c"], &options);
            let recorded = workshop.record_with(sampled, &program, arguments);
            // Nothing of how much a call takes: no more than the program allows for.
            let expected = "a thread of 16384 bytes ends well\n\
                            a coroutine of 16384 bytes ends with 0\n\
                            a coroutine of 8192 bytes ends with 0\n\
                            a coroutine of 4096 bytes ends with 0\n";
            assert_eq!(recorded.said(), expected);
            let record = recorded.record();
            let processes = record["processes"].as_array().unwrap();
            assert_eq!(processes.len(), 4, "{record:#}");
            for process in processes.iter().filter(|_| sampled.is_empty()) {
                assert!(number(process, "/openssl/alloc_blocks") >= 2, "{process:#}");
                assert_eq!(number(process, "/openssl_at_end/inuse_bytes"), 0);
            }
        }
    }
}

#[test]
fn stacks_of_the_recorders_that_a_signal_handler_jumps_away_from_are_done_without() {
    // Where the signals come is chance: at a lock of the C library's in one of some runs.
    for _ in 0..8 {
        let workshop = Workshop::new();
        let options = ["-pthread", "-Wl,-z,now"];
        let program = workshop.build("jumps_out", &["jumps_out.c", "library.c"], &options);
        let recorded = workshop.record_openssl(&program, &[]);
        let words = program::text(&recorded.output.stderr);
        // The other says what it does without the recorder, where there is nothing to jump from.
        let threads = words.lines().find_map(|line| line.strip_suffix(" threads, 16 jumps"));
        let threads: u64 = threads.expect(&words).parse().unwrap();
        let process = recorded.process();
        // Whoever has jumped has not come to its allocation; whoever came later has.
        let blocks = number(&process, "/openssl/alloc_blocks");
        assert_eq!(blocks, 1_001 + threads - 16, "{process:#}");
        assert_eq!(number(&process, "/openssl_at_end/inuse_bytes"), 10);
    }
}

#[test]
fn signals_that_come_while_a_hook_is_on_a_stack_of_the_recorders_are_handled() {
    let workshop = Workshop::new();
    let sources = ["interrupted.c", "library.c"];
    let program = workshop.build("interrupted", &sources, &["-pthread"]);
    let process = workshop.record(&program, &[]).process();
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 4_000, "{process:#}");
    assert_eq!(number(&process, "/openssl_at_end/inuse_blocks"), 0);
}
