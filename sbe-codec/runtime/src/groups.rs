//! Repeating groups, as they are read.

use core::cell::Cell;
use core::marker::PhantomData;

use crate::block::Block;
use crate::error::Error;
use crate::reader::{Inside, Reader};

/// Entries without a fixed part that a group may bring, or as many as bytes are left: it could claim four billion for
/// nothing.
const EMPTY_ENTRIES_MAX: u64 = 65_535;

/// Refuses a count for which there are no bytes, before anybody acts on it.
#[inline(always)]
fn check(left: usize, length: u64, count: u64, what: &'static str) -> Result<(usize, u32), Error> {
    let needed = length.saturating_mul(count);
    let few = || count <= EMPTY_ENTRIES_MAX || count <= left as u64;
    match (usize::try_from(length), u32::try_from(count)) {
        (Ok(length), Ok(count)) if needed <= left as u64 && (length > 0 || few()) => Ok((length, count)),
        _ if length == 0 => Err(Error::EmptyEntries { what, count, limit: left.max(EMPTY_ENTRIES_MAX as usize) }),
        _ => Err(Error::Truncated { what, needed, left }),
    }
}

/// A group whose entries have only a fixed part.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'a, const BASE: usize, H = ()> {
    entries: &'a [u8],
    length: usize,
    count: u32,
    rest: Reader<'a, H>,
}

impl<'a, const BASE: usize, H> Flat<'a, BASE, H> {
    #[inline(always)]
    pub(crate) fn new(reader: Reader<'a, H>, length: u64, count: u64, what: &'static str) -> Result<Self, Error> {
        let (length, count) = check(reader.bytes.len(), length, count, what)?;
        if length < BASE && count > 0 {
            return Err(Error::ShortBlock { what, length, needed: BASE });
        }
        let (entries, rest) = reader.bytes(length as u64 * u64::from(count), what)?;
        Ok(Flat { entries, length, count, rest })
    }

    /// The number of entries.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The version of the schema that the writer had.
    #[inline(always)]
    pub fn version(&self) -> u16 {
        self.rest.version
    }

    /// The entries, each made from its block.
    #[inline(always)]
    pub fn entries<E: From<Block<'a, BASE>>>(&self) -> Entries<'a, BASE, E> {
        let Flat { entries, length, count, .. } = *self;
        Entries { bytes: entries, length, left: count, version: self.rest.version, made: PhantomData }
    }

    /// Behind the group.
    #[inline(always)]
    pub fn end(self) -> Reader<'a, H> {
        self.rest
    }
}

/// The entries of a [`Flat`] group, in order.
#[derive(Clone, Debug)]
pub struct Entries<'a, const BASE: usize, E> {
    bytes: &'a [u8],
    length: usize,
    left: u32,
    version: u16,
    made: PhantomData<E>,
}

impl<'a, const BASE: usize, E: From<Block<'a, BASE>>> Iterator for Entries<'a, BASE, E> {
    type Item = E;

    #[inline(always)]
    fn next(&mut self) -> Option<E> {
        self.left = self.left.checked_sub(1)?;
        let (block, rest) = self.bytes.split_at_checked(self.length)?;
        self.bytes = rest;
        Block::new(block, self.version, "").ok().map(E::from)
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl<'a, const BASE: usize, E: From<Block<'a, BASE>>> ExactSizeIterator for Entries<'a, BASE, E> {}

/// A group whose entries have groups or data of their own, so that where one ends is known when it was read. An entry
/// that is not read to its end is skipped.
#[derive(Clone, Debug)]
pub struct Nested<'a, H = ()> {
    length: usize,
    count: u32,
    version: u16,
    what: &'static str,
    state: Cell<State<'a>>,
    home: H,
}

/// How far the entries of a [`Nested`] group are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State<'a> {
    /// Entries not begun.
    pub(crate) left: u32,
    /// Is `rest` behind the fixed part of an entry, and not behind the entry?
    pub(crate) inside: bool,
    pub(crate) rest: &'a [u8],
}

