//! Trials without the program `tlsheap`: this test is its own helper.
//!
//! It has no test harness, since a helper has to be one before anything else happens in the
//! process.

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Duration;

use analysis::column::Column;
use analysis::group::By;
use capture::machine::MadeBy;
use echo_server::Configuration;
use trial::run::{Ended, Options, run};
use trial::what_if::{AS_IT_IS, of_server};
use trial::{FrontEnd, HelperProgram, Progress, Workload, scale};

fn main() -> ExitCode {
    if let Some(result) = trial::helper::called(std::env::args_os()) {
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    a_run_is_measured_by_whoever_lends_a_helper();
    a_line_goes_through_runs();
    a_fix_saves_what_it_is_known_to_save();
    println!("3 passed, 0 failed");
    ExitCode::SUCCESS
}

/// Notes what it is told.
#[derive(Default)]
struct Told {
    connected: RefCell<usize>,
    steps: RefCell<usize>,
    done: RefCell<usize>,
    warnings: RefCell<Vec<String>>,
}

impl Progress for Told {
    fn steps(&self, all: usize) {
        *self.steps.borrow_mut() = all;
    }

    fn step_done(&self) {
        *self.done.borrow_mut() += 1;
    }

    fn connected(&self, connected: usize, _of: usize) {
        *self.connected.borrow_mut() = connected;
    }

    fn warn(&self, sentence: &str) {
        self.warnings.borrow_mut().push(sentence.to_owned());
    }
}

/// Does something with this program as the helper, and with a folder that is empty again after it.
fn with_front_end<T>(measure: impl FnOnce(&FrontEnd<'_>, &std::path::Path) -> T) -> (T, Told) {
    let told = Told::default();
    let helper = HelperProgram::at(std::env::current_exe().expect("a test has a file"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let front_end = FrontEnd {
        helper: &helper,
        progress: &told,
        made_by: MadeBy::this(Some("0123456789ab")),
        command: vec!["a front end of its own".to_owned()],
    };
    let found = measure(&front_end, folder.path());
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0, "no file of a trial stays");
    assert_eq!(told.warnings.take(), [""; 0]);
    (found, told)
}

fn tls13(connections: usize) -> Options {
    let mut options = Options::of(Configuration::standard("tls13").expect("a standard one"));
    options.connections = connections;
    options.hold = Duration::from_millis(200);
    options
}

fn a_run_is_measured_by_whoever_lends_a_helper() {
    let (run, told) =
        with_front_end(|front_end, folder| run(&tls13(5), front_end, folder).expect("a run"));
    assert!(matches!(run.ended, Ended::Clean), "{:?}", run.ended);
    assert_eq!(run.warnings, [""; 0]);
    assert_eq!(*told.connected.borrow(), 5);

    let record = run.capture.run().expect("the capture was made by a run");
    assert_eq!(record.configuration, "tls13");
    assert_eq!(record.command, ["a front end of its own"]);
    assert_eq!(record.versions.commit.as_deref(), Some("0123456789ab"));
    let cost = record.per_connection.as_ref().expect("connections came to rest");
    assert!((30_000.0..100_000.0).contains(&cost.bytes), "{cost:?}");
    // The rows say what the ledger's totals say.
    let top = run.capture.clone().part(None).expect("OpenSSL's part").top(By::Site, Column::InUse);
    assert_eq!(top.bytes, Some(cost.bytes));
    let closed = record.closed.as_ref().expect("all were closed");
    assert_eq!(closed.openssl.inuse_bytes, record.baseline.openssl.inuse_bytes);
}

fn a_line_goes_through_runs() {
    let (scale, told) = with_front_end(|front_end, folder| {
        scale::measure(&tls13(1), &[4, 8], front_end, folder).expect("two runs").expect("a line")
    });
    assert_eq!(scale.connections, [4, 8]);
    assert_eq!(*told.done.borrow(), 2);
    assert!((30_000.0..100_000.0).contains(&scale.bytes.per_connection), "{scale:?}");
    let refused = scale::check(&[7, 7]).expect_err("one number is no line");
    assert_eq!(refused.fault(), capture::Fault::User);
}

fn a_fix_saves_what_it_is_known_to_save() {
    let mut workload = Workload::default();
    workload.connections = 4;
    workload.hold = Duration::from_millis(200);
    workload.repeat = 0;
    let configuration = Configuration::standard("tls13").expect("a standard one");
    let fixes = [contract::Fix::ReleaseBuffers, contract::Fix::NoCompression];
    let (tested, told) = with_front_end(|front_end, folder| {
        of_server(&configuration, &fixes, &workload, front_end, folder).expect("two runs")
    });
    let names: Vec<&str> = tested.captures.iter().map(|capture| capture.name.as_str()).collect();
    assert_eq!(names, [AS_IT_IS, "release-buffers"]);
    assert_eq!((*told.steps.borrow(), *told.done.borrow()), (2, 2));
    let [released, compression] = &tested.what_if.fixes[..] else { panic!("two fixes") };
    let saved = released.saved_bytes_per_connection.expect("it was applied");
    let predicted = released.predicted_bytes_per_connection.expect("it is a finding");
    assert!((saved - predicted).abs() < predicted / 20.0, "{saved} for {predicted}");
    assert_eq!(compression.not_applied.as_deref(), Some("compression is off already"));
}
