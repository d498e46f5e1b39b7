//! A library to preload into a program: counts all that it asks malloc for, and holds one stack in
//! so many against the compiler's unwinder. At the program's end it writes how they compare, as
//! JSON, into the folder that the environment names; without one it does nothing.

use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bench::oracle;
use recorder::{Heap, MallocFamily, Options, StackSource, is_at_own_work, own_work};

/// Names the folder, where the ledger goes as well.
const FOLDER: &str = "TLSHEAP_ORACLE_FOLDER";
/// Of so many allocations one is judged.
const EACH: &str = "TLSHEAP_ORACLE_EACH";

// The C library's own, past everybody's stand-ins.
unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(number: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = tell;

static FOLDER_TOLD: OnceLock<String> = OnceLock::new();
static EACH_TOLD: AtomicU64 = AtomicU64::new(1);
/// What is asked for is counted and judged from here on.
static COUNTS: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Without a judge the program runs on, and the test that preloads it finds no verdict.
extern "C" fn construct() {
    let _ = std::panic::catch_unwind(|| {
        let Ok(folder) = std::env::var(FOLDER) else { return };
        let each = std::env::var(EACH).ok().and_then(|each| each.parse().ok()).unwrap_or(1);
        EACH_TOLD.store(each, Ordering::Relaxed);
        own_work(|| {
            let options = Options::in_folder(&folder, StackSource::best());
            let real = MallocFamily {
                malloc: __libc_malloc,
                calloc: __libc_calloc,
                realloc: __libc_realloc,
                free: __libc_free,
                posix_memalign: real_posix_memalign,
                aligned_alloc: __libc_memalign,
                memalign: __libc_memalign,
                // Nobody has a stand-in for these two.
                valloc: __libc_malloc,
                pvalloc: __libc_malloc,
            };
            // SAFETY: the C library's functions, which are never unloaded; no OpenSSL is there.
            let installed = unsafe { recorder::install(options, Heap::libc(), None) };
            if installed.is_ok() && FOLDER_TOLD.set(folder).is_ok() {
                // SAFETY: as above; what counts is called after this.
                unsafe { recorder::know_family(real) };
                recorder::count_family();
                COUNTS.store(true, Ordering::Release);
            }
        });
    });
}

/// Whole or not at all.
extern "C" fn tell() {
    let Some(folder) = FOLDER_TOLD.get().map(Path::new) else { return };
    own_work(|| {
        let verdict = oracle::ledger_in(folder).and_then(|ledger| oracle::verdict(&ledger).ok());
        let json = verdict.and_then(|verdict| serde_json::to_vec(&verdict).ok());
        if let Some(json) = json {
            let (new, whole) = (folder.join("verdict.new"), folder.join("verdict.json"));
            // Who looks for the verdict will miss it.
            let _ = std::fs::write(&new, json).and_then(|()| std::fs::rename(new, whole));
        }
    });
}

/// Gives a block by the function that counts, and judges it; without counting, by the other one.
/// Inlined, so that the recorded stack begins in the caller of this.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the judge's function is to be the recorder's caller")]
fn judged(
    frames_of: &AtomicUsize,
    counted: impl FnOnce(&MallocFamily) -> *mut c_void,
    real: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    if !COUNTS.load(Ordering::Acquire) || is_at_own_work() {
        return real();
    }
    let block = counted(&recorder::counted());
    if ASKED.fetch_add(1, Ordering::Relaxed).is_multiple_of(EACH_TOLD.load(Ordering::Relaxed)) {
        oracle::judge_one(block, frames_of);
    }
    block
}

/// The functions, each with the place for its frames.
macro_rules! stand_ins {
    ($($name:ident($($argument:ident: $type:ty),*), or $real:ident;)*) => {$(
        /// # Safety
        ///
        /// As the C library's.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> *mut c_void {
            static FRAMES: AtomicUsize = AtomicUsize::new(0);
            judged(
                &FRAMES,
                // SAFETY: the caller's call, passed on.
                |family| unsafe { (family.$name)($($argument),*) },
                // SAFETY: as above.
                || unsafe { $real($($argument),*) },
            )
        }
    )*};
}

stand_ins! {
    malloc(size: usize), or __libc_malloc;
    calloc(number: usize, size: usize), or __libc_calloc;
    realloc(block: *mut c_void, size: usize), or __libc_realloc;
    memalign(alignment: usize, size: usize), or __libc_memalign;
    aligned_alloc(alignment: usize, size: usize), or __libc_memalign;
}

/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    static FRAMES: AtomicUsize = AtomicUsize::new(0);
    let block = judged(
        &FRAMES,
        |family| {
            // SAFETY: the caller's call, passed on; where it succeeds there is a block.
            unsafe {
                match (family.posix_memalign)(place, alignment, size) {
                    0 => *place,
                    _ => std::ptr::null_mut(),
                }
            }
        },
        // SAFETY: the caller's call, passed on.
        || unsafe { __libc_memalign(alignment, size) },
    );
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's place for the block.
    unsafe { *place = block };
    0
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn real_posix_memalign(
    place: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { __libc_memalign(alignment, size) };
    if block.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller's place for the block.
    unsafe { *place = block };
    0
}

/// Asks malloc under the thread's own lock, where the recorder must not ask for the attributes in
/// its turn: it does so before.
///
/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_getattr_np(
    thread: libc::pthread_t,
    attributes: *mut libc::pthread_attr_t,
) -> c_int {
    type Real = unsafe extern "C" fn(libc::pthread_t, *mut libc::pthread_attr_t) -> c_int;
    let ready = recorder::prepare_thread();
    // SAFETY: a C string; the answer is NULL or the C library's function, which has this type.
    let real: Option<Real> = own_work(|| unsafe {
        std::mem::transmute(libc::dlsym(libc::RTLD_NEXT, c"pthread_getattr_np".as_ptr()))
    });
    // SAFETY: the caller's call, passed on.
    let ask = || real.map_or(libc::ENOSYS, |real| unsafe { real(thread, attributes) });
    if ready { ask() } else { own_work(ask) }
}

/// # Safety
///
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(block: *mut c_void) {
    if COUNTS.load(Ordering::Acquire) {
        // SAFETY: the caller's call, passed on.
        unsafe { (recorder::counted().free)(block) };
    } else {
        // SAFETY: as above.
        unsafe { __libc_free(block) };
    }
}
