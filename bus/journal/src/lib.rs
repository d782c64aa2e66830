//! The journal: the bytes of the ring on disk, in segments with their own index, back to the retention limit.
//!
//! - [`Partition`] opens and recovers a partition's folder, grants epochs a durable start and makes segments: for the
//!   control thread.
//! - [`Recorder`] takes a ring's memory to disk: for a core. It never blocks, opens or allocates in steady state.
//! - [`JournalReader`] reads back by position, sequence and time, and checks every byte: for clients and tools.
//! - [`Folder`] opens a partition's folder to be read, and verifies it whole.
//! - [`Digest`] says whether two sequences of messages are the same.
//!
//! The formats are told in `docs/formats/`.
#![forbid(unsafe_code)]

mod digest;
mod epochs;
mod error;
mod folder;
mod frames;
mod identity;
mod index;
mod inspect;
mod layout;
mod partition;
mod reader;
mod recorder;
mod segment;
mod slot;
mod withheld;

pub use digest::{Digest, RUN, Run, hex};
pub use epochs::Epochs;
pub use error::{Corrupt, Damage, JournalError, ReadError};
pub use folder::{Folder, Verification};
pub use partition::{Options, Partition, Recovery, SegmentJob};
pub use reader::{JournalReader, Segments};
pub use recorder::{BrokenCause, Recorder, RecorderState, find_end, recorder_of};
pub use segment::{Segment, SegmentFile};
pub use withheld::Withheld;

/// The random number of a journal: bytes of another never verify in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JournalId(pub u64);
