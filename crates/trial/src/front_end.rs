//! What a front end lends a trial: a program to start as server and as load, somebody to be told
//! how it goes on, and what is written of who measured.

use capture::machine::MadeBy;

use crate::HelperProgram;

/// What a front end lends a trial.
pub struct FrontEnd<'a> {
    /// Is started as server and as load.
    pub helper: &'a HelperProgram,
    /// Is told how the trial goes on.
    pub progress: &'a dyn Progress,
    /// Goes into the records as the program that made them.
    pub made_by: MadeBy,
    /// Goes into the records as the command that measured.
    pub command: Vec<String>,
}

/// Is told how a trial goes on. Each of these may be ignored.
pub trait Progress {
    /// A trial of so many steps begins, or begins again.
    fn steps(&self, _all: usize) {}

    /// This is what happens now, as `tls13: 200 connections`.
    fn now(&self, _what: &str) {}

    /// A step is done.
    fn step_done(&self) {}

    /// So many of the connections of a run are there.
    fn connected(&self, _connected: usize, _of: usize) {}

    /// All connections of a run have come to rest.
    fn at_rest(&self) {}

    /// Something went wrong that the trial goes on without, in a sentence.
    fn warn(&self, _sentence: &str) {}
}

/// Tells nobody anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

impl<'a> FrontEnd<'a> {
    /// This front end with somebody else to tell.
    pub(crate) fn telling(&'a self, progress: &'a dyn Progress) -> FrontEnd<'a> {
        FrontEnd {
            helper: self.helper,
            progress,
            made_by: self.made_by.clone(),
            command: self.command.clone(),
        }
    }
}

/// Is told of a run that is one step of something larger: only what went wrong is passed on.
pub(crate) struct OneStep<'a>(pub &'a dyn Progress);

impl Progress for OneStep<'_> {
    fn warn(&self, sentence: &str) {
        self.0.warn(sentence);
    }
}
