//! Lists of revoked certificates are read again and again, and the old ones are kept.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::repeats::Repeats;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::group::Call;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "crls-kept",
    look,
    trade_off: "Whoever makes a new store reads the certificates in it again, once for each list.",
    link: "https://docs.openssl.org/master/man3/X509_LOOKUP_hash_dir/",
    part_of: None,
};

/// Functions that read lists, and that put them into stores.
const READERS: [&str; 7] = [
    "PEM_read_X509_CRL",
    "PEM_read_bio_X509_CRL",
    "X509_CRL_*",
    "X509_STORE_add_crl",
    "X509_load_crl_file",
    "d2i_X509_CRL",
    "d2i_X509_CRL_*",
];

/// Where a store looks for lists while a certificate is verified.
const LOOKED_UP: [&str; 3] =
    ["X509_STORE_CTX_get1_crls", "X509_STORE_CTX_get_by_subject", "get_cert_by_subject*"];

/// So many of a directory that is looked up are more than the current ones.
const MANY: i64 = 8;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let lists = unclaimed.count(Object::X509Crl, |_| true);
    if lists < 2 {
        return None;
    }
    let case = unclaimed.case;
    let structs = unclaimed.pick(|held| held.object == Some(Object::X509Crl));
    // Readers end in tail calls: what is left of them has read nothing but lists if it was called
    // where lists were.
    let paths: Vec<&[Call]> =
        structs.iter().filter_map(|at| outside_of_reader(&case.holdings[*at])).collect();
    let made = case.ever_made(Object::X509Crl);
    let is_of_list = |held: &Holding| {
        let is_read = held.passes_function(&READERS)
            || held.object == Some(Object::X509Crl)
            || outside_of_reader(held).is_some_and(|path| paths.contains(&path));
        is_read && held.may_be_of_each(lists, made)
    };
    let places = unclaimed.pick(is_of_list);
    let grows = case.series.growth_of(Object::X509Crl);
    let looked_up = |at: &usize| case.holdings[*at].passes_function(&LOOKED_UP);
    let of_directory = structs.iter().any(looked_up);
    // Lists of different authorities have different lengths; the same list has the same each time.
    if grows.is_none() && !(of_directory && lists >= MANY) && !are_the_same(unclaimed, &places) {
        return None;
    }
    let bytes = unclaimed.amount_at(&places).bytes;
    let what = if of_directory { " of a directory that is looked up" } else { "" };
    let title = format!("{lists} X509_CRL{what} are in memory");
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes - bytes / lists)
        .fact("X509_CRL", lists as f64)
        .fact("X509_CRL ever made", made as f64)
        .fact("bytes of each", (bytes / lists) as f64);
    if let Some(growth) = grows {
        finding = finding.fact("X509_CRL more than at first", growth.grown as f64);
    }
    Some(finding)
}

/// The calls around what is left of a reader, outwards.
fn outside_of_reader(held: &Holding) -> Option<&[Call]> {
    let reader = held.first_of(&["PEM_ASN1_read*", "ASN1_item_d2i_bio", "ASN1_item_d2i_fp"])?;
    Some(&held.calls[reader + 1..])
}

/// Whether the same list was read each time.
fn are_the_same(unclaimed: &Unclaimed<'_>, places: &[usize]) -> bool {
    let mut repeats = Repeats::default();
    for at in places {
        let held = &unclaimed.case.holdings[*at];
        repeats.add(*at, held.made_blocks, held.all_bytes);
    }
    let made = unclaimed.case.ever_made(Object::X509Crl);
    repeats.are_multiples_of(made.max(1))
}
