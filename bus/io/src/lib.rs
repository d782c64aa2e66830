//! The seam to files and time: one trait, [`Io`], with two implementations that pass the same tests. io_uring where
//! the kernel allows it, plain system calls on two threads where it does not. The broker's cores see the outside world
//! through it alone, so that a test can put a faulty one in its place.
//!
//! [`mod@file`] holds what is slow (open, allocate, rename, flush a folder): for the control thread, never for a core.
#![deny(unsafe_code)]

mod buffer;
pub mod file;
mod refusal;
mod syscalls;
mod uring;

pub use buffer::{Buffer, DISK_BLOCK};
pub use refusal::Refusal;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Operations that one [`Io`] carries at a time; one more is given back by [`Io::submit`].
pub const IN_FLIGHT_MAX: usize = 256;

/// Files and time, as one core thread sees them. Nothing here blocks, and nothing allocates after it was opened.
pub trait Io: Send {
    /// The wall clock, nanoseconds since 1970 UTC. It may step.
    fn now_ns(&self) -> u64;

    /// Takes one operation; `token` comes back with its [`Completion`]. Operations run in any order, side by side.
    ///
    /// # Errors
    /// The operation itself, where [`IN_FLIGHT_MAX`] are under way: complete some, then offer it again.
    fn submit(&mut self, op: Op, token: u64) -> Result<(), Op>;

    /// Starts what was submitted and hands over what has finished; how many that were. Returns at once.
    ///
    /// # Errors
    /// The kernel refuses to go on with any operation at all. That of a single one is in its completion.
    fn complete(&mut self, each: &mut dyn FnMut(Completion)) -> io::Result<usize>;
}

/// One thing to do to a file.
#[derive(Debug)]
pub enum Op {
    /// Write all of `bytes` at `offset`. With a file opened direct, address, length and offset are multiples of 4 KiB.
    Write {
        /// Kept open until the completion.
        file: Arc<File>,
        /// What to write.
        bytes: Bytes,
        /// Where, in bytes from the file's start.
        offset: u64,
    },
    /// Flush the file's data (and its length): `fdatasync`. It covers the writes that were *complete* when it was
    /// submitted.
    Flush {
        /// Kept open until the completion.
        file: Arc<File>,
    },
}

/// The bytes of a write.
#[derive(Debug)]
pub enum Bytes {
    /// Memory that only the kernel reads: a ring. The caller keeps it mapped until the completion; an address that is
    /// not mapped is the kernel's `EFAULT`, nothing worse.
    Memory {
        /// The first byte's address in this process.
        address: usize,
        /// How many.
        len_bytes: usize,
    },
    /// The first `len_bytes` of a buffer, which comes back with the completion.
    Buffer {
        /// Owned by the operation until then.
        buffer: Buffer,
        /// How many; no more than the buffer holds.
        len_bytes: usize,
    },
}

impl Bytes {
    fn len_bytes(&self) -> usize {
        match self {
            Bytes::Memory { len_bytes, .. } | Bytes::Buffer { len_bytes, .. } => *len_bytes,
        }
    }

    fn address(&self) -> *const u8 {
        match self {
            Bytes::Memory { address, .. } => std::ptr::with_exposed_provenance(*address),
            Bytes::Buffer { buffer, len_bytes } => buffer[..*len_bytes].as_ptr(),
        }
    }

    fn into_buffer(self) -> Option<Buffer> {
        match self {
            Bytes::Memory { .. } => None,
            Bytes::Buffer { buffer, .. } => Some(buffer),
        }
    }
}

impl Op {
    fn into_buffer(self) -> Option<Buffer> {
        match self {
            Op::Write { bytes, .. } => bytes.into_buffer(),
            Op::Flush { .. } => None,
        }
    }
}

/// An operation that is over.
#[derive(Debug)]
pub struct Completion {
    /// As submitted.
    pub token: u64,
    /// A write that succeeded wrote everything; one that failed may have written any part.
    pub result: io::Result<()>,
    /// The buffer of a [`Bytes::Buffer`].
    pub buffer: Option<Buffer>,
}

/// Which implementation to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// io_uring, else plain system calls.
    Auto,
    /// io_uring or nothing.
    Uring,
    /// Plain system calls.
    Syscalls,
}

/// Opens an instance, for one thread at a time. With [`Kind::Auto`] the second value says why it is not io_uring, if
/// it is not.
///
/// # Errors
/// [`Refusal`] where [`Kind::Uring`] was asked for and cannot be had, or no thread could be started.
pub fn open(kind: Kind) -> Result<(Box<dyn Io>, Option<Refusal>), Refusal> {
    let refusal = match kind {
        Kind::Syscalls => None,
        Kind::Auto | Kind::Uring => match uring::Uring::open() {
            Ok(uring) => return Ok((Box::new(uring), None)),
            Err(error) => Some(Refusal::of(&error)),
        },
    };
    match refusal {
        Some(refusal) if kind == Kind::Uring => Err(refusal),
        refusal => Ok((Box::new(syscalls::Syscalls::open().map_err(Refusal::Threads)?), refusal)),
    }
}

/// The wall clock, nanoseconds since 1970 UTC.
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
