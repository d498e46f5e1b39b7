//! What both rules of contexts ask of them.

use crate::diagnosis::holding::Holding;
use crate::diagnosis::reading::Reading;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

/// Functions that read the configuration of servers that are known.
const CONFIGURATION: [&str; 8] = [
    "PostmasterMain",
    "be_tls_init",
    "cfg_parse*",
    "check_config_validity",
    "hlua_post_init",
    "ngx_conf_parse",
    "ngx_init_cycle",
    "readcfgfile",
];

/// Functions that read a private key from a file.
pub(super) const KEYS: [&str; 5] = [
    "OSSL_DECODER_from_bio",
    "OSSL_STORE_load",
    "PEM_read_PrivateKey*",
    "PEM_read_bio_PrivateKey*",
    "SSL_CTX_use_PrivateKey_file",
];

/// Whether most contexts come from a configuration: there were so many before the first connection.
///
/// A baseline that no connection followed is some moment, and says nothing of that; nor does a late
/// one, where most of them came while somebody looked.
pub(super) fn are_configured(unclaimed: &Unclaimed<'_>) -> bool {
    let case = unclaimed.case;
    let contexts = case.live(Object::SslCtx);
    let grown = case.series.growth_of(Object::SslCtx).map_or(0, |growth| growth.grown);
    let is_before_connections =
        !case.by_steps && case.ever_made(Object::Ssl) > 0 && grown * 2 <= contexts;
    let before = case.objects_before.as_ref().filter(|_| is_before_connections);
    let before = before.map(|before| before.live(Object::SslCtx).count);
    let read = unclaimed.count(Object::SslCtx, |held| held.passes_function(&CONFIGURATION));
    before.unwrap_or_default() * 2 > contexts || read * 2 > contexts
}

/// Whether most contexts may have keys of their own, as those of a server have that serves many
/// names.
pub(super) fn have_keys(unclaimed: &Unclaimed<'_>) -> bool {
    let contexts = unclaimed.case.live(Object::SslCtx);
    let keys = unclaimed.count(Object::EvpPkey, |held| held.passes_function(&KEYS));
    keys * 2 >= contexts
}

/// What was made with contexts or set on them, and the few certificates that each has of its own;
/// what they trust, and the sessions in their caches, are another matter.
pub(super) fn places(unclaimed: &Unclaimed<'_>) -> Vec<usize> {
    let case = unclaimed.case;
    let [live, made] = [case.live(Object::SslCtx), case.ever_made(Object::SslCtx)];
    let is_wanted = |held: &Holding| is_of_context(held) && held.may_be_of_each(live, made);
    let mut places = unclaimed.pick(is_wanted);
    let aside = unclaimed.set_aside().iter();
    places.extend(aside.filter(|at| unclaimed.is_free(**at)));
    places.sort_unstable();
    places.dedup();
    places
}

fn is_of_context(held: &Holding) -> bool {
    const SESSIONS: [&str; 3] =
        ["SSL_CTX_add_session", "SSL_CTX_flush_sessions*", "SSL_CTX_remove_session"];
    held.passes_function(&["SSL_CTX_*"])
        && !matches!(held.reading, Some(Reading::Program { .. } | Reading::Peer))
        && !held.passes_function(&SESSIONS)
}
