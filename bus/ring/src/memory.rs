//! The ring's data memory, to be read: positions turned into offsets, and the mark.

use crate::{BLOCK, Position};
use oyez_mem::Region;

/// The data memory of one epoch's ring. Clones share the mapping.
#[derive(Clone, Debug)]
pub struct Memory {
    region: Region,
    capacity_bytes: u64,
}

impl Memory {
    /// Bytes that a ring of `capacity_bytes` takes: the ring, and the header block behind it.
    pub const fn len_bytes(capacity_bytes: u64) -> u64 {
        capacity_bytes + BLOCK
    }

    /// A ring of `capacity_bytes`, a power of two of at least two blocks.
    ///
    /// # Panics
    /// Where the region is shorter than [`Memory::len_bytes`]: sizes come from the broker and are checked on arrival.
    pub fn new(region: Region, capacity_bytes: u64) -> Memory {
        assert!(capacity_bytes.is_power_of_two() && capacity_bytes >= 2 * BLOCK, "capacity {capacity_bytes}");
        assert!(region.len_bytes() as u64 >= Self::len_bytes(capacity_bytes), "region of {}", region.len_bytes());
        Memory { region, capacity_bytes }
    }

    /// Bytes of the ring.
    #[inline(always)]
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// Everything below this, less the capacity, is being overwritten or soon will be. Relaxed.
    #[inline(always)]
    pub fn mark(&self) -> Position {
        Position(self.region.load(self.capacity_bytes as usize))
    }

    /// What the ring of an epoch that starts at `start` can hold now, [a, b): where a reader may begin, and how far the
    /// writer may have come.
    pub fn window(&self, start: Position) -> (Position, Position) {
        let mark = self.mark().max(start);
        (Position(mark.0.saturating_sub(self.capacity_bytes)).max(start), mark)
    }

    /// Whether what was copied from `position` on, and fenced, is what was published there.
    #[inline(always)]
    pub fn holds(&self, position: Position) -> bool {
        self.mark().0.wrapping_sub(position.0) <= self.capacity_bytes
    }

    /// The address of `position` and the bytes up to the ring's end: for the kernel, which writes files from here.
    #[cfg(not(loom))]
    pub fn address(&self, position: Position) -> (usize, u64) {
        let offset = self.offset(position);
        (self.region.address(offset), self.capacity_bytes - offset as u64)
    }

    /// Copies the bytes at `position`, which do not cross a block's end. Judge with [`Memory::holds`].
    #[inline(always)]
    pub fn copy_out(&self, position: Position, out: &mut [u8]) {
        self.region.copy_out(self.offset(position), out);
    }

    #[inline(always)]
    pub(crate) fn load(&self, position: Position) -> u64 {
        self.region.load(self.offset(position))
    }

    #[inline(always)]
    fn offset(&self, position: Position) -> usize {
        (position.0 & (self.capacity_bytes - 1)) as usize
    }
}
