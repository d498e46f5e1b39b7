//! What the scan has found so far.

use std::ffi::CStr;
use std::path::PathBuf;

use contract::Outcome;
use ledger::{Found, Other};
use recorder::OpensslNumber;

use crate::object::{Changes, Object};
use crate::openssl::{GETTER, Libraries, Openssl, SETTER};
use crate::put_in::{put_in, take_out};
use crate::report::Report;
use crate::whole_process;

/// What the scan knows; there is one for the process.
pub(super) struct State {
    pub report: Report,
    /// Program headers and paths of the objects that were looked at.
    seen: Vec<(usize, PathBuf)>,
    recorded: Vec<Recorded>,
    /// Program headers of objects with an OpenSSL that had not run when it was found, since
    /// somebody asked.
    pub unused: Vec<usize>,
    subs: u64,
}

/// An OpenSSL with the recorder in it.
struct Recorded {
    number: OpensslNumber,
    /// The object it lies in.
    headers: usize,
    path: PathBuf,
    setter: Option<usize>,
    getter: Option<usize>,
    /// The places of its variables, where there is no getter to ask.
    places: Option<[usize; 3]>,
    version: String,
    /// It has been unloaded.
    gone: bool,
    /// The program has put functions of its own into it.
    replaced: bool,
}

impl State {
    pub(super) fn new(report: Report) -> State {
        State { report, seen: Vec::new(), recorded: Vec::new(), unused: Vec::new(), subs: 0 }
    }

    /// Begins anew in a process that was let go, with another report. The OpenSSLs keep their
    /// numbers.
    pub(super) fn begin_again(&mut self, report: Report) {
        self.report = report;
        self.seen.clear();
        self.unused.clear();
        for openssl in &mut self.recorded {
            (openssl.gone, openssl.replaced) = (true, false);
        }
    }

    /// Takes the recorder out of every OpenSSL.
    pub(super) fn take_out(&mut self, objects: &[Object]) {
        self.check_in_place(objects);
        for openssl in self.recorded.iter().filter(|it| !it.gone && !it.replaced) {
            let Some(object) = objects.iter().find(|object| openssl.is_in(object)) else {
                continue;
            };
            if take_out(openssl.number, openssl.setter, openssl.places, object) {
                self.report.changed(openssl.number.get(), Outcome::Detached);
            } else {
                let name = object.name();
                self.report.problem(format!(
                    "{name} has the recorder's functions in it still, which count nothing any more"
                ));
            }
        }
    }

    /// The recorded OpenSSL whose setter or getter lies at `address`, and which of the two it is.
    pub(super) fn function_at(&self, address: usize) -> Option<(OpensslNumber, &'static CStr)> {
        let mut recorded = self.recorded.iter().filter(|openssl| !openssl.gone);
        recorded.find_map(|openssl| match Some(address) {
            it if it == openssl.setter => Some((openssl.number, SETTER)),
            it if it == openssl.getter => Some((openssl.number, GETTER)),
            _ => None,
        })
    }

    /// Looks at what is loaded and was not looked at before.
    pub(super) fn look_at(&mut self, objects: &[Object], changes: Changes) {
        if changes.subs != self.subs {
            self.note_unloading(objects);
            self.subs = changes.subs;
        }
        for object in objects {
            let is_it = |(headers, path): &(usize, PathBuf)| {
                *headers == object.headers && *path == object.path
            };
            if !self.seen.iter().any(is_it) {
                self.seen.push((object.headers, object.path.clone()));
                self.look_into(object, objects);
            }
        }
        self.check_in_place(objects);
    }

