//! From an instruction to its rule, through the unwind tables of the object it lies in.
//!
//! The object comes from `_dl_find_object`, which the C library has for this purpose since 2.35:
//! unlike `dl_iterate_phdr` it takes no lock.

use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Operation, Pointer, Register, RegisterRule,
    UnwindContext, UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow,
};

use crate::function::{AtomicFn, function_at};
use crate::unwind::rule::{Cfa, Rule};
use crate::unwind::section::Section;

/// The C library's `struct dl_find_object`.
#[repr(C)]
struct Found {
    flags: u64,
    start: usize,
    end: usize,
    link_map: usize,
    /// The object's .eh_frame_hdr.
    unwind_header: usize,
    reserved: [u64; 7],
}

/// More than the tables of any object: those of a browser have 30 MB.
const MOST_BYTES: usize = 256 << 20;

type FindObject = unsafe extern "C" fn(address: *mut c_void, found: *mut Found) -> c_int;

/// `_dl_find_object`, once it is known.
static FIND_OBJECT: AtomicFn<FindObject> = AtomicFn::none();

/// DWARF's numbers of the registers on x86-64.
const BASE: Register = Register(6);
const STACK: Register = Register(7);
const RETURN_ADDRESS: Register = Register(16);

/// Room for what one instruction's rules need; no function has as many registers to save.
struct Small;

impl UnwindContextStorage<usize> for Small {
    type Rules = [(Register, RegisterRule<usize>); 24];
    type Stack = [UnwindTableRow<usize, Small>; 3];
}

/// Looks for the C library's function. `false` when it has none.
pub(crate) fn prepare() -> bool {
    // SAFETY: a C string; the answer is NULL when there is no such function.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    // SAFETY: NULL, or the C library's function of this name, which has this type; the C library is
    // never unloaded.
    let find = unsafe { function_at::<FindObject>(found as usize) };
    FIND_OBJECT.store(find, Ordering::Release);
    find.is_some()
}

/// The rule at an instruction.
#[cold]
pub(crate) fn rule(instruction: usize) -> Rule {
    match object(instruction) {
        Some(object) => find(&object, instruction).unwrap_or(Rule::Unknown),
        None => Rule::NoTable,
    }
}

fn find(object: &Found, instruction: usize) -> Option<Rule> {
    let section = |start: usize| {
        // Of a program with holes between its segments, the loader says where the segment with the
        // instruction ends, and the tables are in another.
        let length = match object.end.checked_sub(start) {
            Some(length) if start >= object.start => length,
            _ => MOST_BYTES.min(usize::MAX - start),
        };
        // SAFETY: a place in the object's tables, which the loader or the tables themselves give,
        // with a length that reaches to their end or beyond. The object is that of a function which
        // is being executed, so nobody unloads it meanwhile; of an address that is only a guess
        // (`Registers::framed`) this is likely and not certain.
        unsafe { Section::at(start, length) }
    };
    let header = EhFrameHdr::from(section(object.unwind_header));
    let bases = BaseAddresses::default().set_eh_frame_hdr(object.unwind_header as u64);
    let header = header.parse(&bases, size_of::<usize>() as u8).ok()?;
    let Pointer::Direct(frames) = header.eh_frame_ptr() else { return None };
    let bases = bases.set_eh_frame(frames);
    let frames = EhFrame::from(section(frames as usize));
    let table = header.table()?;
    let address = instruction as u64;
    let found = table.fde_for_address(&frames, &bases, address, EhFrame::cie_from_offset);
    let description = match found {
        Ok(description) => description,
        Err(gimli::Error::NoUnwindInfoForAddress) => return Some(Rule::NoTable),
        Err(_) => return None,
    };
    if description.is_signal_trampoline() {
        return Some(Rule::Signal);
    }
    let mut context = UnwindContext::<usize, Small>::new_in();
    let row = description.unwind_info_for_address(&frames, &bases, &mut context, address).ok()?;
    match row.register(RETURN_ADDRESS) {
        Some(RegisterRule::Undefined) => return Some(Rule::Root),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return None,
    }
    let saved_base = match row.register(BASE) {
        None | Some(RegisterRule::SameValue) => None,
        Some(RegisterRule::Offset(offset)) => Some(i32::try_from(offset).ok()?),
        Some(RegisterRule::Expression(place)) => {
            let aligned = Aligned { cfa: row.cfa(), place };
            return aligned.rule(&frames, description.cie().encoding());
        }
        Some(_) => return None,
    };
    Some(Rule::Frame { cfa: cfa(row.cfa())?, saved_base })
}

fn object(instruction: usize) -> Option<Found> {
    let find = FIND_OBJECT.load(Ordering::Acquire)?;
    let mut found =
        Found { flags: 0, start: 0, end: 0, link_map: 0, unwind_header: 0, reserved: [0; 7] };
    // SAFETY: any address may be asked for; `found` is a place for the answer.
    let answer = unsafe { find(instruction as *mut c_void, &raw mut found) };
    (answer == 0 && found.unwind_header != 0).then_some(found)
}

fn cfa(rule: &CfaRule<usize>) -> Option<Cfa> {
    let CfaRule::RegisterAndOffset { register, offset } = rule else { return None };
    let offset = i32::try_from(*offset).ok()?;
    match *register {
        STACK => Some(Cfa::Stack(offset)),
        BASE => Some(Cfa::Base(offset)),
        _ => None,
    }
}

/// A function that aligns its stack: rbp points at the caller's, and the canonical frame address
/// is stored at an offset from there.
struct Aligned<'a> {
    cfa: &'a CfaRule<usize>,
    /// Where the caller's rbp is.
    place: UnwindExpression<usize>,
}

impl Aligned<'_> {
    fn rule(&self, frames: &EhFrame<Section>, encoding: gimli::Encoding) -> Option<Rule> {
        let mut place = self.place.get(frames).ok()?.operations(encoding);
        let first = place.next().ok()?;
        let Some(Operation::RegisterOffset { register: BASE, offset: 0, .. }) = first else {
            return None;
        };
        let CfaRule::Expression(cfa) = self.cfa else { return None };
        let mut cfa = cfa.get(frames).ok()?.operations(encoding);
        let Some(Operation::RegisterOffset { register: BASE, offset, .. }) = cfa.next().ok()?
        else {
            return None;
        };
        let dereferenced =
            matches!(cfa.next().ok()?, Some(Operation::Deref { size: 8, space: false, .. }));
        if !dereferenced || place.next().ok()?.is_some() || cfa.next().ok()?.is_some() {
            return None;
        }
        Some(Rule::Aligned { cfa_at: i32::try_from(offset).ok()? })
    }
}
