//! Allocators that are linked into an object under names of their own, where the whole process is
//! recorded: a Rust program's jemalloc is `_rjem_malloc`, which nothing leads here.
//!
//! A jemalloc is asked through its `mallctl` to call hooks of ours. Those are an interface that it
//! calls experimental, and that has been the same from 5.1 to 5.3.1 but for a number: so it is tried
//! with blocks of known sizes first, and what answers otherwise than it should is not recorded. No
//! code is written over. Of others, and of those that refuse, it is said that their blocks are in
//! no figure; what they map is, as mappings.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr::{from_mut, from_ref, null_mut};

use finder::{Allocator, Elf, Jemalloc};
use recorder::{JemallocHooks, address_of, function_at, jemalloc_hooks, leave_mappings_of};

use crate::exclusive::Exclusive;
use crate::mapped_file::MappedFile;
use crate::object::{self, Object};
use crate::{malloc_family, python, scan};

/// The objects that were looked at, by their program headers and paths; none as long as the malloc
/// family is not counted.
static SEEN: Exclusive<Vec<(usize, PathBuf)>> = Exclusive::none();

/// Counts what the allocators give that are loaded, and those that come later.
pub(crate) fn begin() {
    SEEN.with(|seen| *seen = Some(Vec::new()));
    reach(&object::loaded().0);
}

/// Looks at the objects that were not looked at before. They stay loaded meanwhile.
pub(crate) fn reach(objects: &[Object]) {
    let mut new = Vec::new();
    SEEN.with(|seen| {
        let Some(seen) = seen else { return };
        let key = |object: &Object| (object.headers, object.path.clone());
        seen.retain(|known| objects.iter().any(|object| key(object) == *known));
        for object in objects.iter().filter(|object| !object.is_own()) {
            if !seen.contains(&key(object)) {
                seen.push(key(object));
                new.push(object);
            }
        }
    });
    // Nothing of ours is held: an allocator that begins may look a name up in another thread.
    for sentence in new.into_iter().flat_map(look_into) {
        scan::with_report(|report| report.problem(sentence));
    }
}

/// Counts what the allocators of this object give, or says in sentences what is not counted.
fn look_into(object: &Object) -> Vec<String> {
    look_for(object, |jemalloc, name| {
        let why = count(object, jemalloc).err()?;
        Some(format!("what the jemalloc in {name} gives is not counted, only what it maps: {why}"))
    })
}

/// Says what is not counted in a process that was attached to: another thread may be in its jemalloc,
/// with locks that hooks would have to wait for.
pub(crate) fn unseen_of(objects: &[Object]) -> Vec<String> {
    let of_jemalloc = |_: &Jemalloc, name: &str| {
        Some(format!(
            "what the jemalloc in {name} gives is not counted, only what it maps: start the program \
             by `tlsheap record --heap` to have it"
        ))
    };
    objects.iter().flat_map(|object| look_for(object, of_jemalloc)).collect()
}

fn look_for(object: &Object, jemallocs: impl Fn(&Jemalloc, &str) -> Option<String>) -> Vec<String> {
    // What everybody calls malloc is counted where it is called.
    if malloc_family::real().is_some_and(|it| object.holds(address_of(it.malloc) as usize, 1)) {
        return Vec::new();
    }
    let Some(file) = MappedFile::open(&object.path) else { return Vec::new() };
    let Ok(elf) = Elf::parse(file.bytes()) else { return Vec::new() };
    let said = finder::allocators(&elf).into_iter().filter_map(|allocator| match allocator {
        Allocator::Jemalloc(jemalloc) => jemallocs(&jemalloc, &object.name()),
        Allocator::Nameless => Some(format!(
            "what the jemalloc in {} gives is not counted, only what it maps: the program's table of \
             symbols was taken out, by which it is found; a build that keeps it is counted",
            object.name()
        )),
        Allocator::Other { is_spare: true, .. } if !python::may_ask_mimalloc() => None,
        Allocator::Other { name, .. } => Some(format!(
            "what the {name} in {} gives is not counted, only what it maps: it tells nobody of its \
             blocks; a build of the program without it, or with it as a shared library in place of \
             malloc, is counted",
            object.name()
        )),
        _ => None,
    });
    said.collect()
}

