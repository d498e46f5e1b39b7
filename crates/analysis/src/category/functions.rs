//! What memory is for, judged by a caller's name alone: for libraries without debug information,
//! whose functions have no source files.

use std::collections::HashMap;
use std::sync::LazyLock;

use contract::Domain;

use super::table::{Category, by_name, rows};
use crate::domain_tables;
use crate::short_name::c_name;

/// Beginnings of names and their categories.
type Beginnings = HashMap<&'static str, &'static Category>;

/// The beginnings of each domain that has any.
static BEGINNINGS: LazyLock<HashMap<Domain, Beginnings>> = LazyLock::new(|| {
    let of_domain = |domain| (domain, beginnings(domain_tables::of(domain).functions));
    Domain::ALL.into_iter().map(of_domain).filter(|(_, all)| !all.is_empty()).collect()
});

fn beginnings(table: &'static str) -> Beginnings {
    rows(table)
        .map(|[beginning, name, _, _]| {
            let category = by_name(name);
            (beginning, category.expect("a test holds that the table names categories"))
        })
        .collect()
}

/// The category of a function of that domain whose file is not known; `None` when its name is not
/// one of the domain's own.
pub(super) fn of_function_in(domain: Domain, function: &str) -> Option<&'static Category> {
    let beginnings = BEGINNINGS.get(&domain)?;
    let name = c_name(function).split('@').next().unwrap_or_default();
    // From the longest beginning down, the first that is listed wins.
    (1..=name.len()).rev().find_map(|end| beginnings.get(name.get(..end)?).copied())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_names_a_category_and_none_stands_twice() {
        for domain in Domain::ALL {
            let mut seen = HashSet::new();
            for [beginning, name, _, _] in rows(domain_tables::of(domain).functions) {
                assert!(by_name(name).is_some(), "{beginning} names {name:?}");
                assert!(seen.insert(beginning), "{beginning} is listed twice");
            }
        }
    }

    #[test]
    fn the_longest_beginning_wins() {
        let name =
            |function| of_function_in(Domain::Openssl, function).map(|category| category.name);
        assert_eq!(name("X509_STORE_add_cert"), Some("x509.store"));
        assert_eq!(name("X509_NAME_ENTRY_new@@OPENSSL_3.0.0"), Some("x509"));
        assert_eq!(name("OPENSSL_sk_push.part.0"), Some("containers.stack"));
        assert_eq!(name("SSL_CTX_new"), Some("tls.context"));
        assert_eq!(name("SSL_new"), Some("tls.connection"));
        assert_eq!(name("ngx_ssl_create_connection"), None);
        assert_eq!(name("openssl::ssl::SslContextBuilder::new"), None);
        assert_eq!(name(""), None);
    }
}
