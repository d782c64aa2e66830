//! The kernel's proof that nobody can write a memory any more: a read lease is refused while any description of it
//! opened for writing, or a mapping made from one, lives anywhere. Death frees it; no timer is involved.

use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Whether no process can write what `read_only` describes. Takes the lease and gives it back at once.
///
/// `read_only` must be opened read-only, by the user who owns it (or with `CAP_LEASE`). The descriptor that
/// `memfd_create` itself returned is not counted by the kernel, so whoever writes must have a re-opened one
/// ([`crate::memory::reopen`]).
///
/// # Errors
/// Anything but the refusal: a file system without leases, not the owner.
pub fn nobody_writes(read_only: impl AsFd) -> io::Result<bool> {
    let file = read_only.as_fd();
    match set(file, libc::F_RDLCK) {
        Ok(()) => set(file, libc::F_UNLCK).map(|()| true),
        Err(error) if error.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sees both answers on a memory of its own, for a broker that will rely on them; and ignores `SIGIO`, by which the
/// kernel would tell (and by default kill) a holder whose lease somebody breaks in the instant it is held.
///
/// # Errors
/// Where this kernel does not answer as it must; the text says what was seen.
pub fn probe() -> io::Result<()> {
    ignore_sigio();
    let memory = crate::memory::create("oyez-lease-probe", 4096).map_err(io::Error::other)?;
    let reopened = |access| crate::memory::reopen(&memory, access).map_err(io::Error::other);
    let read_only = reopened(crate::memory::Access::Read)?;
    let writable = reopened(crate::memory::Access::Write)?;
    if nobody_writes(&read_only)? {
        return Err(io::Error::other("a read lease was granted while a writable descriptor was open"));
    }
    drop(writable);
    if !nobody_writes(&read_only)? {
        return Err(io::Error::other("a read lease was refused although nobody can write"));
    }
    Ok(())
}

#[allow(unsafe_code, reason = "neither call has a safe wrapper")]
fn set(file: BorrowedFd<'_>, kind: i32) -> io::Result<()> {
    // SAFETY: F_SETLEASE takes an int and touches no memory of ours.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[allow(unsafe_code, reason = "neither call has a safe wrapper")]
fn ignore_sigio() {
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{self, Access};
    use crate::{Region, RegionMut};

    #[test]
    fn both_answers_are_seen() {
        probe().unwrap();
    }

    #[test]
    fn a_writable_mapping_keeps_the_lease_from_being_taken_and_a_read_only_one_does_not() {
        let memory = memory::create("lease", 4096).unwrap();
        let read_only = memory::reopen(&memory, Access::Read).unwrap();
        let _reader = Region::map(&read_only, 4096).unwrap();
        let writer = RegionMut::map(memory::reopen(&memory, Access::Write).unwrap(), 4096).unwrap();
        assert!(!nobody_writes(&read_only).unwrap());
        drop(writer);
        assert!(nobody_writes(&read_only).unwrap());
    }
}
