//! The head of an epoch: what the broker writes into a ring before anybody else maps it.

use crate::layout::{EpochOpening, Kind};
use crate::writer::{Frames, Tail};
use crate::{Epoch, LEAD, Last, Position, Sequence};
use oyez_mem::RegionMut;

/// Where and how an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number.
    pub epoch: Epoch,
    /// The position of its first block; a multiple of the block.
    pub position: Position,
    /// The sequence of its first message.
    pub sequence: Sequence,
    /// The highest publish time before it, in ns since 1970 UTC.
    pub time_ns: u64,
    /// Where the previous epoch ended; 0 for the first.
    pub previous_end: Position,
}

/// Writes the head into the zeroed memory of a ring, and the mark; answers where the owner goes on.
pub fn write_head(memory: &RegionMut, capacity_bytes: u64, start: &EpochStart, now_ns: u64) -> Tail {
    begin(memory, capacity_bytes, start, now_ns).tail()
}

/// The same where the topic has many publishers: the head also tells how far each was taken before.
pub fn write_head_of_many(
    memory: &RegionMut,
    capacity_bytes: u64,
    start: &EpochStart,
    lasts: impl Iterator<Item = Last>,
    now_ns: u64,
) -> Tail {
    let mut frames = begin(memory, capacity_bytes, start, now_ns);
    let mut payload = Vec::new();
    Last::encode_all(lasts, &mut payload);
    frames.append(Kind::Publishers, 0, None, &payload);
    frames.tail()
}

fn begin(memory: &RegionMut, capacity_bytes: u64, start: &EpochStart, now_ns: u64) -> Frames {
    assert_eq!(start.position.in_block(), 0, "an epoch starts with a block");
    let tail = Tail { position: start.position, sequence: start.sequence, time_ns: start.time_ns.max(now_ns) };
    let mut frames = Frames::new(memory.clone(), capacity_bytes, start.epoch, tail);
    frames.raise_mark(start.position.plus(LEAD));
    frames.open_block();
    let opening = EpochOpening {
        epoch: start.epoch,
        position: start.position,
        sequence: start.sequence,
        previous_end: start.previous_end,
    };
    frames.append(Kind::Epoch, 0, None, &opening.encode());
    frames
}