    /// Something has been unloaded. What is there has been looked at all the same, but for recorded
    /// OpenSSLs: one may have gone and come back to its place, and then has its own functions.
    fn note_unloading(&mut self, objects: &[Object]) {
        recorder::note_unloading();
        for openssl in &mut self.recorded {
            openssl.gone |= !objects.iter().any(|object| openssl.is_in(object));
        }
        let recorded = &self.recorded;
        self.seen.retain(|(headers, path)| {
            let mut objects = objects.iter();
            let object = objects.find(|it| it.headers == *headers && it.path == *path);
            object.is_some_and(|object| !recorded.iter().any(|openssl| openssl.is_in(object)))
        });
    }

    fn look_into(&mut self, object: &Object, objects: &[Object]) {
        if object.is_own() {
            return;
        }
        let Libraries { openssl, others } = Libraries::of(object);
        for library in others {
            self.report.other(Other { object: object.name(), library });
        }
        let Some(openssl) = openssl else { return };
        let known = self.recorded.iter().position(|known| !known.gone && known.is_in(object));
        if let Some(known) = known {
            self.look_again(known, &openssl, object, objects);
            return;
        }
        if !openssl.since_1_1 {
            let name = object.name();
            self.report.problem(format!("{name} has an OpenSSL older than 1.1.0: not recorded"));
            return;
        }
        let version = openssl.version();
        // One that was unloaded and is loaded again goes on under its number.
        let again = self
            .recorded
            .iter()
            .position(|known| known.gone && known.path == object.path && known.version == version);
        let again = again.map(|at| self.recorded.swap_remove(at).number);
        whole_process::count();
        let put_in = match put_in(&openssl, object, again, objects) {
            Ok(put_in) => put_in,
            Err(error) => {
                self.report.problem(format!("{}: {error}", object.name()));
                return;
            }
        };
        if !put_in.number.is_some_and(|number| self.report.knows(number.get())) {
            self.report.found(Found {
                number: put_in.number.map(OpensslNumber::get),
                object: object.name(),
                version: version.clone(),
                way: openssl.way,
                outcome: put_in.outcome,
            });
        }
        if put_in.outcome == Outcome::Recorded {
            self.unused.push(object.headers);
        }
        if let Some(number) = put_in.number {
            self.recorded.push(Recorded {
                number,
                headers: object.headers,
                path: object.path.clone(),
                setter: openssl.setter,
                getter: openssl.getter,
                places: put_in.places.or(openssl.places()),
                version,
                gone: false,
                replaced: false,
            });
        }
    }

    /// Looks at an OpenSSL at the place of one that is recorded: it may have been unloaded and
    /// loaded again, and then has its own functions.
    fn look_again(&mut self, known: usize, openssl: &Openssl, object: &Object, objects: &[Object]) {
        let known = &mut self.recorded[known];
        if !known.number.is_in_place() && openssl.has_own_functions(objects) {
            // Should it refuse, it is found to be replaced.
            let _ = put_in(openssl, object, Some(known.number), objects);
        }
    }

    /// Notes the OpenSSLs that do not call the recorder any more.
    pub(super) fn check_in_place(&mut self, objects: &[Object]) {
        for openssl in &mut self.recorded {
            if openssl.gone || openssl.replaced {
                continue;
            }
            // What has been unloaded cannot be asked.
            let object = objects.iter().find(|object| openssl.is_in(object));
            if object.is_some_and(|object| !openssl.is_in_place(object)) {
                openssl.replaced = true;
                recorder::note_replaced();
                self.report.changed(openssl.number.get(), Outcome::Replaced);
            }
        }
    }
}

impl Recorded {
    /// Whether it still calls the recorder, as far as that can be seen.
    fn is_in_place(&self, object: &Object) -> bool {
        match self.places {
            Some(places) if self.getter.is_none() => {
                let hooks = self.number.hooks().pointers();
                let calls = |(place, hook): (usize, *mut ())| {
                    object.read::<usize>(place) == Some(hook as usize)
                };
                places.into_iter().zip(hooks).all(calls)
            }
            _ => self.number.is_in_place(),
        }
    }

    fn is_in(&self, object: &Object) -> bool {
        self.headers == object.headers && self.path == object.path
    }
}
