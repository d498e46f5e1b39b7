//! Source paths without the machine they were built on.
//!
//! Two builds of the same source on two machines must give the same names, or nothing in two
//! profiles could be compared.

/// The directories that OpenSSL's own sources lie in.
const OPENSSL_DIRECTORIES: [&str; 6] = ["crypto", "ssl", "providers", "engines", "include", "apps"];

/// The directories of a cargo package that hold sources.
const PACKAGE_DIRECTORIES: [&str; 5] = ["src", "tests", "benches", "examples", "build.rs"];

/// A path as OpenSSL passed it to its allocator, from its source root on: `../crypto/x.c` and
/// `/build/openssl-3.5.5/crypto/x.c` both become `crypto/x.c`.
///
/// A path without one of OpenSSL's directories in it stays as it is, apart from its slashes.
///
/// ```
/// use profile::source_path::of_openssl;
///
/// assert_eq!(of_openssl("/build/openssl-3.5.5/crypto/x509/x509_lu.c"), "crypto/x509/x509_lu.c");
/// ```
pub fn of_openssl(path: &str) -> String {
    let path = with_slashes(path);
    let relative = without_leading_dots(&path);
    let parts: Vec<&str> = relative.split('/').collect();
    if starts_in_openssl(&parts) {
        return relative.to_owned();
    }
    below_openssl(&parts)
        .or_else(|| parts.iter().position(|part| OPENSSL_DIRECTORIES.contains(part)))
        .map_or_else(|| relative.to_owned(), |at| joined(&parts[at..]))
}

/// A path out of debug information, as short as it can be without losing what it names:
///
/// | found | becomes |
/// |---|---|
/// | `…/registry/src/<index>/tokio-1.2.3/src/x.rs` | `tokio-1.2.3/src/x.rs` |
/// | `/rustc/<hash>/library/std/src/x.rs` | `library/std/src/x.rs` |
/// | `/rust/deps/hashbrown-0.15.2/src/x.rs` | `hashbrown-0.15.2/src/x.rs` |
/// | `…/crates/profile/src/x.rs` | `crates/profile/src/x.rs` |
/// | `…/openssl-3.5.5/build/../crypto/x.c` | `crypto/x.c` |
///
/// Any other path stays as it is, apart from its slashes.
pub fn of_debug_information(path: &str) -> String {
    let path = with_slashes(path);
    let parts: Vec<&str> = path.split('/').collect();
    let start = in_registry(&parts)
        .or_else(|| in_rust_library(&parts))
        .or_else(|| in_workspace(&parts))
        .or_else(|| below_openssl(&parts));
    if let Some(start) = start {
        return joined(&parts[start..]);
    }
    let relative = without_leading_dots(&path);
    if starts_in_openssl(&relative.split('/').collect::<Vec<_>>()) {
        return relative.to_owned();
    }
    path
}

fn with_slashes(path: &str) -> String {
    path.replace('\\', "/")
}

fn without_leading_dots(path: &str) -> &str {
    let mut rest = path;
    while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix("../")) {
        rest = shorter;
    }
    rest
}

fn starts_in_openssl(parts: &[&str]) -> bool {
    parts.len() > 1 && OPENSSL_DIRECTORIES.contains(&parts[0])
}

/// Where OpenSSL's own part begins below the innermost directory named `openssl…` that has one:
/// `include/openssl/ssl.h` has such a directory too, but nothing of OpenSSL's below it.
fn below_openssl(parts: &[&str]) -> Option<usize> {
    let directories = parts.len().saturating_sub(1);
    (0..directories).rev().filter(|at| parts[*at].starts_with("openssl")).find_map(|root| {
        (root + 1..directories).find(|at| OPENSSL_DIRECTORIES.contains(&parts[*at]))
    })
}

fn in_registry(parts: &[&str]) -> Option<usize> {
    let root = parts.windows(2).position(|pair| pair == ["registry", "src"])?;
    (root + 3 < parts.len()).then_some(root + 3)
}

