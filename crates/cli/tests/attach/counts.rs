//! What is counted equals what the program counts itself.

use crate::process::{is_counted, is_put_back, wait_for};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop};

#[test]
fn what_is_counted_is_what_the_program_counts_itself_behind_filters_too() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let filters: &[&[&str]] = &[&[], &["errno"], &["kill"]];
    for filter in filters {
        if !filter.is_empty() && !rustix::process::geteuid().is_root() {
            println!("skipped: behind a filter only root can attach");
            continue;
        }
        let mut program = Asked::start(&counted, filter);
        let pid = program.child.id();
        // Two times: the second recorder knows nothing of the first one's blocks.
        for round in 0..2 {
            let record = std::thread::scope(|scope| {
                let recording = scope.spawn(|| {
                    let recorded = Recorded::of(pid, &["--until-idle=2s"]);
                    (recorded.record(), recorded.said())
                });
                wait_for(|| is_counted(pid).then_some(()));
                program.ask("allocate 700");
                program.ask("free 300");
                program.ask("again 1000");
                // From before the attach.
                program.ask("free 450");
                let (record, said) = recording.join().unwrap();
                assert!(said.contains("1,700 allocations"), "{said}");
                record
            });
            let counts = &record["openssl"];
            assert_eq!(counts["alloc_blocks"], 1_700, "{filter:?} {round}: {record:#}");
            assert_eq!(counts["alloc_bytes"], 170_000);
            assert_eq!(counts["inuse_blocks"], 0, "{filter:?} {round}: {record:#}");
            assert_eq!(record["attached"]["earlier_blocks"], 50);
            assert_eq!(record["processes"][0]["recorder"]["foreign_frees"], 0);
            is_put_back(pid);
        }
        // By itself again, and unharmed.
        assert_eq!(program.ask("again 5"), "given 3405 held 0");
        assert!(program.ends_well());
    }
}
