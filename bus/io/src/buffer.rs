//! Memory as a direct write wants it.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// The unit of direct I/O here: address, offset and length are multiples of it.
pub const DISK_BLOCK: usize = 4096;

/// Zeroed bytes on the heap that begin at a multiple of [`DISK_BLOCK`].
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    len_bytes: usize,
}

impl Buffer {
    /// Allocates; `len_bytes` is a multiple of [`DISK_BLOCK`].
    ///
    /// # Panics
    /// Where it is not.
    pub fn new(len_bytes: usize) -> Buffer {
        assert!(len_bytes.is_multiple_of(DISK_BLOCK), "a buffer holds whole disk blocks");
        let memory = vec![0; len_bytes + DISK_BLOCK];
        // The heap does not move, so the distance to the next disk block stays what it is.
        let start = memory.as_ptr().addr().next_multiple_of(DISK_BLOCK) - memory.as_ptr().addr();
        Buffer { memory, start, len_bytes }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len_bytes]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len_bytes]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Buffer({} bytes)", self.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_disk_block_and_is_zero() {
        for blocks in [0, 1, 3, 16] {
            let buffer = Buffer::new(blocks * DISK_BLOCK);
            assert_eq!(buffer.len(), blocks * DISK_BLOCK);
            assert!(buffer.as_ptr().addr().is_multiple_of(DISK_BLOCK) || blocks == 0);
            assert!(buffer.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    #[should_panic(expected = "whole disk blocks")]
    fn part_of_a_disk_block_is_refused() {
        Buffer::new(DISK_BLOCK + 1);
    }
}
