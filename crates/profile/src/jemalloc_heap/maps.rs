//! One line of `/proc/PID/maps`.

use ledger::Module;

/// The mapping that `line` describes; `Ok(None)` when no file is behind it, `Err` when it is not
/// such a line.
pub(super) fn module(line: &str) -> Result<Option<Module>, ()> {
    let mut rest = line.trim();
    let mut word = || {
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (range, permissions, offset) = (word(), word(), word());
    let (_device, inode) = (word(), word());
    let path = rest;
    let (start, end) = range.split_once('-').ok_or(())?;
    let module = Module {
        start: hexadecimal(start)?,
        end: hexadecimal(end)?,
        file_offset: hexadecimal(offset)?,
        inode: inode.parse().unwrap_or_default(),
        executable: permissions.contains('x'),
        path: path.to_owned(),
    };
    // `[heap]`, `[vdso]` and the like have no file.
    Ok(path.starts_with('/').then_some(module))
}

fn hexadecimal(text: &str) -> Result<u64, ()> {
    // `from_str_radix` would take a sign.
    if text.starts_with('+') {
        return Err(());
    }
    u64::from_str_radix(text, 16).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_file_is_a_module_and_its_path_may_have_spaces() {
        let line = "00400000-00452000 r-xp 00001000 08:02 173521      /opt/a b (deleted)";
        let expected = Module {
            start: 0x40_0000,
            end: 0x45_2000,
            file_offset: 0x1000,
            inode: 173_521,
            executable: true,
            path: "/opt/a b (deleted)".to_owned(),
        };
        assert_eq!(module(line), Ok(Some(expected)));
    }

    #[test]
    fn memory_without_a_file_is_no_module() {
        assert_eq!(module("7ff0-7ff1 rw-p 00000000 00:00 0"), Ok(None));
        assert_eq!(module("7ff0-7ff1 r-xp 00000000 00:00 0 [vdso]"), Ok(None));
    }

    #[test]
    fn other_lines_are_refused() {
        for line in ["", "nonsense", "1-x r-xp 0 0:0 0 /a", "+1-2 r-xp 0 0:0 0 /a"] {
            assert_eq!(module(line), Err(()), "{line}");
        }
    }
}
