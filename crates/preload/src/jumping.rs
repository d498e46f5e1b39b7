//! Stand-ins that cost a jump: each goes on in the function in its slot.

use std::sync::atomic::AtomicPtr;

/// Where a stand-in goes on.
pub(crate) type Slot = AtomicPtr<()>;

/// For each function of a family: the stand-in, its slot, and what is in the slot at first, which
/// goes on in the function of the caller's `real`, or does as the last part says where those are not
/// known.
macro_rules! jumping_stand_ins {
    (
        of $family:ty;
        $($name:ident $slot:ident ($($argument:ident: $type:ty),*) -> $result:ty,
            or $without:expr;)*
    ) => {
        $(
            static $slot: Slot = Slot::new(first::$name as *mut ());

            #[cfg(not(test))]
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            unsafe extern "C" fn $name() {
                #[cfg(target_arch = "x86_64")]
                core::arch::naked_asm!("jmp qword ptr [rip + {slot}]", slot = sym $slot);
                #[cfg(target_arch = "aarch64")]
                core::arch::naked_asm!(
                    "adrp x16, {slot}",
                    "ldr x16, [x16, :lo12:{slot}]",
                    "br x16",
                    slot = sym $slot,
                );
            }
        )*

        /// What is called first in place of each function.
        mod first {
            use super::*;

            $(
                /// # Safety
                ///
                /// As the function of this name.
                pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                    match real() {
                        // SAFETY: the caller's call, passed on.
                        Some(real) => unsafe { (real.$name)($($argument),*) },
                        None => $without,
                    }
                }
            )*
        }

        /// Has the stand-ins go on in these functions.
        pub(crate) fn go_on_in(family: &$family) {
            $($slot.store(address_of(family.$name), Ordering::Release);)*
        }
    };
}

/// The name of a function as a C string.
macro_rules! c_name {
    ($name:ident) => {
        const {
            match ::std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes())
            {
                Ok(name) => name,
                Err(_) => panic!(),
            }
        }
    };
}

pub(crate) use {c_name, jumping_stand_ins};
