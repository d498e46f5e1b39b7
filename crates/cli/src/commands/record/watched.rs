//! `record --watch`: the view of `tlsheap watch` while the recording goes on.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, anyhow};
use live::{Follower, Target};
use recording::{Notice, Recorded, RecordingError, Streams};

use crate::commands::watch::terminal::{self, Ended, Stop};
use crate::commands::watch::{Shown, has_screen};
use crate::failure::Failure;
use crate::telling;

/// The file of the run folder in which everything is that the program wrote meanwhile.
pub const LOG: &str = "output.log";

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether there is something to look at.
const UNTIL_SEEN: Duration = Duration::from_millis(50);

/// Says why it cannot be watched here.
pub fn refuse_without_screen() -> Result<(), Failure> {
    if has_screen() {
        return Ok(());
    }
    Err(Failure::usage(
        "--watch draws on a terminal, and standard input and output are none, or TERM is dumb: \
         leave it out, and run `tlsheap watch` in a terminal",
    ))
}

/// Records, shows what is recorded until it ends or somebody quits, which ends the recording, and
/// says then what could not be said meanwhile.
pub fn record(
    mut options: recording::Options,
    folder: &Path,
) -> Result<Result<Recorded, RecordingError>, Failure> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let later = Arc::clone(&said);
    options.notice = Notice::with(move |sentence| {
        later.lock().unwrap_or_else(PoisonError::into_inner).push(sentence.to_owned());
    });
    if options.attach_to.is_none() {
        let log = folder.join(LOG);
        let file = File::create_new(&log).with_context(|| format!("cannot make {}", log.display()));
        options.streams = Streams::Log(file?);
    }
    // The recorder's own tree has what it starts; a process that it attaches to has another parent.
    let target = || match &options.attach_to {
        Some(to) => Target::attached(to),
        None => Target::process(std::process::id()),
    };
    let (control, stop) = (options.control.clone(), Stop::default());
    let (recorded, shown) = thread::scope(|scope| {
        let recording = scope.spawn(|| {
            let recorded = recording::record(&options, folder);
            stop.stop();
            recorded
        });
        let shown = loop {
            if recording.is_finished() {
                break Ok(());
            }
            // Until the first allocation there is nothing to look at.
            let first = target().and_then(|target| {
                let mut follower = Follower::of(target);
                let first = follower.look()?;
                Ok((follower, first))
            });
            let Ok((follower, first)) = first else {
                sleep(UNTIL_SEEN);
                continue;
            };
            break match terminal::show(follower, first, EVERY, &Shown::usual(), &stop) {
                Ok(Ended::Asked) => {
                    control.end();
                    Ok(())
                }
                // What comes of it is told by the recording.
                Ok(Ended::Over(_)) => Ok(()),
                Ok(Ended::Failed(error)) => Err(error.into()),
                Err(failure) => {
                    control.end();
                    Err(failure)
                }
            };
        };
        (recording.join(), shown)
    });
    for sentence in said.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        telling::tell(&format!("tlsheap: {sentence}"));
    }
    let recorded = recorded.map_err(|_| anyhow!("the thread that records has panicked"))?;
    // The recording is worth more than the view of it.
    if let (Ok(_), Err(failure)) = (&recorded, shown) {
        failure.report();
    }
    Ok(recorded)
}
