//! `tlsheap record`: a program that nobody rebuilt, with the recorder preloaded into it and into
//! everything that it starts.

mod answer;
mod attach;
mod counted;
mod watched;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use capture::folder::{self, NewFolder, SERIES};
use capture::timeline::EVERY;
use capture::{Capture, Fault};
use clap::Args;
use contract::Scope;
use recording::{
    Arguments, Keep, Notice, PythonObjects, Reached, Recorded, RecordingError, UNRECOGNISABLE,
    move_series, name_of,
};
use report::folder::FolderError;
use trial::loaded::{self, Load};

use crate::commands::load::Spoken;
use crate::commands::record::attach::Attach;
use crate::commands::record::counted::Counted;
use crate::failure::Failure;
use crate::telling;
use crate::trials::{Bar, front_end, helper, made_by};
use crate::values::{address, connections, duration};

#[derive(Debug, Args)]
#[command(after_help = "\
The program's own input, output and exit code are left alone; what tlsheap has to say comes on \
standard error after the program has ended, but for why --at-rest waits in vain. With --load tlsheap connects to the program itself, \
and one command does it all. Otherwise a capture is made when the first of --for, --at-rest \
and --until-idle is reached, and the program is then ended with SIGTERM, and so is what it \
started; without them at Ctrl-C or SIGTERM, or else when the program has ended. A program that has \
not ended 15 seconds after a SIGTERM, or at the second one, is killed. The exit code is \
the program's (128 + N after signal N; 0 when tlsheap's SIGTERM has ended it), or 3 when no \
OpenSSL in it could be recorded.")]
pub struct Options {
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Capture after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub time: Option<Duration>,
    /// Capture when there are at least N SSL objects, and for a second neither their number nor
    /// OpenSSL's bytes have changed, as in --at-rest '50 connections'. Each end of a connection
    /// has one: a proxy, and a program that talks to itself, have two for each connection
    #[arg(long, value_name = "N", value_parser = at_rest)]
    pub at_rest: Option<u64>,
    /// Capture when OpenSSL has allocated and has stopped to for this time
    #[arg(long, value_name = "TIME", value_parser = duration, num_args = 0..=1,
          require_equals = true, default_missing_value = "2s")]
    pub until_idle: Option<Duration>,
    /// Keep a capture every so often as well until then, as series/001.pb.gz and so on
    #[arg(long, value_name = "TIME", value_parser = every)]
    pub every: Option<Duration>,
    #[command(flatten)]
    counted: Counted,
    /// Put the load on the program as well, at this address, and end it when all is measured: some
    /// connections that come and go, then N, then twice as many, of which the capture is made, then
    /// none any more
    #[arg(long, value_name = "HOST:PORT", value_parser = address,
          conflicts_with_all = ["time", "at_rest", "until_idle", "sample"])]
    pub load: Option<SocketAddr>,
    /// N of --load
    #[arg(long, short = 'n', value_name = "N", default_value = "50", value_parser = connections,
          requires = "load")]
    pub connections: usize,
    /// What --load says on each connection (see `tlsheap load --help`)
    #[arg(
        long,
        value_name = "NAME",
        default_value = "tls",
        hide_possible_values = true,
        requires = "load"
    )]
    pub protocol: Spoken,
    /// Keep the program's arguments out of run.json, and so off the page: they may hold secrets
    #[arg(long)]
    pub no_arguments: bool,
    #[command(flatten)]
    attach: Attach,
    /// Show what `tlsheap watch` shows while it records, with its keys; to quit ends the recording.
    /// What the program writes goes to output.log in the run folder, and it has nothing to read;
    /// what a process that was attached to writes goes where it went
    #[arg(long, conflicts_with = "load")]
    pub watch: bool,
    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        required_unless_present_any = ["pid", "cgroup"],
        value_name = "PROGRAM"
    )]
    pub command: Vec<OsString>,
}