impl<'a, H> Nested<'a, H> {
    #[inline(always)]
    pub(crate) fn new(reader: Reader<'a, H>, length: u64, count: u64, what: &'static str) -> Result<Self, Error> {
        let Reader { bytes: rest, version, home } = reader;
        let (length, count) = check(rest.len(), length, count, what)?;
        let state = Cell::new(State { left: count, inside: false, rest });
        Ok(Nested { length, count, version, what, state, home })
    }

    /// The number of entries.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The version of the schema that the writer had.
    #[inline(always)]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The next entry: its block, and the reader of what follows it. `skip` walks over what follows a block.
    ///
    /// After an error there are no more entries.
    #[inline(always)]
    pub fn next<const BASE: usize>(&self, skip: impl Skip<'a>) -> Option<Result<Entry<'_, 'a, BASE>, Error>> {
        let entry = self.step(skip).transpose()?;
        if entry.is_err() {
            self.state.set(State { left: 0, inside: false, rest: &[] });
        }
        Some(entry)
    }

    #[inline(always)]
    fn step<const BASE: usize>(&self, skip: impl Skip<'a>) -> Result<Option<Entry<'_, 'a, BASE>>, Error> {
        let state = self.state.get();
        let at = if state.inside { walk(self.reader(state.rest), skip)? } else { self.reader(state.rest) };
        let Some(left) = state.left.checked_sub(1) else {
            self.state.set(State { left: 0, inside: false, rest: at.bytes });
            return Ok(None);
        };
        let (block, rest) = at.bytes(self.length as u64, self.what)?;
        let block = Block::new(block, self.version, self.what)?;
        self.state.set(State { left, inside: true, rest: rest.bytes });
        let home = Inside { state: &self.state, left };
        Ok(Some((block, Reader { bytes: rest.bytes, version: self.version, home })))
    }

    /// Behind the group; entries that were not read are skipped.
    ///
    /// # Errors
    /// If one of those is not whole, or an error came before.
    #[inline(always)]
    pub fn end(self, skip: impl Skip<'a>) -> Result<Reader<'a, H>, Error> {
        let State { left, inside, rest } = self.state.get();
        let bytes = match (left, inside) {
            (0, false) => rest,
            _ => finish(self.alone(), skip)?,
        };
        Ok(Reader { bytes, version: self.version, home: self.home })
    }

    /// The same where nobody waits for its end.
    #[inline(always)]
    fn alone(&self) -> Nested<'a> {
        let Nested { length, count, version, what, .. } = *self;
        Nested { length, count, version, what, state: Cell::new(self.state.get()), home: () }
    }

    #[inline(always)]
    fn reader(&self, bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, version: self.version, home: () }
    }
}

/// Walks over what follows an entry's block, where that was not read: out of line, so that it costs nothing where it was.
#[cold]
#[inline(never)]
fn walk<'a>(reader: Reader<'a>, skip: impl Skip<'a>) -> Result<Reader<'a>, Error> {
    skip(reader)
}

/// Skips all entries that are left, and gives what follows; out of line like [`walk`].
#[cold]
#[inline(never)]
fn finish<'a>(group: Nested<'a>, skip: impl Skip<'a>) -> Result<&'a [u8], Error> {
    while group.step::<0>(skip)?.is_some() {}
    Ok(group.state.get().rest)
}

/// An entry of a [`Nested`] group: its block, and the reader of what follows it.
type Entry<'g, 'a, const BASE: usize> = (Block<'a, BASE>, Reader<'a, Inside<'g, 'a>>);

/// Walks over the groups and data of an entry.
pub trait Skip<'a>: Fn(Reader<'a>) -> Result<Reader<'a>, Error> + Copy {}

impl<'a, F: Fn(Reader<'a>) -> Result<Reader<'a>, Error> + Copy> Skip<'a> for F {}
