//! Random schemas, and messages and JSON of them, out of a string of bytes that proptest can shorten.

pub(crate) mod json;
pub(crate) mod message;
pub(crate) mod schema;

use proptest::prelude::*;

/// Decisions, each a byte; zero, the plainest choice, when they have run out.
pub(crate) struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

pub(crate) fn choices(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..length)
}

impl Choices {
    pub(crate) fn new(bytes: Vec<u8>) -> Choices {
        Choices { bytes: bytes.into_iter() }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes.next().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times == times - 1
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }
}