/// jemalloc's `mallctl`.
type Mallctl = unsafe extern "C" fn(
    *const c_char,
    old: *mut c_void,
    old_bytes: *mut usize,
    new: *mut c_void,
    new_bytes: usize,
) -> c_int;
type Mallocx = unsafe extern "C" fn(usize, c_int) -> *mut c_void;
type Sdallocx = unsafe extern "C" fn(*mut c_void, usize, c_int);
type Dallocx = unsafe extern "C" fn(*mut c_void, c_int);

const INSTALL: &CStr = c"experimental.hooks.install";
const REMOVE: &CStr = c"experimental.hooks.remove";

/// The functions of one in memory.
#[derive(Clone, Copy)]
struct Loaded {
    mallctl: Mallctl,
    mallocx: Mallocx,
    give_back: GiveBack,
}

/// Linkers leave out which of the two a program does not call.
#[derive(Clone, Copy)]
enum GiveBack {
    Sized(Sdallocx),
    Plain(Dallocx),
}

/// Has the jemalloc call the functions that count.
fn count(object: &Object, jemalloc: &Jemalloc) -> Result<(), &'static str> {
    let loaded = loaded(object, jemalloc)?;
    // Before it is asked for anything, which may have it map its first memory: its blocks, once they
    // are counted, lie in what it maps.
    let place = |at: u64| object.base.wrapping_add(at as usize);
    let pages = jemalloc.pages.iter().map(|it| place(it.start)..place(it.end)).collect();
    let mappings = leave_mappings_of(pages);
    let hooks = number_of_mallocx(loaded)
        .and_then(|mallocx| jemalloc_hooks(mallocx).ok_or(OTHERWISE))
        .and_then(|hooks| install(loaded, hooks));
    if hooks.is_err() {
        mappings.end();
    }
    hooks.map(drop)
}

/// Bytes of each function that must be the same in the file and in memory.
const COMPARED: usize = 16;

fn loaded(object: &Object, jemalloc: &Jemalloc) -> Result<Loaded, &'static str> {
    let file = MappedFile::open(&object.path).ok_or(CHANGED)?;
    let elf = Elf::parse(file.bytes()).map_err(|_| CHANGED)?;
    let place = |at: u64| {
        let place = object.base.wrapping_add(at as usize);
        let code = object.code(place, COMPARED);
        if code.is_some() && code.as_deref() == elf.at(at, COMPARED) {
            Ok(place)
        } else {
            Err(CHANGED)
        }
    };
    let Jemalloc { mallctl, mallocx, sdallocx, dallocx, .. } = *jemalloc;
    let (Some(mallctl), Some(mallocx)) = (mallctl, mallocx) else { return Err(LEFT_OUT) };
    // SAFETY: the addresses of functions of these names in one jemalloc, whose prefix they share;
    // they have these types in every release since 4.0.
    unsafe {
        let give_back = match (sdallocx, dallocx) {
            (Some(sdallocx), _) => function_at(place(sdallocx)?).map(GiveBack::Sized),
            (None, Some(dallocx)) => function_at(place(dallocx)?).map(GiveBack::Plain),
            (None, None) => None,
        };
        Ok(Loaded {
            mallctl: function_at(place(mallctl)?).ok_or(CHANGED)?,
            mallocx: function_at(place(mallocx)?).ok_or(CHANGED)?,
            give_back: give_back.ok_or(LEFT_OUT)?,
        })
    }
}

/// Installs hooks, and returns what they are removed by.
fn install(loaded: Loaded, mut hooks: JemallocHooks) -> Result<*mut c_void, &'static str> {
    let (mut handle, mut bytes): (*mut c_void, _) = (null_mut(), size_of::<*mut c_void>());
    let (new, new_bytes) = (from_mut(&mut hooks).cast(), size_of::<JemallocHooks>());
    // SAFETY: a jemalloc's `mallctl`, with places for what it stores and for what it copies; hooks
    // of another size it refuses.
    let error = unsafe {
        let old = from_mut(&mut handle).cast();
        (loaded.mallctl)(INSTALL.as_ptr(), old, &raw mut bytes, new, new_bytes)
    };
    match error {
        0 => Ok(handle),
        libc::ENOENT => Err("it is older than 5.1, which has hooks for allocations"),
        libc::EAGAIN => Err("the program has hooks in it already, as many as it takes"),
        _ => Err("it refuses hooks"),
    }
}

