//! Unwind tables that nobody got ready before the recorder was prepared with them.

mod openssl;

use openssl::{free, malloc_at, read};
use recorder::{Heap, InstallError, MemoryFunctions, Options, StackSource};

#[test]
fn unwind_tables_are_made_ready_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // On purpose not `StackSource::best`.
    let options = Options::in_folder(folder.path(), StackSource::UnwindTables);
    // SAFETY: the heap is libc's.
    let prepared = unsafe { recorder::install(options.clone(), Heap::libc(), None) };
    if StackSource::best() != StackSource::UnwindTables {
        assert!(matches!(prepared, Err(InstallError::NoUnwindTables)), "{prepared:?}");
        let instead = Options::in_folder(folder.path(), StackSource::best());
        // SAFETY: as above.
        unsafe { recorder::install(instead, Heap::libc(), None) }.expect("there is none yet");
        return;
    }
    prepared.expect("first in this process");
    // SAFETY: the functions are a stand-in's, which keeps OpenSSL's contract.
    unsafe {
        let added = recorder::add_openssl(Some(openssl::get), MemoryFunctions::default());
        added.expect("the first").put_into(openssl::set).expect("it has not allocated");
    }
    free(malloc_at(c"first.c", 1, 16));
    let mut files = std::fs::read_dir(folder.path()).expect("the folder");
    let ledger = files.next().expect("a ledger").expect("an entry").path();
    let snapshot = read(&ledger);
    let [site] = &snapshot.sites[..] else { panic!("one site: {:?}", snapshot.sites) };
    assert!(site.stack.len() > 5 && !site.truncated, "{site:#x?}");
}
