//! Functions of scripts that have no name on a stack, and how they get one.
//!
//! An interpreter's own functions lie between OpenSSL and whoever called it from a script. Which
//! script that was is written down by the interpreter alone, in a perf map, where it is asked to.

use std::borrow::Borrow;

use profile::Frame;

use crate::group::Call;

/// What runs scripts, and can write down the names of their functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interpreter {
    /// Node, with V8.
    Node,
    /// CPython, of a version that can.
    Python,
}

impl Interpreter {
    /// How names are to be had, in a sentence without its full stop.
    pub fn advice(self) -> &'static str {
        match self {
            Interpreter::Node => {
                "functions of Node's scripts have no names here: start it as \
                 `node --perf-basic-prof --interpreted-frames-native-stack`, and a recording reads \
                 what it writes down"
            }
            Interpreter::Python => {
                "functions of Python's scripts have no names here: start it as `python3 -X perf`, \
                 and a recording reads what it writes down; where Python was built without frame \
                 pointers, as usual, stacks then end at the innermost of them"
            }
        }
    }
}

/// The interpreters on `stacks` (innermost first) that carry a script none of whose functions has a
/// name, where there is a way to get it; each once. `programs` are the paths of the recorded ones.
pub fn nameless<'a, C: Borrow<Call> + 'a>(
    stacks: impl IntoIterator<Item = &'a [C]>,
    programs: &[&str],
) -> Vec<Interpreter> {
    let mut found = Vec::new();
    for stack in stacks {
        let frames: Vec<Frame<'_>> = stack.iter().map(|call| call.borrow().frame()).collect();
        if frames.iter().any(is_of_script) {
            continue;
        }
        if frames.iter().any(|frame| frame.function.starts_with("Builtins_")) {
            found.push(Interpreter::Node);
        } else if frames.iter().any(is_python) && python_minor(&frames, programs) >= WITH_NAMES {
            found.push(Interpreter::Python);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// CPython takes `-X perf` since 3.12.
const WITH_NAMES: Option<u32> = Some(12);

fn is_of_script(frame: &Frame<'_>) -> bool {
    const ENDS: [&str; 5] = [".js", ".mjs", ".cjs", ".ts", ".py"];
    frame.file.starts_with("node:") || ENDS.iter().any(|end| frame.file.ends_with(end))
}

fn is_python(frame: &Frame<'_>) -> bool {
    let unnamed = ["python3.", "libpython3."];
    frame.function.starts_with("_PyEval_")
        || unnamed.iter().any(|start| frame.function.starts_with(start))
}

/// The second number of Python's version: a file has it in its name, whose code the frame is, or
/// whose source; or else a program. `None` where it is not known.
fn python_minor(frames: &[Frame<'_>], programs: &[&str]) -> Option<u32> {
    let number = |text: &str, before: &str| {
        let digits = &text[text.find(before)? + before.len()..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    };
    let of_frame = |frame: &Frame<'_>| {
        let code = Some(frame.function).filter(|_| is_python(frame));
        let code = code.and_then(|function| number(function, "python3."));
        code.or_else(|| number(frame.file, "/Python-3."))
    };
    let of_program = |program: &&str| number(program.rsplit('/').next()?, "python3.");
    frames.iter().find_map(of_frame).or_else(|| programs.iter().find_map(of_program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(frames: &[(&str, &str)]) -> Vec<Call> {
        let call = |(function, file): &(&str, &str)| Call {
            function: (*function).to_owned(),
            file: (*file).to_owned(),
            line: 0,
        };
        frames.iter().map(call).collect()
    }

    fn nameless_in(frames: &[(&str, &str)], program: &str) -> Vec<Interpreter> {
        nameless([&calls(frames)[..]], &[program])
    }

    const NODE: [(&str, &str); 4] = [
        ("SSL_new", "ssl/ssl_lib.c"),
        ("Builtins_CallApiCallback", ""),
        ("Builtins_InterpreterEntryTrampoline", ""),
        ("Builtins_JSEntry", ""),
    ];

    #[test]
    fn a_script_without_a_name_is_worth_an_advice_once() {
        assert_eq!(nameless_in(&NODE, "/usr/bin/node"), [Interpreter::Node]);
        let stacks = [calls(&NODE), calls(&NODE)];
        assert_eq!(nameless(stacks.iter().map(Vec::as_slice), &[]), [Interpreter::Node]);
        let mut named = NODE.to_vec();
        named.insert(2, ("welcome", "/srv/echo.js"));
        assert_eq!(nameless_in(&named, "/usr/bin/node"), []);
        named[2] = ("onconnection", "node:net");
        assert_eq!(nameless_in(&named, "/usr/bin/node"), []);
        // Nothing of a script: Node's own start.
        assert_eq!(nameless_in(&[NODE[0], ("node::Start(int, char**)", "")], "node"), []);
    }

    #[test]
    fn of_python_only_what_can_be_done_is_advised() {
        let python =
            |function, file| [("SSL_new", ""), ("_ssl_f", "Modules/_ssl.c"), (function, file)];
        for (function, file, program, known) in [
            ("_PyEval_EvalFrameDefault", "", "/usr/bin/python3.12", true),
            ("_PyEval_EvalFrameDefault", "", "/usr/bin/python3.11", false),
            ("_PyEval_EvalFrameDefault", "", "/usr/bin/my-python", false),
            (
                "_PyEval_EvalFrameDefault",
                "/b/Python-3.13.0/Python/ceval.c",
                "/usr/sbin/uwsgi",
                true,
            ),
            ("_PyEval_EvalFrameDefault", "/b/Python-3.9.1/Python/ceval.c", "python3.12", false),
            ("python3.11+0x579226", "", "python3", false),
            ("libpython3.14.so.1.0+0x17", "", "/usr/sbin/uwsgi", true),
            ("python2.7+0x579226", "", "python3.12", false),
        ] {
            let found = nameless_in(&python(function, file), program);
            assert_eq!(!found.is_empty(), known, "{function} in {file:?} of {program}");
        }
        let mut named = python("_PyEval_EvalFrameDefault", "").to_vec();
        named.insert(2, ("load_roots", "/srv/script.py"));
        assert_eq!(nameless_in(&named, "/usr/bin/python3.12"), []);
    }
}
