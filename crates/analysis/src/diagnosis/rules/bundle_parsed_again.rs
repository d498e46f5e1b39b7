//! The same trusted certificates were read again and again, and each copy is kept.

use crate::diagnosis::bundles::{Bundle, bundles};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "bundle-parsed-again",
    look,
    trade_off: "A shared store must not be changed for one connection alone: all of them see it.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_cert_store/",
    part_of: None,
};

/// Two copies are a library's default store and the program's own.
const LEAST_COPIES: i64 = 3;

/// Fewer certificates are no bundle, but what each context has of its own.
const BUNDLE: i64 = 10;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let again: Vec<Bundle> =
        bundles(unclaimed).into_iter().filter(|it| it.copies >= LEAST_COPIES).collect();
    let contexts = unclaimed.case.live(Object::SslCtx);
    let (few, mut bundles): (Vec<Bundle>, Vec<Bundle>) =
        again.into_iter().partition(|it| it.certificates < BUNDLE && contexts * 2 >= it.copies);
    unclaimed.put_aside(few.into_iter().flat_map(|bundle| bundle.places));
    if bundles.is_empty() {
        return None;
    }
    let bundle = bundles.remove(0);
    let case = unclaimed.case;
    let (copies, certificates) = (bundle.copies, bundle.certificates);
    let bytes = unclaimed.amount_at(&bundle.places).bytes;
    let title = match certificates {
        1 => format!("the same certificate is in memory {copies} times"),
        _ => format!("the same {certificates} certificates are in memory {copies} times"),
    };
    let finding = Finding::claiming(&RULE, case, title, bundle.places)
        // One copy is needed.
        .saving(bytes - bytes / copies)
        .fact("copies", copies as f64)
        .fact("certificates in each", certificates as f64)
        .fact("bytes of one copy", (bytes / copies) as f64)
        .fact("X509_STORE", case.live(Object::X509Store) as f64);
    let with_connections = case.of_each(copies).is_some_and(|each| (0.5..=2.0).contains(&each));
    Some(if with_connections { finding.for_each_connection(case) } else { finding })
}
