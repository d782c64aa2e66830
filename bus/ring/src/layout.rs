//! The bytes of frames and blocks, as `docs/formats/frame.md` tells them. Little-endian throughout.

use crate::{Epoch, Position, Sequence};

/// The one unit of ring, journal and index, in bytes. No frame crosses a block's end. (Loom explores every order of
/// every word, so there a block is as small as the rules allow.)
pub const BLOCK: u64 = if cfg!(loom) { 256 } else { 64 << 10 };
/// Bytes from the tail on that are zero whenever a writer is between frames.
pub const LEAD: u64 = if cfg!(loom) { 112 } else { 2 << 10 };
/// Bytes of a frame before its payload: commit word and publish time.
pub const FRAME_HEADER: u64 = 16;
/// The longest message that is one frame, in bytes: SBE message header and body. A longer one is several.
pub const ONE_FRAME_BYTES_MAX: usize = if cfg!(loom) { 104 } else { 4096 };
/// The shortest message, in bytes: an SBE message header without a body.
pub const MESSAGE_BYTES_MIN: usize = 8;
/// Payload of a block frame, in bytes.
pub const BLOCK_PAYLOAD: usize = 32;
/// Payload of an `Epoch` control frame, in bytes.
pub const EPOCH_PAYLOAD: usize = 32;
/// An origin before a message, in bytes.
pub const ORIGIN_BYTES: usize = 8;
/// What a `Publishers` frame holds of each publisher, in bytes: an origin, and the epoch of that message.
pub const LAST_BYTES: usize = 12;
/// The epoch of each ingress ring, from position 0 on: a session has one ring, and a ring one session.
pub const INGRESS_EPOCH: Epoch = Epoch(1);
/// The most publishers that a topic has.
pub const PUBLISHERS_MAX: usize = 4_096;
/// A block frame whole, in bytes.
pub const BLOCK_FRAME: u64 = FRAME_HEADER + BLOCK_PAYLOAD as u64;
/// Payload of a fragment that has a block to itself, in bytes.
pub const FRAGMENT_BYTES_MAX: u64 = BLOCK - BLOCK_FRAME - FRAME_HEADER;
/// The largest ring, in bytes.
pub const RING_BYTES_MAX: u64 = 1 << 30;

/// Flag: the first fragment of a message.
pub const FLAG_FIRST: u8 = 1;
/// Flag: the last fragment of a message.
pub const FLAG_LAST: u8 = 1 << 1;
/// Flag: one word before the message names its publisher and that publisher's own number.
pub const FLAG_ORIGIN: u8 = 1 << 2;
/// Flag: a reader that does not know the kind may skip the frame.
pub const FLAG_IGNORABLE: u8 = 1 << 7;

const _: () = assert!(
    cfg!(loom) || BLOCK_FRAME + FRAME_HEADER * 2 + (EPOCH_PAYLOAD + PUBLISHERS_MAX * LAST_BYTES) as u64 <= BLOCK
);
const _: () = assert!(BLOCK.is_power_of_two() && LEAD.is_multiple_of(8));
const _: () =
    assert!((ONE_FRAME_BYTES_MAX + ORIGIN_BYTES) as u64 <= FRAGMENT_BYTES_MAX && FRAGMENT_BYTES_MAX.is_multiple_of(8));

/// What a frame holds. Numbers are for ever; 32–63 are kept for snapshots and last values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// One SBE message.
    Message = 1,
    /// Part of a message above [`ONE_FRAME_BYTES_MAX`].
    Fragment = 2,
    /// Nothing, to the block's end.
    Padding = 3,
    /// The opening of a block.
    Block = 4,
    /// The opening of an epoch, written by the broker.
    Epoch = 5,
    /// The end of a trading day.
    DayClose = 6,
    /// The beginning of a trading day.
    DayOpen = 7,
    /// How far each publisher of a topic with many was taken.
    Publishers = 8,
}

impl Kind {
    /// The kind of that number, if this build knows it.
    pub const fn of(number: u8) -> Option<Kind> {
        Some(match number {
            1 => Kind::Message,
            2 => Kind::Fragment,
            3 => Kind::Padding,
            4 => Kind::Block,
            5 => Kind::Epoch,
            6 => Kind::DayClose,
            7 => Kind::DayOpen,
            8 => Kind::Publishers,
            _ => return None,
        })
    }

    /// Whether a message ends with a frame of this kind and these flags: counting goes up after it.
    #[inline(always)]
    pub const fn ends_message(self, flags: u8) -> bool {
        matches!(self, Kind::Message) || matches!(self, Kind::Fragment) && flags & FLAG_LAST != 0
    }
}

/// The first word of a frame. As a word of zero it means *not there yet*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitWord {
    /// Header and unpadded payload, in bytes; at least 8 (a bare commit word, padding only).
    pub length: u32,
    /// Number of a [`Kind`], perhaps of a newer build.
    pub kind: u8,
    /// `FLAG_…`
    pub flags: u8,
    /// The low 16 bits of the frame's sequence, or of the next message's where the frame has none.
    pub sequence_low: u16,
}

impl CommitWord {
    /// Bits 0–31 length, 32–39 kind, 40–47 flags, 48–63 sequence.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.length as u64 | (self.kind as u64) << 32 | (self.flags as u64) << 40 | (self.sequence_low as u64) << 48
    }

    /// The reverse of [`CommitWord::pack`].
    #[inline(always)]
    pub const fn unpack(word: u64) -> CommitWord {
        CommitWord {
            length: word as u32,
            kind: (word >> 32) as u8,
            flags: (word >> 40) as u8,
            sequence_low: (word >> 48) as u16,
        }
    }
}

