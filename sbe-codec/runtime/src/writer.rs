//! Where an encoder is in its buffer.

use crate::error::Error;

/// The bytes of a buffer that are not yet written, and the groups that are open around them.
#[derive(Debug)]
pub struct Writer<'a, S = Start> {
    rest: &'a mut [u8],
    state: S,
}

/// No group is open.
#[derive(Debug)]
pub struct Start {
    buffer_bytes: usize,
}

/// A group is open. Its counts are written when it is closed.
#[derive(Debug)]
pub struct Open<'a, const DIMENSION: usize, S = Start> {
    dimension: &'a mut [u8; DIMENSION],
    count: usize,
    outer: S,
}

impl<'a> Writer<'a> {
    /// At the start of a buffer.
    #[inline(always)]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Writer { state: Start { buffer_bytes: buffer.len() }, rest: buffer }
    }

    /// The bytes written.
    #[inline(always)]
    pub fn end(self) -> usize {
        self.state.buffer_bytes - self.rest.len()
    }
}

impl<'a, S> Writer<'a, S> {
    /// The next `N` bytes, to be written.
    ///
    /// # Errors
    /// If the buffer has fewer.
    #[inline(always)]
    pub fn array<const N: usize>(self, what: &'static str) -> Result<(&'a mut [u8; N], Self), Error> {
        let left = self.rest.len();
        match self.rest.split_first_chunk_mut() {
            Some((array, rest)) => Ok((array, Writer { rest, state: self.state })),
            None => Err(Error::BufferFull { what, needed: N, left }),
        }
    }

    /// Writes the bytes.
    ///
    /// # Errors
    /// If the buffer has fewer left.
    #[inline(always)]
    pub fn bytes(self, bytes: &[u8], what: &'static str) -> Result<Self, Error> {
        let left = self.rest.len();
        match self.rest.split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                place.copy_from_slice(bytes);
                Ok(Writer { rest, state: self.state })
            }
            None => Err(Error::BufferFull { what, needed: bytes.len(), left }),
        }
    }

    /// Opens a group.
    ///
    /// # Errors
    /// If the buffer has no room for its counts.
    #[inline(always)]
    pub fn open<const DIMENSION: usize>(self, what: &'static str) -> Result<Writer<'a, Open<'a, DIMENSION, S>>, Error> {
        let (dimension, Writer { rest, state }) = self.array(what)?;
        Ok(Writer { rest, state: Open { dimension, count: 0, outer: state } })
    }
}

impl<'a, const DIMENSION: usize, S> Writer<'a, Open<'a, DIMENSION, S>> {
    /// One more entry, whose fixed part has `N` bytes.
    ///
    /// # Errors
    /// If the buffer has fewer left.
    #[inline(always)]
    pub fn entry<const N: usize>(self, what: &'static str) -> Result<(&'a mut [u8; N], Self), Error> {
        let (entry, mut writer) = self.array(what)?;
        writer.state.count += 1;
        Ok((entry, writer))
    }

    /// Closes the group: gives the place for its counts and the number of its entries.
    #[inline(always)]
    pub fn close(self) -> (&'a mut [u8; DIMENSION], usize, Writer<'a, S>) {
        let Open { dimension, count, outer } = self.state;
        (dimension, count, Writer { rest: self.rest, state: outer })
    }
}
