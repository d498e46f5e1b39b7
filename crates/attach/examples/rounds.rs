//! Attaches to a process and lets it go again, some times, and says how long its thread stood still
//! for that: the table in docs/attach.md.
//!
//!     cargo build --release -p preload
//!     cargo run --release -p attach --example rounds -- PID [ROUNDS] [MILLISECONDS-BETWEEN]

fn main() {
    let mut arguments = std::env::args().skip(1);
    let pid: u32 = arguments.next().and_then(|it| it.parse().ok()).expect("the id of a process");
    let rounds: usize = arguments.next().map_or(1, |it| it.parse().expect("a number of rounds"));
    let between = arguments.next().map_or(100, |it| it.parse().expect("milliseconds"));
    let between = std::time::Duration::from_millis(between);
    let library = std::fs::read("target/release/libtlsheap_preload.so").expect("it was built");
    let folder = std::env::temp_dir().join(format!("tlsheap-rounds-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder for temporary files");
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let path = folder.join(format!("{pid}-{round}-0.ledger"));
        let ledger = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .expect("a new file");
        let begun = attach::attach(pid, &library, std::os::fd::AsFd::as_fd(&ledger), &folder);
        std::thread::sleep(between);
        let ended = begun.and_then(|begun| Ok((begun, attach::detach(pid, &library)?)));
        match ended {
            Ok((begun, ended)) => {
                if round == 0 {
                    print!("{}{}", begun.coverage, ended.coverage);
                }
                begins.push(begun);
                ends.push(ended);
            }
            Err(error) => println!("round {round}: {error}"),
        }
        std::fs::remove_file(&path).expect("it is there");
        std::thread::sleep(between);
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
    for (what, all) in [("attach", begins), ("detach", ends)] {
        let mut stopped: Vec<f64> = all.iter().map(|it| it.stopped.as_secs_f64() * 1e3).collect();
        let mut used: Vec<f64> = all.iter().map(|it| it.processor.as_secs_f64() * 1e3).collect();
        stopped.sort_by(f64::total_cmp);
        used.sort_by(f64::total_cmp);
        let (Some(longest), Some(most)) = (stopped.last(), used.last()) else { continue };
        println!(
            "{what}: {} of {rounds}; stopped {:.1} ms, at most {longest:.1}; processor {:.1} ms, at \
             most {most:.1}",
            stopped.len(),
            stopped[stopped.len() / 2],
            used[used.len() / 2],
        );
    }
}
