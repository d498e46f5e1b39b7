//! Records a program until it ends or Ctrl-C is pressed, and says what its OpenSSL held at most:
//!
//! ```sh
//! cargo run --release -p recording --example record -- openssl speed -seconds 1 rsa2048
//! ```

use std::process::ExitCode;

use profile::Metric;
use recording::{Options, RecordingError, record};

fn main() -> ExitCode {
    let command: Vec<_> = std::env::args_os().skip(1).collect();
    if command.is_empty() {
        eprintln!("name a program and its arguments");
        return ExitCode::from(2);
    }
    match highest_total(&Options::of(command)) {
        Ok(bytes) => {
            eprintln!("{bytes} bytes at the highest totals of its processes");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn highest_total(options: &Options) -> Result<i64, RecordingError> {
    // Nothing is written without a series: any folder will do.
    let recorded = record(options, &std::env::temp_dir())?;
    let profile = &recorded.capture.profile;
    Ok(profile.column(Metric::PeakSpace).map_or(0, |column| profile.total(column)))
}
