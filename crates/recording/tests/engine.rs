//! A recording without the program `tlsheap`: this test records itself.
//!
//! It has no test harness: started again, it is a program with an OpenSSL in it and nothing else.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use capture::Fault;
use capture::machine::MadeBy;
use libz_sys as _; // linked for OpenSSL, whose static library calls it
use openssl::ssl::{Ssl, SslContext, SslMethod};
use recording::{Options, Reached, RecordingError, Streams, record};

/// SSL objects that the recorded program makes.
const OBJECTS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [role, sign] if role == "hold" => return hold(sign),
        [role, _] if role == "nothing" => return ExitCode::SUCCESS,
        _ => {}
    }
    a_program_is_recorded_until_it_rests();
    a_recording_can_be_stopped_from_elsewhere();
    a_program_without_an_openssl_is_the_programs_fault();
    println!("3 passed, 0 failed");
    ExitCode::SUCCESS
}

/// Makes a context, and when there is a file of that name SSL objects, and keeps them until it is
/// ended.
fn hold(sign: &str) -> ExitCode {
    println!("holding");
    let context = SslContext::builder(SslMethod::tls()).expect("a context").build();
    wait_until(|| Path::new(sign).exists());
    let held: Vec<Ssl> = (0..OBJECTS).map(|_| Ssl::new(&context).expect("an SSL object")).collect();
    println!("held");
    std::thread::sleep(Duration::from_secs(120));
    drop(held);
    ExitCode::FAILURE
}

fn wait_until(it_is_so: impl Fn() -> bool) {
    while !it_is_so() {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn this_as(role: &str, sign: &Path) -> Vec<OsString> {
    vec![std::env::current_exe().expect("a test has a file").into(), role.into(), sign.into()]
}

fn a_program_is_recorded_until_it_rests() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    // By then the program has been looked at several times while only the context was there.
    let mut options = Options::of(this_as("hold", &folder.path().join("series/004.pb.gz")));
    options.goals.at_rest = Some(OBJECTS as u64);
    options.every = Some(Duration::from_millis(250));
    options.streams = Streams::Log(File::create(&log).expect("a new file"));
    options.made_by = MadeBy::this(Some("0123456789ab"));
    let recorded = record(&options, folder.path()).expect("a recording");

    assert_eq!(recorded.reached, Some(Reached::Rest { live: OBJECTS as u64 }));
    assert_eq!(recorded.ended.exit_code(), 0, "{}", recorded.ended.in_words());
    assert_eq!(std::fs::read_to_string(&log).expect("it is there"), "holding\nheld\n");
    let capture = &recorded.capture;
    assert_eq!(capture.connections.map(u64::from), Some(OBJECTS as u64));
    let record = capture.recording().expect("the capture was made by a recording");
    assert_eq!(record.connections, Some(OBJECTS as u64));
    assert_eq!(record.processes.len(), 1);
    assert_eq!(record.commit.as_deref(), Some("0123456789ab"));
    assert_eq!(record.problems, [""; 0]);
    assert!(record.series > 0 && folder.path().join("series/001.pb.gz").exists());
    let moments = capture.moments().expect("it was made just now");
    assert_eq!(moments.processes[0].0, record.processes[0].profile);
    // Counted per object, less the context that was there before the first of them.
    let cost = record.per_connection.expect("there are objects");
    assert!(cost.less_baseline && cost.made == OBJECTS as u64, "{cost:?}");
    assert!((1_000.0..20_000.0).contains(&cost.bytes), "{cost:?}");
}

fn a_recording_can_be_stopped_from_elsewhere() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("log");
    let mut options = Options::of(this_as("hold", folder.path()));
    options.goals.at_rest = Some(1_000_000);
    options.streams = Streams::Log(File::create(&log).expect("a new file"));
    let control = options.control.clone();
    let recorded = std::thread::scope(|scope| {
        let recording = scope.spawn(|| record(&options, folder.path()));
        wait_until(|| std::fs::read_to_string(&log).is_ok_and(|said| said.contains("held")));
        control.end();
        recording.join().expect("no panic").expect("a recording")
    });
    assert_eq!(recorded.reached, None);
    let record = recorded.capture.recording().expect("the capture was made by a recording");
    assert!(record.captured.ends_with("when it was told to stop"), "{}", record.captured);
    assert_eq!(record.connections, Some(OBJECTS as u64));
}

fn a_program_without_an_openssl_is_the_programs_fault() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let error = record(&Options::of(vec!["true".into()]), folder.path()).expect_err("no OpenSSL");
    assert!(matches!(error, RecordingError::NothingRecorded { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Program);
    let error = record(&Options::of(vec!["/no/such".into()]), folder.path()).expect_err("nothing");
    assert_eq!((error.fault(), error.to_string().as_str()), (Fault::User, "cannot start /no/such"));
    // One that has an OpenSSL and does not use it is recorded, and has nothing.
    let unused = record(&Options::of(this_as("nothing", folder.path())), folder.path())
        .expect("a recording");
    assert_eq!(unused.capture.profile.samples().len(), 0);
}
