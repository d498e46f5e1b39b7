//! What kind of program it is, told by the code on a finding's stacks: who can apply a remedy.

use std::collections::BTreeSet;

/// Who can apply a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// The crate `openssl`.
    Rust,
    /// PHP, whose requests go through libcurl.
    Php,
    /// A program that calls libcurl, in any language.
    Libcurl,
    /// Python's `ssl`, and what is built on it: requests, httpx, aiohttp.
    Python,
    /// pyOpenSSL, which Twisted uses.
    PyOpenssl,
    /// Ruby's `openssl`.
    Ruby,
    /// Node.js.
    Node,
    /// Tomcat Native and Netty's fork of it, for programs in Java.
    Tcnative,
    /// PostgreSQL.
    Postgres,
    /// Apache's httpd.
    Apache,
    /// Redis, and Valkey.
    Redis,
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// A program that calls OpenSSL itself.
    C,
    /// Whoever can change `openssl.cnf`.
    OpensslCnf,
}

impl Ecosystem {
    /// Each of them, in the order in which their remedies are told.
    pub const ALL: [Ecosystem; 15] = [
        Ecosystem::Rust,
        Ecosystem::Php,
        Ecosystem::Libcurl,
        Ecosystem::Python,
        Ecosystem::PyOpenssl,
        Ecosystem::Ruby,
        Ecosystem::Node,
        Ecosystem::Tcnative,
        Ecosystem::Postgres,
        Ecosystem::Apache,
        Ecosystem::Redis,
        Ecosystem::Nginx,
        Ecosystem::Haproxy,
        Ecosystem::C,
        Ecosystem::OpensslCnf,
    ];

    /// The name in output.
    pub fn name(self) -> &'static str {
        match self {
            Ecosystem::Rust => "Rust (openssl)",
            Ecosystem::Php => "PHP",
            Ecosystem::Libcurl => "libcurl",
            Ecosystem::Python => "Python",
            Ecosystem::PyOpenssl => "pyOpenSSL",
            Ecosystem::Ruby => "Ruby",
            Ecosystem::Node => "Node",
            Ecosystem::Tcnative => "Tomcat Native",
            Ecosystem::Postgres => "PostgreSQL",
            Ecosystem::Apache => "Apache",
            Ecosystem::Redis => "Redis",
            Ecosystem::Nginx => "nginx",
            Ecosystem::Haproxy => "HAProxy",
            Ecosystem::C => "C",
            Ecosystem::OpensslCnf => "openssl.cnf",
        }
    }

    /// How the names of files begin that its code lies in.
    fn files(self) -> &'static [&'static str] {
        match self {
            Ecosystem::Php => &["php", "libphp"],
            Ecosystem::Libcurl => &["libcurl", "curl"],
            Ecosystem::Python => &["_ssl.", "python", "libpython"],
            Ecosystem::PyOpenssl => &["_openssl.", "_rust."],
            Ecosystem::Ruby => &["libruby", "ruby"],
            Ecosystem::Node => &["node", "libnode"],
            Ecosystem::Tcnative => &["libtcnative", "libnetty_tcnative"],
            Ecosystem::Postgres => &["postgres"],
            Ecosystem::Apache => &["apache2", "httpd", "mod_ssl."],
            Ecosystem::Redis => &["redis-", "valkey-"],
            Ecosystem::Nginx => &["nginx"],
            Ecosystem::Haproxy => &["haproxy"],
            Ecosystem::Rust | Ecosystem::C | Ecosystem::OpensslCnf => &[],
        }
    }

    /// How the names of its functions begin.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Ecosystem::Rust => &["openssl::", "<openssl::"],
            Ecosystem::Python => &["_ssl__"],
            Ecosystem::PyOpenssl => &["_cffi_f_"],
            Ecosystem::Node => &["node::"],
            Ecosystem::Nginx => &["ngx_"],
            _ => &[],
        }
    }
}

/// What the program is, by the files and functions on the stacks of a finding, and by its
/// executable where these say nothing. A program that calls OpenSSL itself, if nothing is known.
pub fn ecosystems<'a>(
    files: &BTreeSet<&'a str>,
    functions: &BTreeSet<&'a str>,
    program: Option<&str>,
) -> Vec<Ecosystem> {
    let begins = |names: &BTreeSet<&str>, with: &[&str]| {
        names.iter().any(|name| with.iter().any(|beginning| name.starts_with(beginning)))
    };
    let on_stacks =
        |one: &Ecosystem| begins(files, one.files()) || begins(functions, one.functions());
    let found: Vec<Ecosystem> = Ecosystem::ALL.into_iter().filter(on_stacks).collect();
    if !found.is_empty() {
        // An extension of an interpreter's says more than the interpreter that carries it.
        let bound = |one| found.contains(&one);
        let is_ruled_out = |one: &Ecosystem| {
            *one == Ecosystem::Python && bound(Ecosystem::PyOpenssl) && !begins(files, &["_ssl."])
        };
        return found.iter().copied().filter(|one| !is_ruled_out(one)).collect();
    }
    let program = program.map(|path| path.rsplit('/').next().unwrap_or(path));
    let of_program: BTreeSet<&str> = program.into_iter().collect();
    let is_program = |one: &Ecosystem| begins(&of_program, one.files());
    let found: Vec<Ecosystem> = Ecosystem::ALL.into_iter().filter(is_program).collect();
    if found.is_empty() { vec![Ecosystem::C] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str], functions: &[&str], program: Option<&str>) -> Vec<Ecosystem> {
        let [files, functions] = [files, functions].map(|names| names.iter().copied().collect());
        ecosystems(&files, &functions, program)
    }

    #[test]
    fn the_code_on_the_stacks_says_who_can_do_something() {
        let ssl = "_ssl.cpython-311-x86_64-linux-gnu.so";
        for (files, functions, program, expected) in [
            (&["libssl.so.3", "server"][..], &["main"][..], Some("/usr/bin/server"), Ecosystem::C),
            (&[], &["openssl::ssl::SslContextBuilder::new"], None, Ecosystem::Rust),
            (&[ssl, "python3.11"], &[], Some("/usr/bin/python3.11"), Ecosystem::Python),
            (&["libruby-3.1.so.3.1"], &[], Some("/usr/bin/ruby3.1"), Ecosystem::Ruby),
            (&["libssl.so.3"], &[], Some("/usr/sbin/apache2"), Ecosystem::Apache),
            (&[], &["node::crypto::SecureContext::Init()"], None, Ecosystem::Node),
        ] {
            assert_eq!(of(files, functions, program), [expected], "{files:?}");
        }
    }

    #[test]
    fn a_library_that_a_language_calls_is_told_beside_it() {
        let php = of(&["libcurl.so.4", "php8.2"], &[], Some("/usr/bin/php8.2"));
        assert_eq!(php, [Ecosystem::Php, Ecosystem::Libcurl]);
        let twisted = of(&["_rust.abi3.so", "python3.11"], &["_cffi_f_SSL_new"], None);
        assert_eq!(twisted, [Ecosystem::PyOpenssl]);
    }

    #[test]
    fn each_has_its_own_name() {
        let names: BTreeSet<&str> = Ecosystem::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Ecosystem::ALL.len());
    }
}
