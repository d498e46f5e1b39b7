//! Functions of C that are known by their addresses, and places that hold one.

use std::marker::PhantomData;
use std::mem::transmute_copy;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A type of functions of C, such as `unsafe extern "C" fn(usize) -> *mut c_void`.
///
/// # Safety
///
/// It is a function pointer: as large as an address, never 0, and the address of any function of
/// this type is a value of it.
pub unsafe trait FunctionPointer: Copy {}

macro_rules! function_pointers {
    ($(($($argument:ident),*))*) => {$(
        // SAFETY: the language's function pointers are what the trait asks for.
        unsafe impl<R, $($argument),*> FunctionPointer
            for unsafe extern "C" fn($($argument),*) -> R {}
        // SAFETY: as above; these may be left by unwinding.
        unsafe impl<R, $($argument),*> FunctionPointer
            for unsafe extern "C-unwind" fn($($argument),*) -> R {}
    )*};
}

function_pointers! { () (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

/// The function at an address; `None` for 0.
///
/// # Safety
///
/// The address is 0, or that of a function of this type, and what it lies in stays loaded for as
/// long as the function is called.
#[inline]
pub unsafe fn function_at<F: FunctionPointer>(address: usize) -> Option<F> {
    // SAFETY: the caller's promise.
    unsafe { from_pointer(with_exposed_provenance_mut(address)) }
}

/// Where a function is.
#[inline]
pub fn address_of<F: FunctionPointer>(function: F) -> *mut () {
    const { assert!(size_of::<F>() == size_of::<*mut ()>()) };
    // SAFETY: `FunctionPointer` says that it is a pointer, of the size that is asserted.
    unsafe { transmute_copy::<F, *mut ()>(&function) }
}

/// # Safety
///
/// NULL, or the address of a function of this type.
#[inline]
unsafe fn from_pointer<F: FunctionPointer>(pointer: *mut ()) -> Option<F> {
    const { assert!(size_of::<Option<F>>() == size_of::<*mut ()>()) };
    // SAFETY: `FunctionPointer` says that it is a pointer which is never 0, so that with None for
    // NULL any pointer of the caller's promise is a value. The size is asserted.
    unsafe { transmute_copy::<*mut (), Option<F>>(&pointer) }
}

/// A place for one function of a type, or none, that threads share.
#[derive(Debug)]
pub struct AtomicFn<F> {
    /// NULL, or a function of type F: nothing else can be stored.
    pointer: AtomicPtr<()>,
    of: PhantomData<F>,
}

impl<F: FunctionPointer> AtomicFn<F> {
    /// A place that holds none.
    pub const fn none() -> AtomicFn<F> {
        AtomicFn { pointer: AtomicPtr::new(null_mut()), of: PhantomData }
    }

    /// The function that is there.
    #[inline]
    pub fn load(&self, order: Ordering) -> Option<F> {
        // SAFETY: the field holds NULL or what `store` was given.
        unsafe { from_pointer(self.pointer.load(order)) }
    }

    /// Puts a function there, or takes it away.
    #[inline]
    pub fn store(&self, function: Option<F>, order: Ordering) {
        self.pointer.store(function.map_or(null_mut(), address_of), order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Add = unsafe extern "C" fn(u8, u8) -> u8;

    unsafe extern "C" fn add(one: u8, other: u8) -> u8 {
        one + other
    }

    #[test]
    fn a_function_comes_out_as_it_went_in() {
        let place = AtomicFn::<Add>::none();
        assert!(place.load(Ordering::Relaxed).is_none());
        place.store(Some(add), Ordering::Relaxed);
        let found = place.load(Ordering::Relaxed).expect("it was put there");
        // SAFETY: the function above.
        assert_eq!(unsafe { found(2, 3) }, 5);
        place.store(None, Ordering::Relaxed);
        assert!(place.load(Ordering::Relaxed).is_none());
    }

    #[test]
    fn an_address_and_its_function_belong_together() {
        let at = address_of(add as Add) as usize;
        // SAFETY: the address of a function of this type, and 0.
        let [found, none] = [at, 0].map(|at| unsafe { function_at::<Add>(at) });
        assert_eq!(found.map(address_of).map(|at| at as usize), Some(at));
        assert!(none.is_none());
    }
}
