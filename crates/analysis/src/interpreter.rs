//! What runs programs that are written in scripts: CPython, and Node with its V8. Their functions
//! lie on every stack and say nothing about the program.

use profile::Frame;

/// Whether the frame only carries a script along. What an interpreter does for OpenSSL's sake,
/// such as Python's `_ssl` and Node's `crypto`, is not meant.
pub(crate) fn carries(frame: &Frame<'_>) -> bool {
    let begins = |list: &[&str]| list.iter().any(|start| frame.function.starts_with(start));
    // Node's own scripts.
    if frame.file.starts_with("node:") {
        return true;
    }
    let path = frame.file.split_once("/Python-").map_or("", |(_, path)| path);
    let source = path.split_once('/').map_or(frame.file, |(_version, source)| source);
    PYTHON_SOURCES.iter().any(|start| source.trim_start_matches("./").starts_with(start))
        || begins(FUNCTIONS)
}

/// Where CPython's source has what is not about OpenSSL.
const PYTHON_SOURCES: &[&str] = &["Include/", "Modules/main.c", "Objects/", "Python/"];

/// How functions begin. `python3.11+0x…` is one without a name.
const FUNCTIONS: &[&str] = &[
    "Builtins_",
    "Py",
    "_Py",
    "libpython3.",
    "node::AsyncWrap::MakeCallback(",
    "node::InternalMakeCallback(",
    "node::LoadEnvironment(",
    "node::MakeCallback(",
    "node::NodeMainInstance::",
    "node::Realm::",
    "node::SpinEventLoop",
    "node::Start(",
    "node::StartExecution(",
    "node::builtins::",
    "pymain_",
    "python3",
    "uv_",
    "v8::",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_told_from_what_they_do_for_openssl() {
        let python = "/tmp/build/Python-3.11.7/";
        for (function, file, carried) in [
            ("type_call", &*format!("{python}Objects/typeobject.c"), true),
            ("pymain_run_file", &*format!("{python}Modules/main.c"), true),
            ("PyContext_NewHamtForTests", &*format!("{python}./Python/context.c"), true),
            ("_ssl__SSLSocket_do_handshake", &*format!("{python}Modules/_ssl.c"), false),
            ("run", "Python/ceval.c", true),
            ("Py_BytesMain", "", true),
            ("python3.11+0x579226", "", true),
            ("_ssl.cpython-311-x86_64-linux-gnu.so+0x1bceb", "", false),
            ("_cffi_f_SSL_new", "_openssl.c", false),
            ("node::Start(int, char**)", "", true),
            ("node::Realm::ExecuteBootstrapper(char const*)", "", true),
            ("node::crypto::SecureContext::CreateSSL()", "", false),
            ("v8::internal::Execution::Call(v8::internal::Isolate*)", "", true),
            ("Builtins_JSEntry", "", true),
            ("uv__io_poll", "../deps/uv/src/unix/linux.c", true),
            ("onconnection", "node:net", true),
            ("welcome", "echo.js", false),
            ("node", "src/main.c", false),
        ] {
            let frame = Frame { function, file, line: 0, address: 0 };
            assert_eq!(carries(&frame), carried, "{function} in {file:?}");
        }
    }
}
