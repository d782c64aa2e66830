//! SIGHUP, for a process that becomes another program: what comes in between must not end it.

use std::io::{Error, Result};
use std::mem::MaybeUninit;

/// SIGHUP passed over, by this program and by one that the process becomes, until that one watches for it. Dropped, it is
/// as it was before.
pub struct Ignored(libc::sigaction);

impl Ignored {
    /// Passes it over from here on.
    ///
    /// # Errors
    /// None that is known: the kernel takes it for every process.
    #[allow(unsafe_code, reason = "the call has no safe wrapper")]
    pub fn new() -> Result<Ignored> {
        // SAFETY: all zeros are an action without flags, mask and restorer.
        let mut ignore: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        ignore.sa_sigaction = libc::SIG_IGN;
        let mut before = MaybeUninit::uninit();
        // SAFETY: both point to what lives during the call; ignoring a signal installs no handler.
        match unsafe { libc::sigaction(libc::SIGHUP, &raw const ignore, before.as_mut_ptr()) } {
            // SAFETY: the call has filled it.
            0 => Ok(Ignored(unsafe { before.assume_init() })),
            _ => Err(Error::last_os_error()),
        }
    }
}

impl Drop for Ignored {
    #[allow(unsafe_code, reason = "the call has no safe wrapper")]
    fn drop(&mut self) {
        // SAFETY: what was in force before `new` is sound to have in force again.
        let _ = unsafe { libc::sigaction(libc::SIGHUP, &raw const self.0, std::ptr::null_mut()) };
    }
}
