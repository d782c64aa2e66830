//! Where things are in a segment's file. `docs/formats/segment.md`.

use crate::JournalId;
use crate::recorder::PLACES;
use oyez_io::DISK_BLOCK;
use oyez_ring::{BLOCK, Position};

/// Bytes of one slot.
pub(crate) const SLOT_BYTES: usize = 64;
/// Slots that share a disk block, and so are written together.
pub(crate) const PAGE_SLOTS: u64 = (DISK_BLOCK / SLOT_BYTES) as u64;
/// Bytes of data that one page of slots speaks of.
pub(crate) const PAGE_SPAN: u64 = PAGE_SLOTS * BLOCK;
/// The version of every format in this crate.
pub(crate) const VERSION: u32 = 1;
const PAGE: u64 = DISK_BLOCK as u64;
const MAGIC: u64 = u64::from_le_bytes(*b"OYEZSEG\0");

/// The shape of a segment: data, header, the places of the open block's slot, one slot per block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) segment_bytes: u64,
}

impl Geometry {
    pub(crate) const fn base(self, position: Position) -> Position {
        Position(position.0 - position.0 % self.segment_bytes)
    }

    pub(crate) const fn data_at(self, position: Position) -> u64 {
        position.0 % self.segment_bytes
    }

    pub(crate) const fn header_at(self) -> u64 {
        self.segment_bytes
    }

    /// The places of the open block's slot, each in a disk block of its own.
    pub(crate) const fn open_at(self, which: usize) -> u64 {
        self.segment_bytes + PAGE * (1 + which as u64)
    }

    pub(crate) const fn slots_at(self) -> u64 {
        self.open_at(PLACES)
    }

    pub(crate) const fn slot_at(self, block: Position) -> u64 {
        self.slots_at() + self.data_at(block) / BLOCK * SLOT_BYTES as u64
    }

    /// The page of slots that speaks of `block`, by number within its segment.
    pub(crate) const fn page_of(self, block: Position) -> u64 {
        self.data_at(block) / PAGE_SPAN
    }

    pub(crate) const fn page_at(self, page: u64) -> u64 {
        self.slots_at() + page * PAGE
    }

    pub(crate) const fn blocks(self) -> u64 {
        self.segment_bytes / BLOCK
    }

    pub(crate) const fn file_bytes(self) -> u64 {
        self.slots_at() + (self.blocks() * SLOT_BYTES as u64).next_multiple_of(PAGE)
    }

    pub(crate) fn file_name(self, base: Position) -> String {
        format!("{:020}.segment", base.0)
    }
}

/// The header's 64 bytes; its disk block is zero behind them.
pub(crate) fn header(id: JournalId, geometry: Geometry, base: Position) -> [u8; 64] {
    let mut bytes = [0; 64];
    put(&mut bytes, 0, &MAGIC.to_le_bytes());
    put(&mut bytes, 8, &VERSION.to_le_bytes());
    put(&mut bytes, 16, &id.0.to_le_bytes());
    put(&mut bytes, 24, &base.0.to_le_bytes());
    put(&mut bytes, 32, &geometry.segment_bytes.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..60]);
    put(&mut bytes, 60, &crc.to_le_bytes());
    bytes
}

pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(*bytes[offset..].first_chunk().expect("within a record of fixed size"))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(*bytes[offset..].first_chunk().expect("within a record of fixed size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_segment_do_not_overlap() {
        for blocks in [64, 128, 4096] {
            let geometry = Geometry { segment_bytes: blocks * BLOCK };
            let base = Position(7 * geometry.segment_bytes);
            assert_eq!(geometry.base(base.plus(geometry.segment_bytes - 8)), base);
            assert_eq!(geometry.header_at(), geometry.segment_bytes);
            assert_eq!(geometry.open_at(0), geometry.header_at() + PAGE);
            assert_eq!(geometry.open_at(1), geometry.open_at(0) + PAGE);
            assert_eq!(geometry.slots_at(), geometry.open_at(2) + PAGE);
            let last = base.plus(geometry.segment_bytes - BLOCK);
            assert_eq!(geometry.slot_at(last) + SLOT_BYTES as u64, geometry.file_bytes());
            assert_eq!(geometry.page_at(geometry.page_of(last)), geometry.slot_at(last) / PAGE * PAGE);
        }
    }
}
