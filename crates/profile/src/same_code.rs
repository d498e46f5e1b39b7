//! Processes that run the same files at other addresses, as those do that a shell starts one after
//! another: the kernel puts each one's files somewhere else.

use std::borrow::Cow;
use std::ops::Range;

use ledger::{Module, Snapshot};

use crate::symbols::code;

/// The snapshot as it would be if its code lay where that of `like` does. `None` when it does not
/// have the same code, or when an address of something else would come to lie in code by that.
pub(crate) fn laid_out_like<'a>(
    snapshot: &'a Snapshot,
    like: &[Module],
) -> Option<Cow<'a, Snapshot>> {
    let [own, theirs] = [&snapshot.modules[..], like].map(in_order_of_files);
    let same = own.iter().map(|module| file_of(module)).eq(theirs.iter().map(|it| file_of(it)));
    if !same {
        return None;
    }
    let mut moves: Vec<Move> =
        own.iter().zip(&theirs).map(|(own, to)| Move::new(own, to)).collect();
    if moves.iter().all(|it| it.from.start == it.to.start) {
        return Some(Cow::Borrowed(snapshot));
    }
    moves.sort_by_key(|it| it.from.start);
    let is_taken = |range: Range<u64>| {
        moves.iter().any(|it| it.to.start < range.end && range.start < it.to.end)
    };
    let mut laid_out = snapshot.clone();
    for module in &mut laid_out.modules {
        if module.executable {
            let it = moves.iter().find(|it| it.from.start == module.start)?;
            (module.start, module.end) = (it.to.start, it.to.end);
        } else if is_taken(module.start..module.end) {
            return None;
        }
    }
    for address in laid_out.sites.iter_mut().flat_map(|site| &mut site.stack) {
        // The call ends one byte before the address that it returns to.
        let call = address.saturating_sub(1);
        let after = moves.partition_point(|it| it.from.start <= call);
        let inside = moves[..after].last().filter(|it| call < it.from.end);
        match inside {
            Some(it) => *address = *address - it.from.start + it.to.start,
            None if is_taken(call..*address) => return None,
            None => {}
        }
    }
    Some(Cow::Owned(laid_out))
}

/// Where a module lies, and where it is to lie.
struct Move {
    from: Range<u64>,
    to: Range<u64>,
}

impl Move {
    fn new(own: &Module, to: &Module) -> Move {
        Move { from: own.start..own.end, to: to.start..to.end }
    }
}

fn in_order_of_files(modules: &[Module]) -> Vec<&Module> {
    let mut code: Vec<&Module> = code(modules).collect();
    code.sort_by_key(|module| (file_of(module), module.start));
    code
}

/// What two modules have in common that are the same part of the same file.
fn file_of(module: &Module) -> (&str, u64, u64, u64) {
    let Module { path, inode, file_offset, start, end, .. } = module;
    (path, *inode, *file_offset, end.saturating_sub(*start))
}

#[cfg(test)]
mod tests {
    use ledger::Site;

    use super::*;

    fn module(path: &str, range: Range<u64>, executable: bool) -> Module {
        let (start, end) = (range.start, range.end);
        Module { start, end, file_offset: 0x1000, inode: 0, executable, path: path.to_owned() }
    }

    fn process(modules: &[Module], stack: &[u64]) -> Snapshot {
        let sites = vec![Site { stack: stack.to_vec(), ..Site::default() }];
        Snapshot { modules: modules.to_vec(), sites, ..Snapshot::default() }
    }

    #[test]
    fn each_file_moves_by_itself_and_the_rest_stays() {
        let first =
            [module("/bin/a", 0x1000..0x2000, true), module("/lib/b", 0x8000..0x9000, true)];
        // In another order, with one more file that is no code.
        let modules = [
            module("/lib/b", 0x30_0000..0x30_1000, true),
            module("/usr/lib/locale", 0x40_0000..0x41_0000, false),
            module("/bin/a", 0x50_0000..0x50_1000, true),
        ];
        // The last call of a file returns behind its end; the last address is in no file.
        let stack = [0x30_0010, 0x50_1000, 0x40_0008, 0x77_0000];
        let process = process(&modules, &stack);
        let moved = laid_out_like(&process, &first).expect("the same code");
        assert_eq!(moved.sites[0].stack, [0x8010, 0x2000, 0x40_0008, 0x77_0000]);
        let starts: Vec<u64> = moved.modules.iter().map(|module| module.start).collect();
        assert_eq!(starts, [0x8000, 0x40_0000, 0x1000]);
        let again = laid_out_like(&moved, &first).expect("the same code");
        assert!(matches!(again, Cow::Borrowed(_)), "it lies there already");
    }

    #[test]
    fn what_would_come_to_mean_something_else_is_left_where_it_is() {
        let first = [module("/bin/a", 0x1000..0x2000, true)];
        let own = [module("/bin/a", 0x5000..0x6000, true)];
        for outside in [0x1001, 0x1800, 0x2000] {
            assert_eq!(laid_out_like(&process(&own, &[0x5010, outside]), &first), None);
        }
        for outside in [0x1000, 0x2001] {
            assert!(laid_out_like(&process(&own, &[0x5010, outside]), &first).is_some());
        }
        let with_data = [own[0].clone(), module("/data", 0x1F00..0x3000, false)];
        assert_eq!(laid_out_like(&process(&with_data, &[]), &first), None);
    }

    #[test]
    fn other_code_is_other_code() {
        let first = [module("/bin/a", 0x1000..0x2000, true)];
        for other in [
            module("/bin/b", 0x1000..0x2000, true),
            module("/bin/a", 0x1000..0x3000, true),
            Module { file_offset: 0, ..first[0].clone() },
        ] {
            assert_eq!(laid_out_like(&process(&[other], &[]), &first), None);
        }
        let twice = [first[0].clone(), module("/bin/a", 0x3000..0x4000, true)];
        assert_eq!(laid_out_like(&process(&twice, &[]), &first), None);
    }
}
