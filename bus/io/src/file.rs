//! The slow side of files: for the control thread and for tools, never for a core.

use crate::{Buffer, DISK_BLOCK};
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, fstatfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes that zero-filling writes at a time.
const FILL_BYTES: usize = 1 << 20;

/// Whether a file goes past the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    /// `O_DIRECT`: address, offset and length of all I/O are multiples of [`DISK_BLOCK`].
    Yes,
    /// This file system has no `O_DIRECT`: the page cache is between.
    No,
}

/// What a new file's bytes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Written once, so that no later write changes anything but data.
    Zeroed,
    /// Only promised by the file system: quick, and the first write to each extent costs a journal commit.
    Allocated,
}

/// Opens an existing file for reading and, if `write`, for writing; direct where the file system can.
///
/// # Errors
/// As `open`.
pub fn open_direct(path: &Path, write: bool) -> io::Result<(File, Direct)> {
    open(OpenOptions::new().read(true).write(write), path)
}

/// Creates a file that must not exist, `len_bytes` long (a multiple of [`DISK_BLOCK`]), every byte zero and its room
/// taken. Not flushed. Where it fails nothing is left behind.
///
/// # Errors
/// As `open`, `fallocate` and `write`; a full disk is `StorageFull`.
pub fn create(path: &Path, len_bytes: u64, fill: Fill) -> io::Result<(File, Direct)> {
    let (file, direct) = open(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600), path)?;
    filled(&file, len_bytes, fill).inspect_err(|_| {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(path);
    })?;
    Ok((file, direct))
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<(File, Direct)> {
    match options.custom_flags(libc::O_DIRECT).open(path) {
        Ok(file) => Ok((file, Direct::Yes)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            // A file system that refuses the flag may have created the file before it looked at it.
            Ok((options.custom_flags(0).create_new(false).open(path)?, Direct::No))
        }
        Err(error) => Err(error),
    }
}

fn filled(file: &File, len_bytes: u64, fill: Fill) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, len_bytes) {
        Ok(()) if fill == Fill::Allocated => return Ok(()),
        // Where a file system cannot promise room, writing takes it.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    zero(file, 0, len_bytes)
}

/// Takes room for `len_bytes` behind the file's end, which stays where it is. A file system that cannot, does not.
///
/// # Errors
/// As `fallocate`; a full disk is `StorageFull`.
pub fn keep_room(file: &File, len_bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, file.metadata()?.len(), len_bytes) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes zeros to `[from, to)`, both multiples of [`DISK_BLOCK`].
///
/// # Errors
/// As `write`.
pub fn zero(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = Buffer::new(FILL_BYTES.min((to - from) as usize));
    let mut at = from;
    while at < to {
        let len_bytes = zeros.len().min((to - at) as usize);
        file.write_all_at(&zeros[..len_bytes], at)?;
        at += len_bytes as u64;
    }
    Ok(())
}

/// Reads `[offset, offset + len_bytes)` into the front of `buffer`, whatever `offset` is; from the disk, not from the
/// page cache, if `file` is direct. Bytes past the file's end are zero.
///
/// # Errors
/// As `read`.
///
/// # Panics
/// Where `buffer` does not hold the disk blocks that the range touches.
pub fn read_at<'b>(file: &File, offset: u64, len_bytes: usize, buffer: &'b mut Buffer) -> io::Result<&'b [u8]> {
    let skipped = (offset % DISK_BLOCK as u64) as usize;
    let touched = (skipped + len_bytes).next_multiple_of(DISK_BLOCK);
    let mut done = 0;
    while done < touched {
        match file.read_at(&mut buffer[done..touched], offset - skipped as u64 + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[done..touched].fill(0);
    Ok(&buffer[skipped..skipped + len_bytes])
}

/// Drops what the page cache holds of the file and is not dirty: the next read shows what the disk has. After a failed
/// flush the cache shows, as clean, bytes that were never stored.
///
/// # Errors
/// As `posix_fadvise`.
pub fn forget_cached(file: &File) -> io::Result<()> {
    Ok(fadvise(file, 0, None::<NonZeroU64>, Advice::DontNeed)?)
}

/// Gives `path` the content `bytes`, whole or not at all, durable when it returns.
///
/// # Errors
/// As `write`, `fsync` and `rename`.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()?;
    rename(&new, path)
}

/// Renames within one folder, durable when it returns.
///
/// # Errors
/// As `rename` and `fsync`.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Flushes a folder: the names in it are durable when it returns.
///
/// # Errors
/// As `open` and `fsync`.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Whether what is flushed there outlives the machine's memory: not on tmpfs or ramfs.
///
/// # Errors
/// As `open` and `statfs`.
pub fn outlives_power(dir: &Path) -> io::Result<bool> {
    const TMPFS: i64 = 0x0102_1994;
    const RAMFS: i64 = 0x8584_58f6;
    let kind = fstatfs(File::open(dir)?)?.f_type;
    Ok(![TMPFS, RAMFS].contains(&(kind as i64 & 0xFFFF_FFFF)))
}
