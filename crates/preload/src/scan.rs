//! Looks through the loaded objects for OpenSSLs and puts the recorder into each.

use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ledger::{Found, Outcome};
use recorder::OpensslNumber;

use crate::dynamic_symbols::DynamicSymbols;
use crate::exclusive::Exclusive;
use crate::fixes;
use crate::object::{self, Changes, Object};
use crate::openssl::{GETTER, Openssl, SETTER};
use crate::pins::Pins;
use crate::put_in::put_in;
use crate::report::Report;

/// What the scan knows; there is one for the process.
struct State {
    report: Report,
    /// Program headers and paths of the objects that were looked at.
    seen: Vec<(usize, PathBuf)>,
    recorded: Vec<Recorded>,
    /// Program headers of objects with an OpenSSL that had not run when it was found, since
    /// somebody asked.
    unused: Vec<usize>,
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
    /// Its variables, where there is no getter to ask.
    places: Option<[usize; 3]>,
    version: String,
    /// It has been unloaded.
    gone: bool,
    /// The program has put functions of its own into it.
    replaced: bool,
}

static STATE: Exclusive<State> = Exclusive::none();
/// The loader's counters at the last scan.
static ADDS: AtomicU64 = AtomicU64::new(0);
/// Objects that were loaded when the process began: those that everybody's names are looked for in
/// first.
static AT_START: AtomicUsize = AtomicUsize::new(0);
/// There is a state.
static READY: AtomicBool = AtomicBool::new(false);

/// The first scan.
pub(crate) fn begin(report: Report) {
    let (seen, recorded, unused) = (Vec::new(), Vec::new(), Vec::new());
    STATE.with(|place| *place = Some(State { report, seen, recorded, unused, subs: 0 }));
    begin_for_fixes();
}

/// The first scan of a process that is not recorded.
pub(crate) fn begin_for_fixes() {
    AT_START.store(object::loaded().0.len(), Ordering::Relaxed);
    READY.store(true, Ordering::Release);
    look_for_new();
}

/// Scans again if the loader has loaded anything since the last time.
pub(crate) fn look_for_new() {
    if !READY.load(Ordering::Acquire) || object::changes().adds == ADDS.load(Ordering::Acquire) {
        return;
    }
    // It would read files.
    if recorder::is_sandboxed() {
        return;
    }
    // Outside the lock: a thread that holds the loader's lock may be waiting for ours.
    // What comes between the two readings is for the next look.
    let (before, changes) = object::loaded();
    let later = before.get(AT_START.load(Ordering::Relaxed)..).unwrap_or_default();
    let _pins = Pins::on(later);
    let (mut objects, _) = object::loaded();
    objects.retain(|object| before.iter().any(|it| it.is_same_as(object)));
    let mut unused = Vec::new();
    STATE.with(|state| {
        if let Some(state) = state {
            state.look_at(&objects, changes);
            unused = std::mem::take(&mut state.unused);
        }
    });
    recorder::note_new_modules();
    fixes::reach(&objects, &unused);
    ADDS.fetch_max(changes.adds, Ordering::AcqRel);
}

/// Calls `with` with the report of this process.
pub(crate) fn with_report(with: impl FnOnce(&mut Report)) {
    STATE.with(|state| {
        if let Some(state) = state {
            with(&mut state.report);
        }
    });
}

/// Looks whether the recorded OpenSSLs still call the recorder.
pub(crate) fn check_in_place() {
    let (objects, _) = object::loaded();
    STATE.with(|state| {
        if let Some(state) = state {
            state.check_in_place(&objects);
        }
    });
}

/// Says that the program's own functions lie below those of the recorder.
pub(crate) fn chained(number: OpensslNumber) {
    with_report(|report| report.changed(number.get(), Outcome::Chained));
}

/// The setter or getter that a program has called by its name.
pub(crate) enum Reached {
    /// That of a recorded OpenSSL.
    Recorded(OpensslNumber),
    /// One at this address.
    Other(usize),
}

/// The function `name` of the OpenSSL that code at `caller` would reach without us: the loader
/// looks into what was loaded at the start, in that order, before it looks into what belongs to
/// the caller alone.
pub(crate) fn reached_from(caller: usize, name: &CStr) -> Option<Reached> {
    look_for_new();
    let (objects, _) = object::loaded();
    let function = |object: &Object| {
        if object.is_own() { None } else { DynamicSymbols::of(object)?.function(name) }
    };
    let at_start = AT_START.load(Ordering::Relaxed);
    let found = objects
        .iter()
        .take(at_start)
        .find_map(function)
        .or_else(|| objects.iter().filter(|object| object.holds(caller, 1)).find_map(function))
        .or_else(|| objects.iter().find_map(function))?;
    let recorded = recorded_function(found).map(|(number, _)| Reached::Recorded(number));
    Some(recorded.unwrap_or(Reached::Other(found)))
}

/// The recorded OpenSSL whose setter or getter lies at `address`, and which of the two it is.
pub(crate) fn recorded_function(address: usize) -> Option<(OpensslNumber, &'static CStr)> {
    let mut found = None;
    STATE.with(|state| {
        let recorded = state.iter().flat_map(|state| &state.recorded);
        found = recorded.filter(|openssl| !openssl.gone).find_map(|openssl| match Some(address) {
            it if it == openssl.setter => Some((openssl.number, SETTER)),
            it if it == openssl.getter => Some((openssl.number, GETTER)),
            _ => None,
        });
    });
    found
}

/// In a forked child: a thread that was scanning is not there, and what it was changing cannot
/// be used.
pub(crate) unsafe extern "C" fn after_fork() {
    if STATE.is_taken() {
        READY.store(false, Ordering::Relaxed);
    }
}

/// What the object is called in reports.
pub(crate) fn name(object: &Object) -> String {
    let path = std::fs::canonicalize(&object.path).unwrap_or_else(|_| object.path.clone());
    path.display().to_string()
}

impl State {
    fn look_at(&mut self, objects: &[Object], changes: Changes) {
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
        let Some(openssl) = Openssl::of(object) else { return };
        let known = self.recorded.iter().position(|known| !known.gone && known.is_in(object));
        if let Some(known) = known {
            self.look_again(known, &openssl, object, objects);
            return;
        }
        if !openssl.since_1_1 {
            let name = name(object);
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
        let put_in = match put_in(&openssl, object, again, objects) {
            Ok(put_in) => put_in,
            Err(error) => {
                self.report.problem(format!("{}: {error}", name(object)));
                return;
            }
        };
        if again.is_none() {
            self.report.found(Found {
                number: put_in.number.map(OpensslNumber::get),
                object: name(object),
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
                places: openssl.places(),
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

    fn check_in_place(&mut self, objects: &[Object]) {
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
    /// It still calls the recorder, as far as that can be seen.
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