/// Records, writes the folder, and says what came of it.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.counted.sample.is_some() && options.at_rest.is_some() {
        return Err(Failure::usage(
            "--at-rest waits for a number of SSL objects, which --sample does not know: use --for \
             or --until-idle",
        ));
    }
    if options.watch {
        watched::refuse_without_screen()?;
    }
    let mut plain = options.plain()?;
    let program = plain.command[0].clone();
    let path = match &options.out {
        Some(path) => path.clone(),
        None => folder::default_path(&name_of(&program)),
    };
    let folder = NewFolder::prepare(&path)?;
    let filling = folder.path().to_owned();
    let output = Arc::new(Output { folder: Mutex::new(Some(folder)), path: path.clone() });
    if plain.attach_to.is_none()
        && let Some(sentence) = recording::sanitizers::notice(&program)
    {
        telling::tell(&format!("tlsheap: {sentence}"));
    }
    let early = Arc::clone(&output);
    // What goes wrong now does so again at the end, where it is said.
    plain.keep = Keep::with(move |capture| drop(early.write(capture)));
    let recorded = options.recorded(plain, &filling)?;
    let left_out = recorded.complete_series(&output.filling());
    let path = match output.write(&recorded.capture) {
        Ok(()) => {
            left_out.or_else(|error| series_elsewhere(&recorded, &path, error))?;
            path
        }
        Err(error) => elsewhere(&recorded, &output, error)?,
    };
    let answer = answer::of_recording(&recorded, &path, telling::medium());
    telling::tell_of(&answer, &path);
    let log = path.join(watched::LOG);
    if options.watch && log.exists() {
        telling::tell(&format!("what the program wrote: {}", log.display()));
    }
    if recorded.reached == Some(Reached::Unrecognisable) {
        return Err(Failure::program(UNRECOGNISABLE));
    }
    match recorded.ended.exit_code() {
        0 => Ok(()),
        code => Err(Failure::PassedOn(code)),
    }
}

/// Says where captures of the series are that cannot be written to the folder at `path`.
fn series_elsewhere(recorded: &Recorded, path: &Path, error: io::Error) -> Result<(), Failure> {
    let (path, error) = (path.display(), anyhow!(error));
    let kept = recorded.keep_ledgers().context("captures of the series are lost")?;
    telling::tell(&format!(
        "tlsheap: captures of the series could not be written to {path}, and are kept in {}: \
         {error:#}",
        kept.join(SERIES).display()
    ));
    Ok(())
}

/// Writes what cannot be written where it should be beside the ledgers, which are kept. Returns its
/// folder; what cannot be written there either is the user's to read out of the ledgers.
fn elsewhere(recorded: &Recorded, output: &Output, error: FolderError) -> Result<PathBuf, Failure> {
    let error = anyhow!(error);
    let Ok(kept) = recorded.keep_ledgers() else { return Err(error.into()) };
    let run = kept.join("run");
    let written = fs::create_dir(&run)
        .map_err(anyhow::Error::from)
        .and_then(|()| Ok(report::folder::write(&recorded.capture, &run)?))
        .and_then(|()| Ok(output.move_series(&kept, &run)?));
    let (path, kept) = (output.path.display(), kept.display());
    if written.is_ok() {
        telling::tell(&format!("tlsheap: {path} could not be written: {error:#}"));
        return Ok(run);
    }
    let series = match output.leave_series() {
        Some(left) => format!(", captures of the series in {}", left.display()),
        None => String::new(),
    };
    let sentence = format!(
        "{path} could not be written; the program {}, and its ledgers are kept in {kept}, for \
         `tlsheap top` to read one by one{series}",
        recorded.ended.in_words()
    );
    Err(Failure::Because(Fault::User, error.context(sentence)))
}

/// The folder of the recording, which is written twice where the program takes its time to end.
struct Output {
    /// The new folder, until it has its name.
    folder: Mutex<Option<NewFolder>>,
    /// The name.
    path: PathBuf,
}

impl Output {
    /// The folder, which nobody panics with.
    fn folder(&self) -> MutexGuard<'_, Option<NewFolder>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the folder is now.
    fn filling(&self) -> PathBuf {
        self.folder().as_ref().map_or(self.path.as_path(), NewFolder::path).to_owned()
    }

    fn write(&self, capture: &Capture) -> Result<(), FolderError> {
        report::folder::write(capture, &self.filling())?;
        let mut folder = self.folder();
        if let Some(filled) = folder.as_mut() {
            filled.finish()?;
        }
        *folder = None;
        Ok(())
    }

    /// Moves the captures of the series to `run`: those that were written to the folder, and those
    /// that lie in `kept` because they could not be.
    fn move_series(&self, kept: &Path, run: &Path) -> io::Result<()> {
        for from in [kept, &self.filling()] {
            move_series(&from.join(SERIES), &run.join(SERIES))?;
        }
        Ok(())
    }

    /// Gives the folder its name although it has no more in it than captures of the series, if it
    /// has those, and returns where they are.
    fn leave_series(&self) -> Option<PathBuf> {
        let mut captures = fs::read_dir(self.filling().join(SERIES)).ok()?;
        captures.next()?.ok()?;
        let mut folder = self.folder();
        if let Some(filled) = folder.as_mut() {
            filled.finish().ok()?;
        }
        *folder = None;
        Some(self.path.join(SERIES))
    }
}

