//! Whether SSL objects can be recognised in a process: by the file that allocates them and their
//! size, or by the name of the function that asks for them.

use ledger::Snapshot;
use profile::{Frame, Symbols, from_ledger};

/// Before so many allocations nothing is said.
const ENOUGH: u64 = 200;

/// Sites that are looked at.
const SITES: usize = 48;

/// How names of the library's functions begin, some of which every program has on a stack.
const NAMES: [&str; 9] =
    ["ASN1_", "BIO_", "CONF_", "CRYPTO_", "ERR_", "EVP_", "OPENSSL_", "SSL_", "X509_"];

/// Whether SSL objects would be recognised in the process, if it had any; `None` where it has not
/// asked for enough memory yet. They would not where its OpenSSL was built without the names of its
/// files, and no function of it has a name, as in a stripped program that it is linked into.
pub fn has_recognisable_objects(snapshot: &Snapshot, symbols: &mut Symbols) -> Option<bool> {
    if snapshot.totals().alloc_blocks < ENOUGH {
        return None;
    }
    if snapshot.sites.iter().any(|site| site.file.as_deref().is_some_and(|it| !it.is_empty())) {
        return Some(true);
    }
    let sites = snapshot.sites.iter().take(SITES).cloned().collect();
    let part = Snapshot {
        sites,
        modules: snapshot.modules.clone(),
        started_nanos: snapshot.started_nanos,
        ..Snapshot::default()
    };
    let profile = from_ledger(&part, symbols);
    let is_named = |frame: Frame<'_>| NAMES.iter().any(|name| frame.function.starts_with(name));
    Some(profile.samples().iter().any(|sample| profile.frames(sample).any(is_named)))
}

#[cfg(test)]
mod tests {
    use ledger::{Counts, Site};

    use super::*;

    fn process(blocks: u64, file: Option<&str>) -> Snapshot {
        let counts = Counts { alloc_blocks: blocks, ..Counts::default() };
        // No module has the address.
        let site = Site { file: file.map(Into::into), stack: vec![16], counts, ..Site::default() };
        Snapshot { sites: vec![site], ..Snapshot::default() }
    }

    fn told(snapshot: &Snapshot) -> Option<bool> {
        has_recognisable_objects(snapshot, &mut Symbols::new())
    }

    #[test]
    fn with_names_of_files_objects_are_recognised_and_without_any_name_they_are_not() {
        assert_eq!(told(&process(1_000, Some("ssl/ssl_lib.c"))), Some(true));
        assert_eq!(told(&process(1_000, Some(""))), Some(false));
        assert_eq!(told(&process(1_000, None)), Some(false));
        assert_eq!(told(&process(10, None)), None);
    }
}