fn remove(loaded: Loaded, mut handle: *mut c_void) {
    let (new, bytes) = (from_mut(&mut handle).cast(), size_of::<*mut c_void>());
    // SAFETY: as above; the handle is of hooks that were installed. Nothing is to be stored.
    let _ = unsafe { (loaded.mallctl)(REMOVE.as_ptr(), null_mut(), null_mut(), new, bytes) };
}

const CHANGED: &str = "its functions are not in memory what they are in its file";
const LEFT_OUT: &str = "the functions that tell it of hooks were left out of the program";
const OTHERWISE: &str = "its hooks are otherwise than those of the releases from 5.1 to 5.3.1";

/// What a hook was told of the block that is asked for to try it.
struct Tried {
    /// Others may call the hook meanwhile.
    thread: libc::pthread_t,
    told: Cell<Option<(c_int, usize, [usize; 2])>>,
    freed: Cell<usize>,
}

/// The size of that block, and its alignment: the flags of `mallocx` are the logarithm of it.
const SIZE: usize = 1_234;
const FLAGS: c_int = 6;

/// Tries the hooks with one block, which also tells the number of the function that gave it.
fn number_of_mallocx(loaded: Loaded) -> Result<c_int, &'static str> {
    // SAFETY: no argument, no effect.
    let thread = unsafe { libc::pthread_self() };
    // Threads that are on their way through a hook while it is removed may look at it later.
    let tried: &'static Tried =
        Box::leak(Box::new(Tried { thread, told: Cell::new(None), freed: Cell::new(0) }));
    let extra = from_ref(tried).cast_mut().cast();
    let handle = install(loaded, JemallocHooks { alloc, dalloc, expand, extra })?;
    // SAFETY: the two functions of one jemalloc, and a block that it has just given, if it has.
    let block = unsafe { (loaded.mallocx)(SIZE, FLAGS) };
    let told = tried.told.take();
    if !block.is_null() {
        match loaded.give_back {
            // SAFETY: as above; with the size and the flags that it was given with.
            GiveBack::Sized(sdallocx) => unsafe { sdallocx(block, SIZE, FLAGS) },
            // SAFETY: as above.
            GiveBack::Plain(dallocx) => unsafe { dallocx(block, 0) },
        }
    }
    remove(loaded, handle);
    match told {
        Some((number, given, [size, flags]))
            if given == block as usize
                && tried.freed.get() == given
                && (size, flags) == (SIZE, FLAGS as usize) =>
        {
            Ok(number)
        }
        _ => Err(OTHERWISE),
    }
}

/// # Safety
///
/// `extra` is what `number_of_mallocx` has passed, if the hooks are as they should be.
unsafe fn tried<'a>(extra: *mut c_void) -> Option<&'a Tried> {
    // SAFETY: the caller's promise. Cells of it are touched by the thread that it names alone.
    let tried = unsafe { extra.cast::<Tried>().as_ref() }?;
    // SAFETY: no argument, no effect.
    (tried.thread == unsafe { libc::pthread_self() }).then_some(tried)
}

/// # Safety
///
/// Called by jemalloc.
unsafe extern "C" fn alloc(
    extra: *mut c_void,
    number: c_int,
    block: *mut c_void,
    _: usize,
    arguments: *const usize,
) {
    // SAFETY: jemalloc passes on what it was given, and three arguments.
    unsafe {
        if let Some(tried) = tried(extra) {
            tried.told.set(Some((
                number,
                block as usize,
                [arguments.read(), arguments.add(1).read()],
            )));
        }
    }
}

/// # Safety
///
/// Called by jemalloc.
unsafe extern "C" fn dalloc(extra: *mut c_void, _: c_int, block: *mut c_void, _: *const usize) {
    // SAFETY: jemalloc passes on what it was given.
    if let Some(tried) = unsafe { tried(extra) } {
        tried.freed.set(block as usize);
    }
}

/// # Safety
///
/// Called by jemalloc.
unsafe extern "C" fn expand(
    _: *mut c_void,
    _: c_int,
    _: *mut c_void,
    _: usize,
    _: usize,
    _: usize,
    _: *const usize,
) {
}
