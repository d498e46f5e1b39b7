//! OpenSSL's setter by its instructions: three times a test of an argument, a jump over the next
//! instruction, and one that stores the argument in a variable.
//!
//! ```text
//! test rdi, rdi   je +7   mov [rip + malloc_impl], rdi
//! test rsi, rsi   je +7   mov [rip + realloc_impl], rsi
//! test rdx, rdx   je +7   mov [rip + free_impl], rdx
//! ```
//!
//! In front of them the setter reads the variable that says whether it is too late. Between them a
//! compiler may put the load of the answer, 1.

use memchr::memmem;

use crate::{Elf, Variables};

const FIRST: &[u8] = &[0x48, 0x85, 0xff, 0x74, 0x07, 0x48, 0x89, 0x3d];
const SECOND: &[u8] = &[0x48, 0x85, 0xf6, 0x74, 0x07, 0x48, 0x89, 0x35];
const THIRD: &[u8] = &[0x48, 0x85, 0xd2, 0x74, 0x07, 0x48, 0x89, 0x15];
/// `mov eax, 1`.
const ANSWER: &[u8] = &[0xb8, 1, 0, 0, 0];
/// A displacement.
const DISPLACEMENT: usize = 4;

/// One place that looks like the setter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SetterCode {
    /// Address of the first test.
    pub at: u64,
    pub variables: Variables,
}

/// The one place in the object's code that looks like the setter; `None` when there is none, or
/// more than one.
pub(crate) fn find(elf: &Elf) -> Option<SetterCode> {
    let mut found = None;
    for segment in elf.segments().iter().filter(|segment| segment.executable) {
        for at in memmem::find_iter(segment.bytes, FIRST) {
            if let Some(code) = read(elf, segment.bytes, at, segment.address + at as u64)
                && found.replace(code).is_some()
            {
                return None;
            }
        }
    }
    found
}

/// The variables that the setter at `address` writes.
pub(crate) fn variables_of(elf: &Elf, address: u64) -> Option<Variables> {
    /// The setter is shorter in every build that was seen.
    const LONGEST: usize = 128;
    let code = elf.from(address)?;
    let code = &code[..code.len().min(LONGEST)];
    let at = memmem::find(code, FIRST)?;
    Some(read(elf, code, at, address + at as u64)?.variables)
}

/// Reads the three stores that begin at `code[at]`, which is loaded at `address`.
fn read(elf: &Elf, code: &[u8], at: usize, address: u64) -> Option<SetterCode> {
    let mut places = [0; 3];
    let mut next = at;
    for (place, step) in places.iter_mut().zip([FIRST, SECOND, THIRD]) {
        if code.get(next..)?.starts_with(ANSWER) {
            next += ANSWER.len();
        }
        if !code.get(next..)?.starts_with(step) {
            return None;
        }
        next += step.len();
        let behind = address + (next - at + DISPLACEMENT) as u64;
        *place = target(code, next, behind)?;
        next += DISPLACEMENT;
    }
    let [malloc, realloc, free] = places;
    let all = malloc != realloc && realloc != free && malloc != free;
    let variables = Variables { places, allows: allows(code, at, address) };
    (all && places.iter().all(|place| elf.is_variable(*place)))
        .then_some(SetterCode { at: address, variables })
}

/// The variable that is tested right in front of `code[at]`: whether functions are still taken.
fn allows(code: &[u8], at: usize, address: u64) -> Option<u64> {
    // mov eax, [rip + x]; test eax, eax; je
    let moved = code.get(at.checked_sub(10)?..at)?;
    if moved.starts_with(&[0x8b, 0x05]) && moved[6..9] == [0x85, 0xc0, 0x74] {
        return target(moved, 2, address - 4);
    }
    // cmp dword [rip + x], 0; je
    let compared = &moved[1..];
    if compared.starts_with(&[0x83, 0x3d]) && compared[6..8] == [0, 0x74] {
        return target(compared, 2, address - 2);
    }
    None
}

