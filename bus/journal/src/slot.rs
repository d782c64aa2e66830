//! The index: one slot per block. What ends where, which messages are in it, and whether its bytes are whole.
//! `docs/formats/segment.md`.

use crate::JournalId;
use crate::layout::{SLOT_BYTES, put, u32_at, u64_at};
use oyez_ring::{Epoch, Position, Sequence};

/// What is recorded of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The end of the last frame recorded; above the block's start, at most the next block's.
    pub(crate) end: Position,
    /// The sequence of the first message at or after the block's start.
    pub(crate) first_sequence: Sequence,
    /// One past the last message's sequence.
    pub(crate) next_sequence: Sequence,
    /// Publish time of the first frame that carries one.
    pub(crate) first_time_ns: u64,
    /// The highest publish time up to the end.
    pub(crate) last_time_ns: u64,
    /// What was confirmed durable when the slot was written.
    pub(crate) durable: Position,
    pub(crate) epoch: Epoch,
    /// Over [`seed`] and the block's bytes up to `end`.
    pub(crate) data_crc: u32,
}

impl Slot {
    /// The block it speaks of.
    pub(crate) fn block(&self) -> Position {
        Position(self.end.0 - 1).block()
    }

    pub(crate) fn encode(&self, id: JournalId) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        put(&mut bytes, 0, &self.end.0.to_le_bytes());
        put(&mut bytes, 8, &self.first_sequence.0.to_le_bytes());
        put(&mut bytes, 16, &self.next_sequence.0.to_le_bytes());
        put(&mut bytes, 24, &self.first_time_ns.to_le_bytes());
        put(&mut bytes, 32, &self.last_time_ns.to_le_bytes());
        put(&mut bytes, 40, &self.durable.0.to_le_bytes());
        put(&mut bytes, 48, &self.epoch.0.to_le_bytes());
        put(&mut bytes, 52, &self.data_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed(id, self.block(), self.epoch), &bytes[..60]);
        put(&mut bytes, 60, &crc.to_le_bytes());
        bytes
    }

    /// The slot in these bytes; `None` where they are no slot of this journal, or were touched.
    pub(crate) fn decode(bytes: &[u8], id: JournalId) -> Option<Slot> {
        let bytes: &[u8; SLOT_BYTES] = bytes.first_chunk()?;
        let slot = Slot {
            end: Position(u64_at(bytes, 0)),
            first_sequence: Sequence(u64_at(bytes, 8)),
            next_sequence: Sequence(u64_at(bytes, 16)),
            first_time_ns: u64_at(bytes, 24),
            last_time_ns: u64_at(bytes, 32),
            durable: Position(u64_at(bytes, 40)),
            epoch: Epoch(u32_at(bytes, 48)),
            data_crc: u32_at(bytes, 52),
        };
        let whole = slot.end.0 > 0
            && crc32c::crc32c_append(seed(id, slot.block(), slot.epoch), &bytes[..60]) == u32_at(bytes, 60);
        whole.then_some(slot)
    }
}

/// Where every CRC of a block and of its slot begins: bytes that an earlier life of the file, another place or another
/// epoch left there never verify.
pub(crate) fn seed(id: JournalId, block: Position, epoch: Epoch) -> u32 {
    let mut bytes = [0; 20];
    put(&mut bytes, 0, &id.0.to_le_bytes());
    put(&mut bytes, 8, &block.0.to_le_bytes());
    put(&mut bytes, 16, &epoch.0.to_le_bytes());
    crc32c::crc32c(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::BLOCK;

    fn slot() -> Slot {
        Slot {
            end: Position(3 * BLOCK + 4096),
            first_sequence: Sequence(10),
            next_sequence: Sequence(60),
            first_time_ns: 1000,
            last_time_ns: 2000,
            durable: Position(3 * BLOCK + 8),
            epoch: Epoch(2),
            data_crc: 0x1234_5678,
        }
    }

    #[test]
    fn every_bit_of_a_slot_counts() {
        let bytes = slot().encode(JournalId(9));
        assert_eq!(Slot::decode(&bytes, JournalId(9)), Some(slot()));
        for bit in 0..SLOT_BYTES * 8 {
            let mut touched = bytes;
            touched[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::decode(&touched, JournalId(9)), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_and_another_journal_s_slot_are_none() {
        assert_eq!(Slot::decode(&[0; SLOT_BYTES], JournalId(0)), None);
        assert_eq!(Slot::decode(&slot().encode(JournalId(9)), JournalId(8)), None);
    }

    #[test]
    fn the_last_byte_decides_the_block() {
        assert_eq!(slot().block(), Position(3 * BLOCK));
        let full = Slot { end: Position(4 * BLOCK), ..slot() };
        assert_eq!(full.block(), Position(3 * BLOCK));
    }
}
