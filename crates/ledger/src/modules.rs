//! The process's memory map, as the kernel prints it in /proc/PID/maps.

use crate::snapshot::Module;

/// Reads the lines that have a file behind them.
///
/// The last line may be cut, since a ledger keeps a bounded part; a line of another form is an
/// error that names its number and what it holds.
pub(crate) fn parse(text: &str) -> Result<Vec<Module>, (usize, String)> {
    let complete = match text.rfind('\n') {
        Some(end) => &text[..end],
        None => "",
    };
    let mut modules = Vec::new();
    for (number, line) in complete.lines().enumerate() {
        let module = parse_line(line).ok_or_else(|| (number + 1, line.to_owned()))?;
        if module.path.starts_with('/') {
            modules.push(module);
        }
    }
    Ok(modules)
}

/// `None` for a malformed line. The path is empty, or `[heap]` and the like, for memory without a
/// file.
fn parse_line(line: &str) -> Option<Module> {
    // 55f0-5600 r-xp 00001000 fe:00 1234   /path with blanks
    let mut rest = line;
    let mut field = || {
        let trimmed = rest.trim_start();
        let (field, tail) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
        rest = tail;
        field
    };
    let (start, end) = field().split_once('-')?;
    let permissions = field();
    let file_offset = u64::from_str_radix(field(), 16).ok()?;
    let _device = field();
    // What is no number is of no kernel's, and tells nothing.
    let inode = field().parse().unwrap_or_default();
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    if end <= start || permissions.len() != 4 {
        return None;
    }
    Some(Module {
        start,
        end,
        file_offset,
        inode,
        executable: permissions.as_bytes()[2] == b'x',
        path: rest.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_and_anonymous_memory_is_not() {
        let text = "1000-3000 r-xp 00002000 fe:00 77    /usr/lib/a b.so\n\
                    4000-5000 rw-p 00000000 00:00 0 \n\
                    5000-6000 rw-p 00000000 00:00 0    [heap]\n";
        let modules = parse(text).expect("a map of the kernel's form");
        assert_eq!(
            modules,
            [Module {
                start: 0x1000,
                end: 0x3000,
                file_offset: 0x2000,
                inode: 77,
                executable: true,
                path: "/usr/lib/a b.so".to_owned(),
            }]
        );
    }

    #[test]
    fn a_cut_last_line_is_left_out() {
        let text = "1000-3000 r-xp 00002000 fe:00 77 /a\n3000-40";
        assert_eq!(parse(text).expect("one whole line").len(), 1);
    }

    #[test]
    fn a_foreign_line_is_named() {
        let text = "1000-3000 r-xp 00002000 fe:00 77 /a\nhello\n";
        assert_eq!(parse(text).expect_err("no map"), (2, "hello".to_owned()));
    }
}
