//! Short function names: what a reader needs to recognise a function, without paths, generic
//! arguments and the compiler's decorations.

/// A C function without what the compiler appended: `asn1_template_new.part.0` is
/// `asn1_template_new`. Other names stay as they are.
pub fn c_name(function: &str) -> &str {
    if is_path(function) {
        return function;
    }
    match function.split_once('.') {
        Some((name, ending)) if is_compilers(ending) => name,
        // Go's functions have their package before the dot.
        _ => function,
    }
}

/// What GCC and LLVM append to names: `part.0`, `isra.0`, `llvm.123`, or the number of a function
/// within another.
fn is_compilers(ending: &str) -> bool {
    const WORDS: [&str; 9] =
        ["clone", "cold", "constprop", "isra", "llvm", "localalias", "lto_priv", "part", "warm"];
    let word = ending.split('.').next().unwrap_or_default();
    WORDS.contains(&word) || word.starts_with(|first: char| first.is_ascii_digit())
}

/// A function of Go's without the path of its package: `net/http.(*conn).serve` is
/// `http.(*conn).serve`. No other name has a slash.
fn without_package_path(function: &str) -> &str {
    let path = function.find(['(', '[']).map_or(function, |end| &function[..end]);
    path.rfind('/').map_or(function, |slash| &function[slash + 1..])
}

/// The last telling part of a name: `echo_server::connection::serve::{{closure}}` is `serve`,
/// `<openssl::ssl::SslStream<S>>::accept` is `SslStream::accept`, C names are [`c_name`]. Empty
/// for a closure whose name has lost its path (debug information of lines only has no paths).
pub fn short_name(function: &str) -> String {
    if function.starts_with('{') {
        return String::new();
    }
    if !is_path(function) {
        return without_package_path(c_name(function)).to_owned();
    }
    let segments = path_segments(function);
    let mut telling = segments.iter().rev().filter(|segment| !is_decoration(segment));
    let Some(last) = telling.next() else { return function.to_owned() };
    let last = owner_name(last);
    let Some(before) = telling.next() else { return last };
    let before = owner_name(before);
    // A type explains its method; a module only repeats what the function says.
    if before.starts_with(char::is_uppercase) { format!("{before}::{last}") } else { last }
}

/// Whether the name says what is called. A function that no symbol table names is empty, or stands
/// as a place in its library: `libcrypto.so.3+0xfe073`.
pub fn is_named(function: &str) -> bool {
    !function.is_empty() && !function.contains("+0x")
}

/// The crate in which a Rust function, or the type it is a method of, is defined; `None` for C.
pub fn root_crate(function: &str) -> Option<&str> {
    if !is_path(function) {
        return None;
    }
    let name = function.trim_start_matches(['<', '&', '*', '(']);
    let name = ["mut ", "const ", "dyn "].iter().fold(name, |n, word| n.trim_start_matches(word));
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

/// A name with a path is Rust's (or C++'s); OpenSSL's and the C library's have none.
fn is_path(function: &str) -> bool {
    function.contains("::") || function.starts_with('<')
}

/// Splits at each `::` that is not inside brackets.
fn path_segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    let mut depth = 0_usize;
    let mut begin = 0;
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of a function's type closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                segments.push(&path[begin..at]);
                at += 1;
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    segments.push(&path[begin..]);
    segments
}

/// Closures, async bodies, namespaces without a name, C++'s lambdas as functions, and generic
/// arguments that stand alone (`::<T>`) after a path.
fn is_decoration(segment: &str) -> bool {
    segment.is_empty()
        || segment.starts_with(['{', '('])
        || segment.starts_with("_FUN(")
        || (segment.starts_with('<') && !segment.contains("::") && !segment.contains(" as "))
}

