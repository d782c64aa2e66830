//! Atomics and fences, from `core` or, under `cfg(loom)`, from loom.

#![allow(clippy::disallowed_methods, reason = "the two fences of the house")]

#[cfg(not(loom))]
use core::sync::atomic::fence;
#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU64, Ordering};
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