/// Bytes a frame takes: header and payload, padded to 8.
#[inline(always)]
pub const fn frame_bytes(payload_bytes: usize) -> u64 {
    FRAME_HEADER + (payload_bytes as u64).next_multiple_of(8)
}

/// Bytes of a payload before the message: those of the origin, where the flags tell of one.
#[inline(always)]
pub const fn origin_bytes(flags: u8) -> usize {
    if flags & FLAG_ORIGIN != 0 { ORIGIN_BYTES } else { 0 }
}

/// The longest message that a ring of `capacity_bytes` takes, in bytes: a quarter of it.
pub const fn message_bytes_max(capacity_bytes: u64) -> usize {
    (capacity_bytes / 4) as usize
}

/// The opening of a block, so that a reader may start at any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOpening {
    /// The block's own position.
    pub position: Position,
    /// Sequence of the next message or fragment.
    pub sequence: Sequence,
    /// The epoch that owns the block.
    pub epoch: Epoch,
    /// How much of a message that goes on in this block stands before it, its origin included, in bytes; 0 where none
    /// does.
    pub under_way_bytes: u32,
}

impl BlockOpening {
    /// The block where the message begins that goes on in this one; this one where none does. Fragments fill their blocks,
    /// so their number follows from their bytes.
    pub const fn message_block(&self) -> Position {
        let blocks = (self.under_way_bytes as u64).div_ceil(FRAGMENT_BYTES_MAX);
        Position(self.position.0.saturating_sub(blocks * BLOCK))
    }

    /// The payload of a block frame.
    pub fn encode(&self) -> [u8; BLOCK_PAYLOAD] {
        let mut bytes = [0; BLOCK_PAYLOAD];
        bytes[0..8].copy_from_slice(&self.position.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.under_way_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a payload; `None` where it is short or its CRC is wrong.
    pub fn decode(bytes: &[u8]) -> Option<BlockOpening> {
        let bytes = bytes.first_chunk::<BLOCK_PAYLOAD>()?;
        if crc32c::crc32c(&bytes[..24]) != u32_at(bytes, 24) {
            return None;
        }
        Some(BlockOpening {
            position: Position(u64_at(bytes, 0)),
            sequence: Sequence(u64_at(bytes, 8)),
            epoch: Epoch(u32_at(bytes, 16)),
            under_way_bytes: u32_at(bytes, 20),
        })
    }
}

/// The opening of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochOpening {
    /// Its number.
    pub epoch: Epoch,
    /// Where it starts: the position of its first block.
    pub position: Position,
    /// The sequence of its first message.
    pub sequence: Sequence,
    /// Where the previous epoch ended; 0 for the first.
    pub previous_end: Position,
}

impl EpochOpening {
    /// The payload of an `Epoch` frame.
    pub fn encode(&self) -> [u8; EPOCH_PAYLOAD] {
        let mut bytes = [0; EPOCH_PAYLOAD];
        bytes[0..4].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.position.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.previous_end.0.to_le_bytes());
        bytes
    }

    /// Reads a payload; `None` where it is short.
    pub fn decode(bytes: &[u8]) -> Option<EpochOpening> {
        let bytes = bytes.first_chunk::<EPOCH_PAYLOAD>()?;
        Some(EpochOpening {
            epoch: Epoch(u32_at(bytes, 0)),
            position: Position(u64_at(bytes, 8)),
            sequence: Sequence(u64_at(bytes, 16)),
            previous_end: Position(u64_at(bytes, 24)),
        })
    }
}

fn u64_at(bytes: &[u8; 32], offset: usize) -> u64 {
    u64::from_le_bytes(*bytes[offset..].first_chunk().expect("offsets are constants within the payload"))
}

fn u32_at(bytes: &[u8; 32], offset: usize) -> u32 {
    u32::from_le_bytes(*bytes[offset..].first_chunk().expect("offsets are constants within the payload"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_word_keeps_each_field_in_its_bits() {
        let word = CommitWord { length: 0x0102_0304, kind: 5, flags: 6, sequence_low: 0x0708 };
        assert_eq!(word.pack(), 0x0708_0605_0102_0304);
        assert_eq!(CommitWord::unpack(word.pack()), word);
    }

    #[test]
    fn a_block_opening_that_was_touched_anywhere_is_refused() {
        let (position, sequence, epoch) = (Position(BLOCK * 7), Sequence(99), Epoch(3));
        let opening = BlockOpening { position, sequence, epoch, under_way_bytes: 5000 };
        let bytes = opening.encode();
        assert_eq!(BlockOpening::decode(&bytes), Some(opening));
        for bit in 0..28 * 8 {
            let mut touched = bytes;
            touched[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockOpening::decode(&touched), None, "bit {bit}");
        }
    }

    #[test]
    fn a_message_under_way_began_as_many_blocks_ago_as_its_bytes_fill() {
        let began = |under_way_bytes: u64| {
            let (position, sequence, epoch) = (Position(BLOCK * 7), Sequence(99), Epoch(3));
            BlockOpening { position, sequence, epoch, under_way_bytes: under_way_bytes as u32 }.message_block().0
                / BLOCK
        };
        // Of its first block a message may have as little as one word.
        let cases = [(0, 7), (8, 6), (FRAGMENT_BYTES_MAX, 6), (FRAGMENT_BYTES_MAX + 8, 5), (3 * FRAGMENT_BYTES_MAX, 4)];
        assert_eq!(cases.map(|(bytes, _)| began(bytes)), cases.map(|(_, block)| block));
        assert_eq!(began(u64::from(u32::MAX)), 0, "what no honest writer says");
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for number in 0..=255 {
            assert!(Kind::of(number).is_none_or(|kind| kind as u8 == number));
        }
        assert_eq!((1..=8).filter_map(Kind::of).count(), 8);
    }
}
