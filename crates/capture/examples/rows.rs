//! Reads a run folder, a ledger or a profile of any format, and prints what holds most memory:
//!
//! ```sh
//! cargo run --release -p capture --example rows -- profiles/reference/tls13
//! ```

use std::path::Path;
use std::process::ExitCode;

use analysis::group::By;
use capture::{Capture, CaptureError};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("name a run folder, a ledger or a profile");
        return ExitCode::from(2);
    };
    match rows(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn rows(path: &Path) -> Result<(), CaptureError> {
    // OpenSSL's part where there is one; per connection where their number is known.
    let capture = Capture::open(path)?;
    for row in capture.top(By::Category, capture.usual_column()).rows.iter().take(10) {
        println!("{:>14.0}  {}", row.bytes.unwrap_or_default(), row.key.category);
    }
    Ok(())
}
