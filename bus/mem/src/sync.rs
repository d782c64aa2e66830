//! Atomics and fences, from `core` or, under `cfg(loom)`, from loom.

#![allow(clippy::disallowed_methods, reason = "the fences of the house")]

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use core::sync::atomic::{compiler_fence, fence};
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU64, Ordering};

/// What is loaded before this fence is not taken for older than it is by what is loaded after it.
#[inline(always)]
pub fn fence_acquire() {
    fence(Ordering::Acquire);
}

/// What is stored after this fence is seen by nobody who does not also see what was stored before it.
#[inline(always)]
pub fn fence_release() {
    fence(Ordering::Release);
}

/// All fences of this kind come one after the other, in one order for all threads; between a store before it and a load
/// behind it nothing less keeps the order.
#[inline(always)]
pub fn fence_all() {
    fence(Ordering::SeqCst);
}

/// Keeps the order of this program; another thread relies on it that has the kernel pass this one a fence.
#[inline(always)]
pub(crate) fn fence_compiler() {
    #[cfg(not(loom))]
    compiler_fence(Ordering::SeqCst);
}

/// In the shape of loom's, which sees two at once.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> UnsafeCell<T> {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, using: impl FnOnce(*const T) -> R) -> R {
        using(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, using: impl FnOnce(*mut T) -> R) -> R {
        using(self.0.get())
    }
}
