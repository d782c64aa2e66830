//! The ring: the one lock-free structure of the bus. One writer, any number of readers, frames of any length.
//!
//! ```text
//! data, written by the owner alone, mapped read-only by everybody else       control, written by the broker alone
//!      0  +------------------------------------------+                          0  gate      bytes the writer may mark
//!         | capacity_bytes (a power of two):         |                        128  state
//!         | position p lives at p & (capacity - 1)   |                        256  end       of the epoch
//! capacity +------------------------------------------+                       384  written
//!         | mark   u64 position                      |                        512  durable
//!         +------------------------------------------+                        640  earliest
//! ```
//!
//! Blocks of 64 KiB hold whole frames; a frame is a commit word, a time and a payload, padded to 8 bytes. A commit word
//! of zero means *not there yet*. Invariant of the writer: from the tail on, [`LEAD`] bytes are zero. A message is one
//! frame, or, above [`ONE_FRAME_BYTES_MAX`], several that fill their blocks: each a frame like any other, so that nothing
//! is added to the argument below. The writer cuts, a [`Walk`] follows, a [`Join`] puts together.
//!
//! ```text
//! Writer, frame at [p, p+n):                                Reader, at cursor c:
//!   W1  stop if p+n+LEAD > gate                               R1  w = word[c].load(Relaxed); fence(Acquire)
//!   W2  if p+n+LEAD > mark: mark.store(.., Relaxed),          R2  copy the words, each load Relaxed
//!       fence(Release)                                        R3  fence(Acquire)
//!   W3  if p+n is not zero yet: word[p+n].store(0, Relaxed)   R4  m = mark.load(Relaxed); lapped if m - c > capacity
//!   W3' a block frame only: fence(Release)
//!   W4  payload and time, each store Relaxed
//!   W5  word[p].store(commit, Release)
//!   W6  zero on, each store Relaxed, up to the tail + LEAD
//! ```
//!
//! Whole: R1 reads the value of W5, so W4 happens-before R2 (the fence makes the relaxed load an acquire). Also W3 of
//! the same frame happens-before R1 of the next: a reader that walks on sees zero or the next commit, never the word
//! that stood there a lap ago.
//! Bounded: the length is clamped to the block before it is used, since it may already belong to a later lap.
//! Untorn: if R1 or R2 read a word of a later lap (W3, W4, W5 or W6 of it), then that lap's W2 fence synchronises with
//! R3, so R4 sees that lap's mark, and the copy is thrown away. Nothing is interpreted before R4.
//! Entering: at a block's start nothing promises a zero, for the writer marks a whole block before it reaches it; so a
//! block is entered only where its judged block frame carries that very position, the epoch and a right CRC. Otherwise
//! it is the previous lap's, and the block is not there yet. Its commit word may still be the previous lap's block
//! frame while the payload is already the new one's; such a reader has not met W5, so W3' makes sure that it sees the
//! zero behind the frame all the same (the fence synchronises with R3).
//! Words are atomic because a plain read that races is undefined even if its result is thrown away; they are loads
//! only, relaxed, because the reader's mapping is read-only.
//! Assumed: separate processes that share a mapping obey the same model as threads.
//! Checked by: `tests/loom.rs`, and `cargo xtask controls`, which shows that each of W2, W3, W3', W5, R1, R3, R4 and
//! the rule for entering is needed.
#![forbid(unsafe_code)]

mod area;
mod control;
mod head;
pub mod layout;
mod lookout;
mod memory;
mod origin;
mod pace;
mod position;
mod reader;
mod walk;
mod writer;

pub use area::{Area, AreaMut, Asleep, Latencies, Progress};
pub use control::{Accepted, Control, ControlMut, State};
pub use head::{EpochStart, write_head, write_head_of_many};
pub use layout::{BLOCK, FRAME_HEADER, Kind, LEAD, MESSAGE_BYTES_MIN, ONE_FRAME_BYTES_MAX, message_bytes_max};
pub use lookout::Lookout;
pub use memory::Memory;
pub use origin::{Last, Origin};
pub use oyez_mem::{Region, RegionMut};
pub use position::{Epoch, Position, Sequence};
pub use reader::{Frame, Invalid, Poll, Reader, Reason};
pub use walk::{Join, Walk};
pub use writer::{BadLength, Offer, Published, Tail, Writer};