/// The name of a segment without generic arguments; of `<Type as Trait>` and `<Type>` the type's.
fn owner_name(segment: &str) -> String {
    let Some(inner) = segment.strip_prefix('<') else {
        // C++ names say what a function takes.
        return segment.split(['<', '(']).next().unwrap_or(segment).to_owned();
    };
    let inner = inner.strip_suffix('>').unwrap_or(inner);
    let owner = inner.split(" as ").next().unwrap_or(inner).trim_start_matches(['&', '*']);
    let owner = ["mut ", "const ", "dyn "].iter().fold(owner, |o, word| o.trim_start_matches(word));
    let segments = path_segments(owner);
    let last = segments.iter().rev().find(|segment| !is_decoration(segment));
    last.map_or(owner, |last| last.split('<').next().unwrap_or(last)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_c_function_loses_only_what_the_compiler_appended() {
        assert_eq!(short_name("SSL_CTX_new_ex"), "SSL_CTX_new_ex");
        assert_eq!(short_name("asn1_template_new.part.0"), "asn1_template_new");
        assert_eq!(short_name(""), "");
    }

    #[test]
    fn a_rust_function_keeps_its_name_and_a_method_its_type() {
        for (long, short) in [
            ("echo_server::connection::serve_connection", "serve_connection"),
            ("echo_server::connection::serve::{{closure}}::{{closure}}", "serve"),
            ("echo_server::serve::{async_fn_env#0}", "serve"),
            ("openssl::ssl::SslContextBuilder::new", "SslContextBuilder::new"),
            ("<openssl::ssl::SslStream<S>>::accept", "SslStream::accept"),
            ("openssl::ssl::SslStream<S>::accept", "SslStream::accept"),
            ("<echo_server::Echo<T> as core::future::Future>::poll", "Echo::poll"),
            ("<&mut alloc::vec::Vec<u8> as std::io::Write>::write", "Vec::write"),
            ("core::ops::function::FnOnce::call_once<fn(u8) -> u8>", "FnOnce::call_once"),
            ("std::thread::local::LocalKey<T>::with::<F>", "LocalKey::with"),
            (
                "node::crypto::SecureContext::SetCACert(std::unique_ptr<bio_st> const&) [clone ",
                "SecureContext::SetCACert",
            ),
            ("node::(anonymous namespace)::Start(int, char**)", "Start"),
        ] {
            assert_eq!(short_name(long), short, "{long}");
        }
    }

    #[test]
    fn a_function_of_gos_keeps_its_package_but_not_the_path_of_it() {
        for (long, short) in [
            ("main.work", "main.work"),
            ("crypto/sha256.(*digest).Write", "sha256.(*digest).Write"),
            ("net/http.(*conn).serve", "http.(*conn).serve"),
            ("github.com/a/b.Map[go.shape.struct { c/d.T }]", "b.Map[go.shape.struct { c/d.T }]"),
            ("main.main.func1", "main.main.func1"),
        ] {
            assert_eq!(short_name(long), short, "{long}");
        }
    }

    #[test]
    fn a_place_in_a_library_is_no_name() {
        assert!(is_named("SSL_new") && is_named("tokio::park"));
        assert!(!is_named("") && !is_named("libcrypto.so.3+0xfe073"));
    }

    #[test]
    fn odd_names_are_survived() {
        for odd in ["::", "<", "<>", "<>::", ">>>", "a::", "{{closure}}::", "<a as b", "λ::ü<é>"]
        {
            let _ = short_name(odd);
            let _ = root_crate(odd);
        }
        assert_eq!(short_name("<{{closure}}>::{{closure}}"), "<{{closure}}>::{{closure}}");
    }

    #[test]
    fn the_crate_of_a_method_is_its_types() {
        assert_eq!(root_crate("tokio::runtime::task::poll"), Some("tokio"));
        assert_eq!(
            root_crate("<&mut echo_server::X as core::fmt::Debug>::fmt"),
            Some("echo_server")
        );
        assert_eq!(root_crate("SSL_new"), None);
        assert_eq!(root_crate("<"), None);
    }
}
