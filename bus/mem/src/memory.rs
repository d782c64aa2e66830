//! memfds: made, populated, sealed, re-opened, checked.
//!
//! The order of a hand-out (design: each step shuts a measured hole): [`create`] seals the size before anybody sees the
//! memory; the one who writes gets it [`reopen`]ed, maps it and closes; then [`seal_writers`]; only then do readers get
//! it re-opened read-only, and [`check_reader`] it.

use crate::Region;
use crate::region::HUGE_BYTES;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// What a re-opened descriptor, or a mapping, may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// Why a memory could not be made or is not to be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The kernel refused a step.
    #[error("memory {name}: cannot {step}: {source}; {remedy}")]
    Refused {
        /// The memory.
        name: String,
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: Errno,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Populating it would take the machine's last memory, and the kernel would rather kill somebody than say no.
    #[error("memory {name}: {len_bytes} bytes are wanted, {available_bytes} are available; {NO_MEMORY}")]
    Exhausted {
        /// The memory.
        name: String,
        /// Bytes wanted.
        len_bytes: u64,
        /// Bytes that the kernel reports as available.
        available_bytes: u64,
    },
    /// The size is not what was agreed.
    #[error("memory has {found} bytes, {expected} were agreed; whoever handed it out changed it: do not use it")]
    Size {
        /// Bytes found.
        found: u64,
        /// Bytes agreed on.
        expected: u64,
    },
    /// A reader got memory that somebody could still shrink, or map for writing.
    #[error("memory lacks the seals {missing:?}; it was not handed out by a sound broker: do not use it")]
    Unsealed {
        /// The seals that are not there.
        missing: SealFlags,
    },
    /// A reader got a descriptor that can write.
    #[error("memory was handed to a reader writable; it was not handed out by a sound broker: do not use it")]
    Writable,
}

impl MemoryError {
    /// That the kernel would not map it: what [`Region::map`] and [`crate::RegionMut::map`] answer, with name and remedy.
    pub fn from_map(name: &str, error: &std::io::Error) -> MemoryError {
        let source = Errno::from_io_error(error).unwrap_or(Errno::NOMEM);
        refused(name, "map it", "raise the limit of address space")(source)
    }
}

fn refused(name: &str, step: &'static str, remedy: &'static str) -> impl FnOnce(Errno) -> MemoryError {
    let name = name.to_owned();
    move |source| MemoryError::Refused { name, step, source, remedy }
}

const NO_MEMORY: &str = "free memory, or declare smaller rings in the catalog";
const NO_PROC: &str = "/proc must be mounted";

/// A zeroed memory of `len_bytes`, mode 0600, all of its pages there, sealed against growing and shrinking.
///
/// # Errors
/// [`MemoryError::Exhausted`] and [`MemoryError::Refused`]: lack of memory shows here, and never later as a `SIGBUS`.
pub fn create(name: &str, len_bytes: u64) -> Result<OwnedFd, MemoryError> {
    let available_bytes = available_bytes();
    if len_bytes > available_bytes {
        return Err(MemoryError::Exhausted { name: name.to_owned(), len_bytes, available_bytes });
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know NOEXEC_SEAL, and then the memory is merely executable in theory.
    let memory = rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| rustix::fs::memfd_create(name, flags))
        .map_err(refused(name, "make it", "raise the limit of open files"))?;
    rustix::fs::fchmod(&memory, Mode::RUSR | Mode::WUSR).map_err(refused(name, "set its mode", NO_MEMORY))?;
    rustix::fs::fallocate(&memory, FallocateFlags::empty(), 0, len_bytes).map_err(refused(
        name,
        "populate it",
        NO_MEMORY,
    ))?;
    rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW).map_err(refused(
        name,
        "seal its size",
        NO_MEMORY,
    ))?;
    Ok(memory)
}

