//! The fixed part of a message or of an entry.

use crate::error::Error;
use crate::fixed::Fixed;

/// A received block: `BASE` bytes that every version has, and what is behind them.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a, const BASE: usize> {
    base: &'a [u8; BASE],
    rest: &'a [u8],
    version: u16,
}

impl<'a, const BASE: usize> Block<'a, BASE> {
    /// # Errors
    /// If there are fewer than `BASE` bytes.
    #[inline(always)]
    pub(crate) fn new(bytes: &'a [u8], version: u16, what: &'static str) -> Result<Self, Error> {
        match bytes.split_first_chunk() {
            Some((base, rest)) => Ok(Block { base, rest, version }),
            None => Err(Error::ShortBlock { what, length: bytes.len(), needed: BASE }),
        }
    }

    /// One that is known to be whole: a composite's bytes.
    #[inline(always)]
    pub fn of(base: &'a [u8; BASE], version: u16) -> Self {
        Block { base, rest: &[], version }
    }

    /// The version of the schema that the writer had.
    #[inline(always)]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The bytes of a field that is always there.
    #[inline(always)]
    pub fn view<const AT: usize, const LENGTH: usize>(&self) -> &'a [u8; LENGTH] {
        self.base.view::<AT, LENGTH>()
    }

    /// The bytes of a field that may be absent: since the writer's version did not have it, or the block is too short.
    #[inline(always)]
    pub fn later<const SINCE: u16, const AT: usize, const LENGTH: usize>(&self) -> Option<&'a [u8; LENGTH]> {
        const { assert!(AT + LENGTH <= BASE || AT >= BASE) }
        if self.version < SINCE {
            return None;
        }
        match AT.checked_sub(BASE) {
            Some(at) => self.rest.get(at..)?.first_chunk(),
            None => self.base[AT..].first_chunk(),
        }
    }
}
