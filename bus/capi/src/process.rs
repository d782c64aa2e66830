//! The process that opened a client. A forked child has its handles, but neither its thread nor its rings, which the
//! kernel does not copy: each call looks here first, and that costs one load of a word that nobody writes.

use crate::error::{Failure, OYEZ_ERR_FORKED, OYEZ_ERR_SYSTEM};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE_BYTES: usize = 4096;

/// A page that the kernel empties in a forked child.
pub(crate) struct Process(NonNull<AtomicU64>);

// SAFETY: the page is only reached as an atomic, and unmapped by the last owner.
unsafe impl Send for Process {}
// SAFETY: as above.
unsafe impl Sync for Process {}

impl Process {
    pub(crate) fn this() -> Result<Process, Failure> {
        let system = |what| move |error| Failure::new(OYEZ_ERR_SYSTEM, format!("cannot {what}: {error}"));
        let (map, wipe) = ("map a page, see `ulimit -v`", "have a page emptied by fork, which takes Linux 4.14");
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory, where the kernel likes.
        let page = unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE_BYTES, protection, MapFlags::PRIVATE) };
        let page = NonNull::new(page.map_err(system(map))?).expect("the kernel maps nothing at 0").cast::<AtomicU64>();
        let process = Process(page);
        // SAFETY: the page is this value's own.
        unsafe { madvise(page.as_ptr().cast::<c_void>(), PAGE_BYTES, Advice::LinuxWipeOnFork) }
            .map_err(system(wipe))?;
        process.word().store(1, Ordering::Relaxed);
        Ok(process)
    }

    /// Whether this is still the process that opened.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.word().load(Ordering::Relaxed) {
            0 => Err(Failure::new(OYEZ_ERR_FORKED, "opened before a fork, in the parent; open a client in the child")),
            _ => Ok(()),
        }
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: mapped as long as `self` lives, zero or written by `this`, and aligned to a page.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: mapped by `this` with that length, and nobody refers to it any more.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast::<c_void>(), PAGE_BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}