/// A memory that holds these bytes for ever, to be read: nobody can write it any more, or change its length.
///
/// # Errors
/// As [`create`].
pub fn document(name: &str, bytes: &[u8]) -> Result<OwnedFd, MemoryError> {
    let memory = create(name, bytes.len().max(1) as u64)?;
    let mut written = 0;
    while written < bytes.len() {
        let more = rustix::io::pwrite(&memory, &bytes[written..], written as u64);
        written += more.map_err(refused(name, "write it", NO_MEMORY))?;
    }
    add_seals(&memory, SealFlags::WRITE | SealFlags::SEAL)?;
    reopen(&memory, Access::Read)
}

/// `MemAvailable`; without /proc, no bound is known.
fn available_bytes() -> u64 {
    let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}

/// Locks the pages where the limit allows and asks for huge ones: 50 to 600 ms for a ring, so done ahead of need, and
/// bit by bit, for as long as one call lasts no other thread of the process can map or unmap anything. What the kernel
/// refuses costs speed, not correctness; the answers say what was had: (locked, huge).
#[allow(unsafe_code, reason = "advice about a whole mapping")]
pub fn prepare(region: &Region) -> (bool, bool) {
    let (mut locked, mut huge) = (true, true);
    for offset in (0..region.len_bytes()).step_by(HUGE_BYTES) {
        let len_bytes = HUGE_BYTES.min(region.len_bytes() - offset);
        let base = region.address(offset) as *mut core::ffi::c_void;
        // SAFETY: the range is part of a mapping that `region` keeps alive; locking changes no content.
        locked &= unsafe { rustix::mm::mlock(base, len_bytes) }.is_ok();
        // SAFETY: as above; collapsing moves pages, not content. It works where the shared-memory policy is `never`,
        // which asking beforehand (MADV_HUGEPAGE) does not.
        huge &= unsafe { libc::madvise(base, len_bytes, libc::MADV_COLLAPSE) } == 0;
    }
    (locked, huge)
}

/// A new description of the same memory. Never hand out the one [`create`] returned: the kernel's leases do not count
/// it, and seals can be added through it for ever.
///
/// # Errors
/// [`MemoryError::Refused`].
pub fn reopen(memory: impl AsFd, access: Access) -> Result<OwnedFd, MemoryError> {
    let path = format!("/proc/self/fd/{}", memory.as_fd().as_raw_fd());
    let mode = if access == Access::Write { OFlags::RDWR } else { OFlags::RDONLY };
    rustix::fs::open(&path, mode | OFlags::CLOEXEC, Mode::empty()).map_err(refused(&path, "re-open it", NO_PROC))
}

/// From now on nobody maps it for writing or writes it by a call; mappings that exist go on writing.
///
/// # Errors
/// [`MemoryError::Refused`].
pub fn seal_writers(memory: impl AsFd) -> Result<(), MemoryError> {
    add_seals(memory, SealFlags::FUTURE_WRITE | SealFlags::SEAL)
}

/// From now on nobody adds seals, so that no holder can freeze it: for memory that several hold writable.
///
/// # Errors
/// [`MemoryError::Refused`].
pub fn seal_size(memory: impl AsFd) -> Result<(), MemoryError> {
    add_seals(memory, SealFlags::SEAL)
}

fn add_seals(memory: impl AsFd, seals: SealFlags) -> Result<(), MemoryError> {
    let have = rustix::fs::fcntl_get_seals(&memory).unwrap_or(SealFlags::empty());
    if have.contains(seals) {
        return Ok(());
    }
    rustix::fs::fcntl_add_seals(memory, seals).map_err(refused("handed out", "seal it", "Linux 5.1 or newer is needed"))
}

/// Checks the agreed size.
///
/// # Errors
/// [`MemoryError::Size`], or [`MemoryError::Refused`] where the descriptor is no file.
pub fn check_size(memory: impl AsFd, len_bytes: u64) -> Result<(), MemoryError> {
    let found =
        rustix::fs::fstat(memory).map_err(refused("received", "read its size", "connect again"))?.st_size as u64;
    if found == len_bytes { Ok(()) } else { Err(MemoryError::Size { found, expected: len_bytes }) }
}

