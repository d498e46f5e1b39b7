//! Functions by their names, and how much of a file is theirs alone: who writes over the beginning
//! of a function must not reach into the next one.

use object::LittleEndian;
use object::read::elf::Sym;

use crate::names::{self, Table};
use crate::{Elf, function_starts};

/// The addresses of the functions `names`: those that the file exports, and else those of its
/// symbol table. A name that stands for two functions is not found.
pub fn functions<const N: usize>(elf: &Elf, names: [&str; N]) -> [Option<u64>; N] {
    let exported = names::find(elf, Table::Exported, names);
    if exported.iter().all(Option::is_some) {
        return exported;
    }
    let mut found = names::find(elf, Table::File, names);
    for (found, exported) in found.iter_mut().zip(exported) {
        *found = exported.or(*found);
    }
    for address in &mut found {
        *address = address.filter(|address| elf.is_code(*address));
    }
    found
}

/// How many bytes from `address` on belong to the function that begins there: its own, and what
/// fills the gap to whatever comes next. `None` when no function is known to begin there, or its
/// end is not.
pub fn room(elf: &Elf, address: u64) -> Option<u64> {
    let own = names::symbols_in(elf).find(|symbol| symbol.st_value(LittleEndian) == address)?;
    let own_bytes = own.st_size(LittleEndian);
    // What comes next may have no name in a stripped file, but unwinding knows it; and assembly
    // may have a name and no unwinding.
    let (begin, unwinding) = function_starts::around(elf, address)?;
    let behind =
        |symbol: &&object::elf::Sym64<LittleEndian>| symbol.st_value(LittleEndian) > address;
    let named = names::symbols_in(elf).filter(behind).map(|symbol| symbol.st_value(LittleEndian));
    let next = named.min().map_or(unwinding, |named| named.min(unwinding));
    if begin != address || own_bytes == 0 || next < address.checked_add(own_bytes)? {
        return None;
    }
    let room = next - address;
    let gap = elf.from(address)?.get(usize::try_from(own_bytes).ok()?..)?;
    let gap = &gap[..gap.len().min(usize::try_from(room - own_bytes).ok()?)];
    Some(own_bytes + filling(gap) as u64)
}

/// How many bytes at the beginning of `gap` do nothing: instructions that compilers and linkers
/// put between functions.
fn filling(gap: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = gap.get(at) {
        at += match byte {
            0x90 | 0xcc => 1,
            // Several bytes that do nothing are one instruction, as long as its prefixes and
            // operands say.
            0x66 | 0x2e | 0x0f => match long_filling(&gap[at..]) {
                Some(length) => length,
                None => break,
            },
            _ => break,
        };
    }
    at
}

/// The length of a `nop` of several bytes: prefixes, its two bytes, an operand that is not used.
fn long_filling(code: &[u8]) -> Option<usize> {
    let prefixes = code.iter().take_while(|byte| matches!(byte, 0x66 | 0x2e)).count();
    let rest = &code[prefixes..];
    if rest.first() == Some(&0x90) {
        return Some(prefixes + 1);
    }
    if !rest.starts_with(&[0x0f, 0x1f]) {
        return None;
    }
    let operand = rest.get(2)?;
    let index = usize::from(operand & 7 == 4);
    let displacement = match operand >> 6 {
        0 => 0,
        1 => 1,
        2 => 4,
        _ => return None,
    };
    let length = prefixes + 3 + index + displacement;
    (length <= code.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_a_gap_is_told_from_code() {
        assert_eq!(filling(&[]), 0);
        assert_eq!(filling(&[0x90, 0x90, 0xc3]), 2);
        assert_eq!(filling(&[0xcc; 5]), 5);
        assert_eq!(filling(&[0x0f, 0x1f, 0x40, 0x00]), 4);
        assert_eq!(filling(&[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0]), 10);
        assert_eq!(filling(&[0x66, 0x90, 0x55]), 2);
        assert_eq!(filling(&[0x0f, 0x1f, 0x40]), 0, "cut short");
        assert_eq!(filling(&[0x0f, 0xb6, 0xc0]), 0, "another instruction");
        assert_eq!(filling(&[0x31, 0xc0, 0xc3]), 0);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_function_has_room_for_its_own_code_and_not_for_the_next() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::parse(&bytes).unwrap();
        openssl::ssl::SslContext::builder(openssl::ssl::SslMethod::tls()).unwrap();
        let names = ["SSL_CTX_new", "SSL_CTX_new_ex", "SSL_CTX_free", "no such function"];
        let [new, new_ex, free, nothing] = functions(&elf, names);
        assert_eq!(nothing, None);
        for address in [new, new_ex, free] {
            let address = address.expect("it is linked in");
            let room = room(&elf, address).expect("it ends somewhere");
            assert!((8..100_000).contains(&room), "{room}");
            let starts = [new, new_ex, free].map(Option::unwrap);
            assert!(starts.iter().all(|it| *it <= address || *it >= address + room));
        }
        assert_eq!(room(&elf, new_ex.unwrap() + 1), None, "in the middle");
    }
}
