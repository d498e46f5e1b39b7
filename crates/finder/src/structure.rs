//! OpenSSL's three variables by what refers to what, for objects from which the linker has left
//! the setter out.
//!
//! Each variable begins as the address of OpenSSL's own function, and that function looks first
//! whether it is still there: a pointer to a function that reads the pointer. Three such variables
//! side by side are OpenSSL's. Which is which tell the functions: realloc refers to both others;
//! of these, malloc says that it is too late for others to come, and free does not.

use crate::setter_code::target;
use crate::{Elf, Variables, function_starts};

/// Where a function looks whether it is still the one: at its very beginning.
const BEGINNING: usize = 32;
/// The longest of the functions in any build that was seen is 300 bytes long.
const LONGEST: usize = 512;
/// Three variables and padding.
const SPAN: u64 = 64;

#[derive(Clone, Copy, Debug)]
struct Candidate {
    variable: u64,
    function: u64,
}

/// The variables; `None` when they are not to be found, or more than once.
pub(crate) fn find(elf: &Elf) -> Option<Variables> {
    let mut candidates: Vec<Candidate> = elf
        .pointers()
        .into_iter()
        .map(|(variable, function)| Candidate { variable, function })
        .filter(|it| elf.is_code(it.function) && elf.is_variable(it.variable))
        .filter(|it| reads(elf, it.function, it.variable))
        .collect();
    candidates.sort_by_key(|candidate| candidate.variable);
    candidates.dedup_by_key(|candidate| candidate.variable);
    let mut found = candidates.windows(3).filter_map(|three| {
        (three[2].variable - three[0].variable < SPAN).then(|| in_order(elf, three)).flatten()
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The function is OpenSSL's own for this variable: it reads it at its beginning.
pub(crate) fn reads(elf: &Elf, function: u64, variable: u64) -> bool {
    let Some(code) = elf.from(function) else { return false };
    refers(&code[..code.len().min(BEGINNING)], function, variable)
}

/// Some displacement in the code at `address` means `what`.
fn refers(code: &[u8], address: u64, what: u64) -> bool {
    (0..code.len().saturating_sub(3))
        .any(|at| target(code, at, address + at as u64 + 4) == Some(what))
}

/// One of three functions, and its instructions.
#[derive(Clone, Copy)]
struct Body<'a> {
    own: Candidate,
    code: &'a [u8],
}

impl Body<'_> {
    /// It calls the other's function, or has it inlined.
    fn refers_to(&self, other: &Body) -> bool {
        refers(self.code, self.own.function, other.own.function)
            || refers(self.code, self.own.function, other.own.variable)
    }

    fn closes(&self) -> Option<u64> {
        closed_variable(self.code, self.own.function)
    }
}

/// Tells three functions apart.
fn in_order(elf: &Elf, three: &[Candidate]) -> Option<Variables> {
    let body = |own: &Candidate| {
        let code = function_starts::body(elf, own.function, LONGEST)?;
        Some(Body { own: *own, code })
    };
    let [a, b, c] = [body(three.first()?)?, body(three.get(1)?)?, body(three.get(2)?)?];
    // Each with the two others; exactly one refers to both.
    let mut reallocs = [(a, [b, c]), (b, [a, c]), (c, [a, b])]
        .into_iter()
        .filter(|(body, others)| others.iter().all(|other| body.refers_to(other)));
    let (realloc, [one, other]) = reallocs.next().filter(|_| reallocs.next().is_none())?;
    let (malloc, free, allows) = match (one.closes(), other.closes()) {
        (Some(allows), None) => (one, other, allows),
        (None, Some(allows)) => (other, one, allows),
        _ => return None,
    };
    let places = [malloc, realloc, free].map(|body| body.own.variable);
    Some(Variables { places, allows: Some(allows) })
}

/// The variable that OpenSSL's malloc at `address` sets to 0 when functions are taken no more.
pub(crate) fn closed_by(elf: &Elf, malloc: u64) -> Option<u64> {
    closed_variable(function_starts::body(elf, malloc, LONGEST)?, malloc)
}

fn closed_variable(code: &[u8], address: u64) -> Option<u64> {
    // mov dword [rip + x], 0
    const STORE: usize = 10;
    let mut stores = code.windows(STORE).enumerate().filter_map(|(at, store)| {
        let is_store = store.starts_with(&[0xc7, 0x05]) && store[6..] == [0; 4];
        is_store.then(|| target(store, 2, address + (at + STORE) as u64)).flatten()
    });
    let first = stores.next()?;
    stores.all(|other| other == first).then_some(first)
}
