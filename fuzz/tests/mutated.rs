//! Every reader survives thousands of inputs that are nearly good. Their number and the one that
//! they come from can be chosen, for a longer run: see README.md in this folder.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tlsheap_fuzz::mutation::Mutation;
use tlsheap_fuzz::{ALL, Answer, Target};

/// How many inputs, for each target.
const INPUTS: &str = "TLSHEAP_FUZZ_INPUTS";
/// The number that they come from.
const SEED: &str = "TLSHEAP_FUZZ_SEED";

/// A test for each target, and one that they are all there.
macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                survives(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_test_and_its_program() {
            let listed = BTreeSet::from_iter(ALL.map(|target| target.name.to_owned()));
            assert_eq!(listed, BTreeSet::from([$(stringify!($name).to_owned()),*]));
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
            let programs = fs::read_dir(folder).expect("the folder is there").map(|entry| {
                let path = entry.expect("it can be listed").path();
                path.file_stem().expect("a file").to_str().expect("in ASCII").to_owned()
            });
            assert_eq!(programs.collect::<BTreeSet<_>>(), listed);
        }
    };
}

targets! {
    any budget comparison coverage debug_file dhat finder folded jemalloc_heap ledger names
    perf_map pprof run_json smaps symbols timeline what_if
}

fn survives(name: &str) {
    let target = ALL.into_iter().find(|target| target.name == name).expect("it is listed");
    let inputs: usize = number(INPUTS).unwrap_or(2000);
    let mut trial = Trial::of(target);
    let seeds = (target.seeds)();
    let read = seeds.iter().filter(|seed| trial.answer(seed) == Answer::Read);
    assert!(read.count() > 0, "{name} reads none of its seeds");
    let mut mutation = Mutation::of(seeds, number(SEED).unwrap_or(1));
    let mut read = 0;
    for _ in 0..inputs {
        let input = mutation.next_input();
        if trial.answer(&input) == Answer::Read {
            read += 1;
            mutation.keep(input);
        }
    }
    println!("{name}: {inputs} inputs, {read} of them read, the others refused");
}

/// A target, and the file that the input is left in which is its end.
struct Trial {
    target: Target,
    place: PathBuf,
    file: File,
}

impl Trial {
    fn of(target: Target) -> Trial {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
        let file = File::create(&place).expect("a folder of this test's");
        Trial { target, place, file }
    }

    fn answer(&mut self, input: &[u8]) -> Answer {
        // Written before: a process that is killed, or has no stack left, writes nothing more. Into
        // the same file, since a kernel may well store each new one on the disk.
        self.file.write_all_at(input, 0).expect("room on the disk");
        self.file.set_len(input.len() as u64).expect("it only becomes shorter");
        catch_unwind(AssertUnwindSafe(|| (self.target.read)(input)))
            .unwrap_or_else(|_| panic!("the input is in {}", self.place.display()))
    }
}

fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: expected a number, found {text:?}")))
}