impl Options {
    fn recorded(&self, plain: recording::Options, folder: &Path) -> Result<Recorded, Failure> {
        let Some(address) = self.load else {
            let recorded = if self.watch {
                watched::record(plain, folder)?
            } else {
                recording::record(&plain, folder)
            };
            return recorded.map_err(|error| self.explained(error));
        };
        let mut load = Load::on(address);
        load.connections = self.connections;
        load.conversation = self.protocol.conversation();
        let (helper, bar) = (helper()?, Bar::of_steps());
        let recorded = loaded::record(&plain, &load, &front_end(&helper, &bar), folder);
        bar.finish();
        Ok(recorded?)
    }

    /// What `--pid` and `--cgroup` have no use for.
    fn refuse_with(&self, how: &str) -> Result<(), Failure> {
        let sentence = if !self.command.is_empty() {
            format!("{how} attaches to what runs: leave PROGRAM out, or start it without {how}")
        } else if self.counted.sample.is_some() {
            format!(
                "--sample begins with the program, and {how} comes later: leave one of them out"
            )
        } else if self.counted.python {
            format!(
                "--python begins with the interpreter, and {how} comes later: leave one of them out"
            )
        } else if self.load.is_some() {
            format!(
                "--load ends the program when all is measured, and {how} lets it go on: put a \
                 load on it with `tlsheap load`"
            )
        } else {
            return Ok(());
        };
        Err(Failure::usage(sentence))
    }

    fn plain(&self) -> Result<recording::Options, Failure> {
        let mut plain = match self.attach.to()? {
            Some((to, how)) => {
                self.refuse_with(how)?;
                recording::Options::attaching(to)?
            }
            None => recording::Options::of(self.command.clone()),
        };
        plain.goals.time = self.time;
        plain.goals.at_rest = self.at_rest;
        plain.goals.idle = self.until_idle;
        plain.every = self.every;
        plain.sample = self.counted.sample;
        plain.scope = self.scope();
        if self.counted.python {
            plain.python = PythonObjects::OneByOne;
        }
        plain.earlier = self.attach.earlier();
        if self.no_arguments {
            plain.arguments = Arguments::LeftOut;
        }
        plain.notice = Notice::with(|sentence| telling::tell(&format!("tlsheap: {sentence}")));
        plain.made_by = made_by();
        Ok(plain)
    }

    /// Everything in processes with an OpenSSL is the usual: from their start, where a capture is made
    /// while they run, so that what they hold then is known; until a program's end, it may start
    /// thousands that have nothing to do with it.
    fn scope(&self) -> Scope {
        let is_captured_running = self.load.is_some()
            || self.time.is_some()
            || self.at_rest.is_some()
            || self.until_idle.is_some();
        if self.counted.heap {
            Scope::Everything
        } else if self.counted.only.is_some() || self.attach.is_asked_for() {
            Scope::Openssl
        } else if is_captured_running {
            Scope::WithOpenssl
        } else {
            Scope::FromOpenssl
        }
    }

    /// A time that was meant for `--until-idle` is taken for the program.
    fn explained(&self, error: RecordingError) -> Failure {
        match error {
            RecordingError::NotStarted { program, source } if self.until_idle.is_some() => {
                let Some(time) = program.to_str().filter(|text| duration(text).is_ok()) else {
                    return RecordingError::NotStarted { program, source }.into();
                };
                let sentence = format!(
                    "cannot start a program {time}: a time for --until-idle is --until-idle={time}"
                );
                Failure::Because(Fault::User, anyhow!(source).context(sentence))
            }
            error => error.into(),
        }
    }
}

/// Reads `50 connections`, or a bare number of them.
fn at_rest(text: &str) -> Result<u64, String> {
    let (number, what) = text.trim().split_once(' ').unwrap_or((text.trim(), "connections"));
    match (number.parse(), what.trim()) {
        (Ok(0), _) => Err("without connections there is nothing to wait for: use --until-idle, \
                           or ask for at least 1"
            .to_owned()),
        (Ok(number), "connections" | "connection" | "SSL objects" | "SSL object") => Ok(number),
        _ => Err("expected a number of connections, as in '50 connections'".to_owned()),
    }
}

/// A time between captures; one takes some tens of milliseconds.
fn every(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time < EVERY => {
            Err(format!("at least {} ms lie between captures", EVERY.as_millis()))
        }
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_at_rest_are_a_number_with_or_without_a_word() {
        for text in ["50 connections", "50", " 50 SSL objects "] {
            assert_eq!(at_rest(text), Ok(50), "{text}");
        }
        for text in ["connections", "50 clients", "0", "-1", ""] {
            assert!(at_rest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn captures_of_a_series_are_not_too_close() {
        assert_eq!(every("1s"), Ok(Duration::from_secs(1)));
        assert!(every("10ms").is_err_and(|why| why.contains("250 ms")));
    }
}