fn in_rust_library(parts: &[&str]) -> Option<usize> {
    let root = parts.iter().position(|part| *part == "rustc" || *part == "rust")?;
    match parts.get(root + 2) {
        Some(&"library") => Some(root + 2),
        Some(_) if parts[root + 1] == "deps" => Some(root + 2),
        _ => {
            parts.windows(3).position(|three| three == ["rust", "library", "std"]).map(|at| at + 1)
        }
    }
}

fn in_workspace(parts: &[&str]) -> Option<usize> {
    parts.windows(3).rposition(|three| {
        three[0] == "crates" && !three[1].is_empty() && PACKAGE_DIRECTORIES.contains(&three[2])
    })
}

/// The parts as a path again, with `directory/..` resolved.
fn joined(parts: &[&str]) -> String {
    let mut kept: Vec<&str> = Vec::with_capacity(parts.len());
    for part in parts {
        match *part {
            "." | "" => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_openssl_start_at_its_source_root() {
        for (found, wanted) in [
            ("crypto/comp/c_zlib.c", "crypto/comp/c_zlib.c"),
            ("../crypto/x509/x509_lu.c", "crypto/x509/x509_lu.c"),
            ("./../../ssl/ssl_lib.c", "ssl/ssl_lib.c"),
            ("/b/openssl/2c3f/build/src/crypto/x.c", "crypto/x.c"),
            ("/home/ssl/openssl-3.5.5/providers/x.c", "providers/x.c"),
            ("/home/ssl/work/crypto/x.c", "ssl/work/crypto/x.c"),
            ("/b/crypto/openssl-3.5.5/include/openssl/err.h", "include/openssl/err.h"),
            ("C:\\b\\openssl-3\\crypto\\mem.c", "crypto/mem.c"),
            ("..\\crypto\\mem.c", "crypto/mem.c"),
            ("apps/s_server.c", "apps/s_server.c"),
            ("elsewhere.c", "elsewhere.c"),
            ("", ""),
        ] {
            assert_eq!(of_openssl(found), wanted, "{found}");
        }
    }

    #[test]
    fn paths_of_debug_information_lose_the_machine_they_were_built_on() {
        for (found, wanted) in [
            ("/c/registry/src/index.crates.io-1/tokio-1.2.3/src/x.rs", "tokio-1.2.3/src/x.rs"),
            ("/c/registry/src/i-1/openssl-0.10.1/src/ssl/x.rs", "openssl-0.10.1/src/ssl/x.rs"),
            (
                "/c/registry/src/i-1/libz-sys-1.1.3/src/zlib/deflate.c",
                "libz-sys-1.1.3/src/zlib/deflate.c",
            ),
            ("/rustc/0a1b/library/std/src/x.rs", "library/std/src/x.rs"),
            ("/rustc/0a1b/library/core/src/ops/../x.rs", "library/core/src/x.rs"),
            ("/rust/deps/hashbrown-0.15.2/src/raw.rs", "hashbrown-0.15.2/src/raw.rs"),
            ("/usr/lib/rust/library/std/src/rt.rs", "library/std/src/rt.rs"),
            ("/s/tlsheap/crates/echo-server/src/server.rs", "crates/echo-server/src/server.rs"),
            ("/s/tlsheap/crates/profile/tests/x.rs", "crates/profile/tests/x.rs"),
            ("/t/openssl-sys-1/out/openssl-build/build/src/ssl/ssl_lib.c", "ssl/ssl_lib.c"),
            ("/build/openssl-3.0.19/build_shared/../crypto/mem.c", "crypto/mem.c"),
            ("./nptl/pthread_create.c", "./nptl/pthread_create.c"),
            ("/home/me/ssl/main.c", "/home/me/ssl/main.c"),
            ("/home/me/rust", "/home/me/rust"),
        ] {
            assert_eq!(of_debug_information(found), wanted, "{found}");
        }
    }
}
