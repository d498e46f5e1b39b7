//! Writes the seeds of every target into folders that libFuzzer can begin with.

use std::{fs, io};

use tlsheap_fuzz::ALL;

fn main() -> io::Result<()> {
    for target in ALL {
        let folder = format!("{}/corpus/{}", env!("CARGO_MANIFEST_DIR"), target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(format!("{folder}/seed-{number}"), seed)?;
        }
    }
    Ok(())
}
