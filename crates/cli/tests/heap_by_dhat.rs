//! What programs ask malloc for by a second count that has nothing to do with ours: Valgrind's DHAT,
//! under which the program runs bare.
//!
//! Both count a block for each realloc, as large as it is then. They differ in three ways, each of
//! which is exact:
//!
//! * DHAT sees what the loader and the constructors of libraries ask for before the recorder's own:
//!   those blocks are left out, by their stacks, which begin in the loader.
//! * DHAT takes a block of no bytes for one of a byte.
//! * At the start of a thread the C library asks for 16 bytes more for each library with variables
//!   of a thread's own, and the recorder's is one. It keeps them with the stack for the next thread.

use load as _; // for the zlib that OpenSSL calls

mod counted;
#[path = "programs/needed.rs"]
mod needed;
mod program;
mod workshop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use counted::{Asked, SOURCES, Trial, recorded};
use program::{path, text};
use serde_json::Value;

/// A program, and what DHAT sees otherwise.
struct Case {
    program: PathBuf,
    arguments: Vec<String>,
    threads: u64,
    /// Blocks of no bytes, ever and at the end.
    empty: [u64; 2],
}

impl Case {
    fn of(program: PathBuf) -> Case {
        Case { program, arguments: Vec::new(), threads: 0, empty: [0, 0] }
    }

    /// What the recorder should say, from what DHAT says.
    fn expected(&self, dhat: &Asked) -> Asked {
        let Asked { ever, at_end } = dhat;
        Asked {
            ever: [ever[0], ever[1] - self.empty[0] + 16 * self.threads],
            at_end: [at_end[0], at_end[1] - self.empty[1] + 16 * self.threads],
        }
    }
}

#[test]
fn dhat_counts_the_same_in_c() {
    let trial = Trial::new();
    let sources = ["../heap/family.c", "library.c"];
    let program = trial.workshop.build("family", &sources, &["-pthread"]);
    // Each seventh of 2,000 blocks is of no bytes; the odd ones of these stay.
    let case = Case { threads: 1, empty: [286, 143], ..Case::of(program) };
    let Some(dhat) = count(&trial, &case) else { return };
    let record = record(&trial, &case.program, &[]);
    let Asked { ever, at_end } = recorded(&record);
    // Of its child, which DHAT counts for itself.
    let without = |sum: [u64; 2]| [sum[0] - 1, sum[1] - 123];
    assert_eq!(Asked { ever: without(ever), at_end: without(at_end) }, case.expected(&dhat));
}

#[test]
fn dhat_counts_the_same_in_other_languages() {
    let trial = Trial::new();
    let python = needed::program("/usr/bin/python3").or_else(|| needed::program("python3"));
    let script = format!("{SOURCES}/family.py");
    let cases = [
        trial.compile("c++", "family.cc").map(Case::of),
        trial.compile("rustc", "family.rs").map(|rust| Case { threads: 1, ..Case::of(rust) }),
        python.map(|python| Case {
            arguments: ["-S", "-s", &script].map(str::to_owned).to_vec(),
            ..Case::of(PathBuf::from(python))
        }),
    ];
    for case in cases.into_iter().flatten() {
        let Some(dhat) = count(&trial, &case) else { return };
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        let record = record(&trial, &case.program, &arguments);
        assert_eq!(recorded(&record), case.expected(&dhat), "{}", case.program.display());
    }
}

/// The whole environment, for both counts: Python keeps all of it in tables that grow in steps.
const VARIABLES: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("PYTHONHASHSEED", "0")];

/// What the recorder counts.
fn record(trial: &Trial, program: &Path, arguments: &[&str]) -> Value {
    let run = trial.workshop.0.path().join("run");
    let _ = fs::remove_dir_all(&run);
    let output = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--heap", "--out", path(&run), "--", path(program)])
        .args(arguments)
        .env_clear()
        .envs(VARIABLES)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

/// What DHAT counts of the program itself, from its constructors on.
fn count(trial: &Trial, case: &Case) -> Option<Asked> {
    let valgrind = needed::program("valgrind")?;
    let folder = trial.workshop.0.path().join("dhat");
    fs::create_dir_all(&folder).unwrap();
    let child = Command::new(valgrind)
        .args(["--tool=dhat", "--num-callers=500", "--run-libc-freeres=no"])
        .args(["--run-cxx-freeres=no", &format!("--dhat-out-file={}/%p", folder.display())])
        .arg(&case.program)
        .args(&case.arguments)
        .env_clear()
        .envs(VARIABLES)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // It becomes the program, and keeps its number; a forked child has another.
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(read(&folder.join(process.to_string())))
}

fn read(file: &Path) -> Asked {
    let profile: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut asked = Asked { ever: [0, 0], at_end: [0, 0] };
    for point in profile["pps"].as_array().unwrap() {
        let outermost = point["fs"].as_array().unwrap().last().unwrap().as_u64().unwrap();
        let outermost = profile["ftbl"][outermost as usize].as_str().unwrap();
        if outermost.contains("/ld-linux-") {
            continue;
        }
        let figure = |name: &str| point[name].as_u64().unwrap_or_else(|| panic!("{point:#}"));
        for (sum, names) in [(&mut asked.ever, ["tbk", "tb"]), (&mut asked.at_end, ["ebk", "eb"])] {
            sum[0] += figure(names[0]);
            sum[1] += figure(names[1]);
        }
    }
    asked
}