/// What a displacement at `code[at]` means in an instruction that ends at `behind`.
pub(crate) fn target(code: &[u8], at: usize, behind: u64) -> Option<u64> {
    let bytes = code.get(at..at + DISPLACEMENT)?;
    let offset = i32::from_le_bytes(bytes.try_into().expect("four bytes"));
    Some(behind.wrapping_add_signed(i64::from(offset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u64 = 0x1000;
    const DATA: u64 = 0x2000;

    /// A program with these instructions, and data that can be written to.
    fn program(code: &[u8]) -> Vec<u8> {
        const PAGE: u64 = 0x1000;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        bytes.extend_from_slice(&[3, 0, 62, 0, 1, 0, 0, 0]); // a shared object for x86-64
        for field in [0, 64, 0_u64] {
            bytes.extend_from_slice(&field.to_le_bytes()); // entry, program headers, sections
        }
        bytes.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        for (flags, address) in [(5_u32, CODE), (6, DATA)] {
            bytes.extend_from_slice(&1_u32.to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            for field in [address, address, address, PAGE, PAGE, PAGE] {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        bytes.resize(0x1000, 0);
        bytes.extend_from_slice(code);
        bytes.resize(0x3000, 0);
        bytes
    }

    /// One instruction and its displacement to `to`, where `code` ends now.
    fn displaced(code: &mut Vec<u8>, instruction: &[u8], to: u64, behind: u64) {
        code.extend_from_slice(instruction);
        let next = CODE + code.len() as u64 + 4 + behind;
        code.extend_from_slice(&(to.wrapping_sub(next) as u32).to_le_bytes());
    }

    fn setter(compares: bool, answer_early: bool, places: [u64; 3]) -> Vec<u8> {
        let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa]; // endbr64
        if compares {
            displaced(&mut code, &[0x83, 0x3d], DATA, 1);
            code.extend_from_slice(&[0, 0x74, 0x2a]);
        } else {
            displaced(&mut code, &[0x8b, 0x05], DATA, 0);
            code.extend_from_slice(&[0x85, 0xc0, 0x74, 0x2a]);
        }
        displaced(&mut code, FIRST, places[0], 0);
        displaced(&mut code, SECOND, places[1], 0);
        if answer_early {
            code.extend_from_slice(ANSWER);
        }
        displaced(&mut code, THIRD, places[2], 0);
        code.push(0xc3);
        code
    }

    const PLACES: [u64; 3] = [DATA + 24, DATA + 16, DATA + 8];

    fn found_in(code: &[u8]) -> Option<Variables> {
        let bytes = program(code);
        let elf = Elf::parse(&bytes).expect("a program");
        assert_eq!(variables_of(&elf, CODE), find(&elf).map(|found| found.variables));
        find(&elf).map(|found| found.variables)
    }

    #[test]
    fn each_form_of_the_setter_tells_its_variables() {
        for compares in [false, true] {
            for answer_early in [false, true] {
                let found = found_in(&setter(compares, answer_early, PLACES));
                assert_eq!(found, Some(Variables { places: PLACES, allows: Some(DATA) }));
            }
        }
    }

    #[test]
    fn stores_to_what_cannot_be_the_variables_are_no_setter() {
        let [malloc, realloc, free] = PLACES;
        assert_eq!(
            found_in(&setter(false, false, [malloc, malloc, free])),
            None,
            "one place twice"
        );
        assert_eq!(found_in(&setter(false, false, [malloc, realloc, CODE])), None, "code");
        assert_eq!(found_in(&setter(false, false, [malloc + 4, realloc, free])), None, "crooked");
        let code = setter(false, false, PLACES);
        assert_eq!(found_in(&code[..code.len() - 8]), None, "a store is missing");
    }

    #[test]
    fn two_setters_are_none() {
        let mut code = setter(false, false, PLACES);
        // The second one writes variables that lie as much further.
        code.resize(code.len().next_multiple_of(8), 0x90);
        let bytes = program(&[&code[..], &code].concat());
        assert_eq!(find(&Elf::parse(&bytes).expect("a program")), None);
    }
}
