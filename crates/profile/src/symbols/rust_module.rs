//! The module that a Rust function is in, told from its source file.
//!
//! Debug information of the kind `line-tables-only` names an inlined function without its module:
//! only `poll` or `{closure#0}`. On a stack such a name says nothing.

/// `name` with the module that `file` makes up, `tokio::runtime::task::poll`. `file` is a path as
/// [`crate::source_path`] leaves it. The name stays as it is when it has a module already or when
/// the path does not tell one.
pub(super) fn qualified(name: &str, file: &str) -> String {
    let before_generics = name.split('<').next().unwrap_or(name);
    if name.starts_with('<') || before_generics.contains("::") {
        return name.to_owned();
    }
    match module_of(file) {
        Some(module) => format!("{module}::{name}"),
        None => name.to_owned(),
    }
}

/// `tokio-1.2.3/src/runtime/mod.rs` is `tokio::runtime`.
fn module_of(file: &str) -> Option<String> {
    let parts: Vec<&str> = file.strip_suffix(".rs")?.split('/').collect();
    let kind = parts.iter().position(|part| matches!(*part, "src" | "tests" | "benches"))?;
    let package = without_version(parts[..kind].last()?);
    let mut modules = &parts[kind + 1..];
    // A test, a bench or a second program is a crate of its own, named after its file.
    let mut path = match (parts[kind], modules) {
        ("src", ["bin", rest @ ..]) => {
            modules = rest;
            Vec::new()
        }
        ("src", _) => vec![package.replace('-', "_")],
        _ => Vec::new(),
    };
    if let [outer @ .., "mod" | "lib" | "main"] = modules {
        modules = outer;
    }
    path.extend(modules.iter().map(|module| (*module).to_owned()));
    (!path.is_empty()).then(|| path.join("::"))
}

/// `hashbrown-0.15.2` is the package `hashbrown`.
fn without_version(directory: &str) -> &str {
    match directory.rsplit_once('-') {
        Some((package, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => package,
        _ => directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_gets_the_module_of_its_file() {
        for (name, file, wanted) in [
            ("poll", "tokio-1.2.3/src/runtime/task/core.rs", "tokio::runtime::task::core::poll"),
            ("poll", "tokio-1.2.3/src/runtime/mod.rs", "tokio::runtime::poll"),
            ("{closure#0}", "crates/echo-server/src/lib.rs", "echo_server::{closure#0}"),
            ("swap<u8, a::B>", "library/core/src/mem/mod.rs", "core::mem::swap<u8, a::B>"),
            ("f", "crates/profile/tests/symbols.rs", "symbols::f"),
            ("f", "a/src/bin/tool.rs", "tool::f"),
        ] {
            assert_eq!(qualified(name, file), wanted);
        }
    }

    #[test]
    fn a_name_stays_when_it_has_a_module_or_none_can_be_told() {
        for (name, file) in [
            ("core::mem::swap::<u8>", "library/core/src/mem/mod.rs"),
            ("<u8 as core::fmt::Display>::fmt", "library/core/src/fmt/num.rs"),
            ("poll", ""),
            ("poll", "/home/me/poll.rs"),
            ("zlib_zalloc", "crypto/comp/c_zlib.c"),
        ] {
            assert_eq!(qualified(name, file), name);
        }
    }
}