/// What a reader checks before it maps what it was given: the size, the seals, and that it cannot write itself.
///
/// # Errors
/// [`MemoryError`]: one variant for each.
pub fn check_reader(memory: impl AsFd, len_bytes: u64) -> Result<(), MemoryError> {
    check_size(&memory, len_bytes)?;
    let need = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    let have = rustix::fs::fcntl_get_seals(&memory).map_err(refused("received", "read its seals", "connect again"))?;
    if !have.contains(need) {
        return Err(MemoryError::Unsealed { missing: need - have });
    }
    let mode = rustix::fs::fcntl_getfl(&memory).map_err(refused("received", "read its mode", "connect again"))?;
    if mode & OFlags::RWMODE != OFlags::RDONLY { Err(MemoryError::Writable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegionMut;

    #[test]
    fn a_handed_out_memory_is_read_by_readers_and_written_by_its_writer_alone() {
        let memory = create("ring", 8192).unwrap();
        let writer = RegionMut::map(reopen(&memory, Access::Write).unwrap(), 8192).unwrap();
        seal_writers(&memory).unwrap();
        let given = reopen(&memory, Access::Read).unwrap();
        check_reader(&given, 8192).unwrap();
        let reader = Region::map(&given, 8192).unwrap();
        writer.store(64, 7);
        assert_eq!(reader.load(64), 7);
        assert!(RegionMut::map(&given, 8192).is_err(), "a reader mapped it for writing");
        let again = reopen(&given, Access::Write).unwrap();
        assert!(RegionMut::map(&again, 8192).is_err(), "re-opened, it was mapped for writing");
        assert!(rustix::fs::ftruncate(&again, 0).is_err());
        assert!(rustix::io::pwrite(&again, &[1], 0).is_err());
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert!(rustix::fs::fallocate(&again, punch, 0, 4096).is_err());
    }

    #[test]
    fn a_document_is_read_and_changed_by_nobody() {
        let text = b"all that is known";
        let given = document("stat", text).unwrap();
        let mut read = [0; 64];
        assert_eq!(rustix::io::pread(&given, &mut read, 0), Ok(text.len()));
        assert_eq!(&read[..text.len()], text);
        let again = reopen(&given, Access::Write).unwrap();
        assert!(rustix::io::pwrite(&again, b"other", 0).is_err());
        assert!(rustix::fs::ftruncate(&again, 0).is_err());
    }

    #[test]
    fn a_ring_is_mapped_where_huge_pages_fit() {
        let len_bytes = (2 << 20) + 8192;
        let memory = create("ring", len_bytes as u64).unwrap();
        for region in [Region::map(&memory, len_bytes).unwrap(), RegionMut::map(&memory, len_bytes).unwrap().reader()] {
            assert!(region.address(0).is_multiple_of(2 << 20));
            assert_eq!(region.load(len_bytes - 8), 0);
        }
    }

    #[test]
    fn what_is_not_whole_is_refused_by_name() {
        let memory = create("ring", 8192).unwrap();
        let read = reopen(&memory, Access::Read).unwrap();
        assert!(matches!(check_reader(&read, 4096), Err(MemoryError::Size { found: 8192, expected: 4096 })));
        let unsealed = check_reader(&read, 8192).unwrap_err().to_string();
        assert!(unsealed.contains("FUTURE_WRITE"), "{unsealed}");
        let writable = reopen(&memory, Access::Write).unwrap();
        seal_writers(&memory).unwrap();
        assert!(matches!(check_reader(&writable, 8192), Err(MemoryError::Writable)));
        let absurd = create("ring", 1 << 60).unwrap_err().to_string();
        assert!(absurd.contains("are available") && absurd.contains("smaller rings"), "{absurd}");
    }
}
