//! Names that engines give to functions of scripts, taken apart.

use crate::symbols::frame::SymbolFrame;

/// What stands for a function without a name of its own.
const ANONYMOUS: &str = "(anonymous)";

/// A name of a perf map as a frame. Two engines put the script into the name:
///
/// | engine | name | function | file |
/// |---|---|---|---|
/// | V8 | `JS:~welcome /srv/echo.js:11:17` | `welcome` | `echo.js`, line 11 |
/// | CPython | `py::echo:/srv/echo.py` | `echo` | `echo.py` |
///
/// V8's sign before the function tells how it was compiled at the time: left out, so that a
/// function is the same one before and after. Of the script's path, the file is kept: folders tell
/// of the machine, not of the program. Any other name stays whole.
pub(super) fn script_name(name: &str) -> SymbolFrame {
    let (function, file, line) = of_v8(name).or_else(|| of_python(name)).unwrap_or((name, "", 0));
    let function = if function.is_empty() { ANONYMOUS } else { function };
    SymbolFrame {
        name: function.to_owned(),
        system_name: name.to_owned(),
        file: file_name(file).to_owned(),
        line,
    }
}

fn of_v8(name: &str) -> Option<(&str, &str, u32)> {
    let (kind, rest) = name.split_once(':')?;
    if !["JS", "Eval", "Script", "Function", "LazyCompile", "RegExp"].contains(&kind) {
        return None;
    }
    let rest = rest.trim_start_matches(['~', '^', '*', '+', '-', '\'']);
    let Some((function, place)) = rest.split_once(' ') else { return Some((rest, "", 0)) };
    // Behind the path come line and column; of a built-in script, not always both.
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) = (parts.next()?, parts.next()?, parts.next());
    match (path, line.parse(), column.parse::<u32>()) {
        (Some(path), Ok(line), Ok(_)) => Some((function, path, line)),
        _ => Some((function, place, 0)),
    }
}

fn of_python(name: &str) -> Option<(&str, &str, u32)> {
    let (function, path) = name.strip_prefix("py::")?.split_once(':')?;
    Some((function, path, 0))
}

/// The file's name; `node:net` and other scripts that are built in are whole names.
fn file_name(path: &str) -> &str {
    if path.starts_with("node:") { path } else { path.rsplit('/').next().unwrap_or(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_scripts_are_taken_apart_and_others_stay_whole() {
        for (name, function, file, line) in [
            ("JS:~welcome /srv/a b/echo.js:11:17", "welcome", "echo.js", 11),
            (
                "JS:*TLSSocket._wrapHandle node:_tls_wrap:700:43",
                "TLSSocket._wrapHandle",
                "node:_tls_wrap",
                700,
            ),
            ("JS:~ file:///srv/echo.mjs:23:42", "(anonymous)", "echo.mjs", 23),
            ("Eval:~ /srv/echo.js:1:1", "(anonymous)", "echo.js", 1),
            ("LazyCompile:^f node:internal/x", "f", "node:internal/x", 0),
            ("JS:~f", "f", "", 0),
            ("Builtin:CEntry", "Builtin:CEntry", "", 0),
            (
                "py::Echo.dataReceived:/srv/echo_twisted.py",
                "Echo.dataReceived",
                "echo_twisted.py",
                0,
            ),
            ("py::", "py::", "", 0),
            ("Ljava/lang/Object;::wait", "Ljava/lang/Object;::wait", "", 0),
            ("JS:~f :1:1", "f", "", 1),
            ("JS:", "(anonymous)", "", 0),
        ] {
            let frame = script_name(name);
            assert_eq!(
                (frame.name.as_str(), frame.file.as_str(), frame.line),
                (function, file, line),
                "{name}"
            );
            assert_eq!(frame.system_name, name);
        }
    }
}
