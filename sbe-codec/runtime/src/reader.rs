//! Where a decoder is in a message.

use core::cell::Cell;

use crate::block::Block;
use crate::error::Error;
use crate::groups::{Flat, Nested, State};

/// What a message header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The length of the message's fixed part.
    pub block_length: u16,
    /// The message's number.
    pub template_id: u16,
    /// The schema's number; nothing where it is not on the wire.
    pub schema_id: Option<u16>,
    /// The version of the schema that the writer had.
    pub version: u16,
}

impl Header {
    /// # Errors
    /// If the message is of another schema.
    #[inline(always)]
    pub fn of_schema(&self, expected: u16) -> Result<(), Error> {
        match self.schema_id {
            Some(found) if found != expected => Err(Error::SchemaId { found, expected }),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// If it is another message.
    #[inline(always)]
    pub fn of_template(&self, expected: u16) -> Result<(), Error> {
        let found = self.template_id;
        if found == expected { Ok(()) } else { Err(Error::TemplateId { found }) }
    }
}

/// The bytes of the header at the start of a message, and those behind it.
///
/// # Errors
/// If there are too few.
#[inline(always)]
pub fn header<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Error> {
    bytes.split_first_chunk().ok_or(Error::Truncated {
        what: "the message header",
        needed: N as u64,
        left: bytes.len(),
    })
}

/// The bytes of a message that are not yet read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a, H = ()> {
    pub(crate) bytes: &'a [u8],
    pub(crate) version: u16,
    pub(crate) home: H,
}

/// Behind a message, or behind an entry of a group: all of it was read.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    rest: &'a [u8],
}

impl<'a> End<'a> {
    /// The bytes that follow.
    #[inline(always)]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// Who must know where an entry ends: nobody for a message, its group for an entry.
pub trait Home<'a> {
    /// All before `rest` was read.
    fn reached(self, rest: &'a [u8]);
}

impl<'a> Home<'a> for () {
    #[inline(always)]
    fn reached(self, _rest: &'a [u8]) {}
}

/// The group of an entry that is being read.
#[derive(Clone, Copy, Debug)]
pub struct Inside<'g, 'a> {
    pub(crate) state: &'g Cell<State<'a>>,
    /// How many entries follow this one, which tells it from the others.
    pub(crate) left: u32,
}

impl<'a> Home<'a> for Inside<'_, 'a> {
    #[inline(always)]
    fn reached(self, rest: &'a [u8]) {
        let state = self.state.get();
        if state.inside && state.left == self.left {
            self.state.set(State { left: state.left, inside: false, rest });
        }
    }
}

impl<'a> Reader<'a> {
    /// At the start of a message, behind its header.
    #[inline(always)]
    pub fn new(bytes: &'a [u8], version: u16) -> Self {
        Reader { bytes, version, home: () }
    }
}

impl<'a, H> Reader<'a, H> {
    /// The version of the schema that the writer had.
    #[inline(always)]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// A block of `length` bytes.
    ///
    /// # Errors
    /// If there are fewer, or the block does not hold what every version has.
    #[inline(always)]
    pub fn block<const BASE: usize>(
        self,
        length: u16,
        what: &'static str,
    ) -> Result<(Block<'a, BASE>, Reader<'a, H>), Error> {
        let version = self.version;
        let (bytes, rest) = self.bytes(length.into(), what)?;
        Ok((Block::new(bytes, version, what)?, rest))
    }

    /// The next `N` bytes: the counts before a group or data.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline(always)]
    pub fn array<const N: usize>(self, what: &'static str) -> Result<(&'a [u8; N], Reader<'a, H>), Error> {
        match self.bytes.split_first_chunk() {
            Some((array, bytes)) => Ok((array, Reader { bytes, ..self })),
            None => Err(Error::Truncated { what, needed: N as u64, left: self.bytes.len() }),
        }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline(always)]
    pub fn bytes(self, length: u64, what: &'static str) -> Result<(&'a [u8], Reader<'a, H>), Error> {
        let taken = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        match taken {
            Some((taken, bytes)) => Ok((taken, Reader { bytes, ..self })),
            None => Err(Error::Truncated { what, needed: length, left: self.bytes.len() }),
        }
    }

    /// A group whose entries have only a fixed part: `count` of `length` bytes.
    ///
    /// # Errors
    /// If there are no bytes for them, or they do not hold what every version has.
    #[inline(always)]
    pub fn flat<const BASE: usize>(
        self,
        length: u64,
        count: u64,
        what: &'static str,
    ) -> Result<Flat<'a, BASE, H>, Error> {
        Flat::new(self, length, count, what)
    }

    /// A group whose entries have groups or data of their own.
    ///
    /// # Errors
    /// If there are no bytes for the fixed parts.
    #[inline(always)]
    pub fn nested(self, length: u64, count: u64, what: &'static str) -> Result<Nested<'a, H>, Error> {
        Nested::new(self, length, count, what)
    }

    /// Behind all there is.
    #[inline(always)]
    pub fn end(self) -> End<'a>
    where
        H: Home<'a>,
    {
        self.home.reached(self.bytes);
        End { rest: self.bytes }
    }
}
