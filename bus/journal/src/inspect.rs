//! How far a journal goes, and what of its end is whole: judged from the index of the newest segment and the few blocks
//! that no flush had confirmed. Nothing is changed here.
//!
//! Above the recorded durable position a block that does not verify is a torn tail, and the journal ends before it.
//! Below it, it is corruption: it was whole once, it is reported, and what stands behind it is kept. A slot beyond the end
//! that says nothing any more, and is not empty either, is corruption too: nobody knows how much it spoke of.

use crate::error::is_unreadable;
use crate::index::Index;
use crate::layout::Geometry;
use crate::slot::{Slot, seed};
use crate::{Corrupt, Damage, Epochs, JournalError, JournalId, segment};
use oyez_io::{Buffer, DISK_BLOCK, file};
use oyez_ring::{BLOCK, Position, Sequence, Tail};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// Where the journal ends.
    pub(crate) tail: Tail,
    /// The slot of the last block, as it must stand for `tail`; none where nothing is recorded.
    pub(crate) last: Option<Slot>,
    /// The highest position that a slot calls durable.
    pub(crate) durable: Position,
    pub(crate) torn: Option<Range<Position>>,
    pub(crate) corrupt: Vec<Corrupt>,
}

/// The segments of a folder, opened as far as they are looked at.
pub(crate) struct Inspector<'e> {
    dir: PathBuf,
    geometry: Geometry,
    id: JournalId,
    epochs: &'e Epochs,
    opened: BTreeMap<Position, (File, Index)>,
    buffer: Buffer,
}

impl<'e> Inspector<'e> {
    pub(crate) fn new(dir: &Path, geometry: Geometry, id: JournalId, epochs: &'e Epochs) -> Inspector<'e> {
        let buffer = Buffer::new(BLOCK as usize + DISK_BLOCK);
        Inspector { dir: dir.into(), geometry, id, epochs, opened: BTreeMap::new(), buffer }
    }

    /// Judges the end of the journal; `None` where it has no epoch yet.
    pub(crate) fn run(mut self) -> Result<Option<Inspection>, JournalError> {
        let Some(start) = self.epochs.last() else { return Ok(None) };
        let tail = Tail { position: Position(0), sequence: Sequence(0), time_ns: start.time_ns };
        let durable = Position(0);
        let mut found = Inspection { tail, last: None, durable, torn: None, corrupt: Vec::new() };
        let bases = segment::bases(&self.dir).map_err(JournalError::io("list", &self.dir))?;
        if let Some((last_block, end, durable)) = self.newest(&bases, &mut found.corrupt)? {
            found.durable = durable;
            // What the slots call durable may lie behind what is: so far that its segment has begun another life.
            let confirmed = Position(durable.0.saturating_sub(1)).block();
            self.walk(&mut found, confirmed.max(bases[0])..=last_block, end)?;
        }
        found.corrupt.sort_by_key(|corrupt| corrupt.from);
        found.corrupt.dedup_by(|next, last| {
            let goes_on = next.cause == last.cause && next.from <= last.to;
            last.to = if goes_on { last.to.max(next.to) } else { last.to };
            goes_on
        });
        if let Some(last) = found.last {
            found.tail.position = last.end;
            found.tail.sequence = last.next_sequence;
            found.tail.time_ns = last.last_time_ns.max(start.time_ns);
            // An epoch that is whole ends where the next begins. One that is not does not: what is missing may still be
            // in a ring that outlived its broker; where none did, it is lost, and the next epoch begins before it.
            let is_whole = self.epochs.end_of(last.epoch).is_some_and(|end| last.end >= end);
            if let Some(next) = self.epochs.successor(last.epoch).filter(|_| is_whole) {
                found.tail.position = next.position;
                found.tail.sequence = next.sequence;
            }
        }
        Ok(Some(found))
    }

    /// The last block with a slot, the furthest end, and the highest position called durable.
    fn newest(
        &mut self,
        bases: &[Position],
        corrupt: &mut Vec<Corrupt>,
    ) -> Result<Option<(Position, Position, Position)>, JournalError> {
        for base in bases.iter().copied().rev() {
            let epochs = self.epochs;
            let Some(index) = self.index(base)? else { continue };
            let known = epochs.last().map(|last| last.epoch);
            if index.all().any(|slot| Some(slot.epoch) > known) {
                let (path, entry) = (self.dir.join("epochs"), epochs.iter().count() as u64);
                return Err(JournalError::EpochsDamaged { path, entry });
            }
            let last = index.accepted(epochs).max_by_key(|slot| slot.end);
            corrupt.extend(index.unknown_beyond(last.map_or(base, |last| last.end)));
            let Some(last) = last else { continue };
            let durable = index.accepted(epochs).map(|slot| slot.durable).max();
            return Ok(Some((last.block(), last.end, durable.unwrap_or_default())));
        }
        Ok(None)
    }

    /// Verifies block after block; stops at a torn one.
    fn walk(
        &mut self,
        found: &mut Inspection,
        blocks: std::ops::RangeInclusive<Position>,
        end: Position,
    ) -> Result<(), JournalError> {
        let mut block = *blocks.start();
        while block <= *blocks.end() {
            let slots = self.slots(block)?;
            let mut whole = None;
            for slot in &slots {
                if self.verifies(slot)? {
                    whole = Some(*slot);
                    break;
                }
            }
            let expected_end = if block == *blocks.end() { end } else { self.full_end(block) };
            let sound = whole.map_or(block, |slot| slot.end);
            if sound < expected_end && found.durable <= sound {
                found.torn = Some(sound..end);
                found.last = whole.or(found.last);
                return Ok(());
            }
            if sound < expected_end {
                let cause = if slots.is_empty() { Damage::Slot } else { Damage::Data };
                found.corrupt.push(Corrupt { from: sound, to: expected_end, cause });
            }
            // A corrupt block still has its slot, and that says where the journal goes on.
            found.last = slots.first().copied().or(found.last);
            block = block.plus(BLOCK);
        }
        Ok(())
    }

    /// Where a block that is not the last ends: where the next begins, or where its epoch ended.
    fn full_end(&self, block: Position) -> Position {
        let end = self.epochs.of(block).and_then(|start| self.epochs.end_of(start.epoch));
        end.unwrap_or(Position(u64::MAX)).min(block.plus(BLOCK)).max(block)
    }

    fn slots(&mut self, block: Position) -> Result<Vec<Slot>, JournalError> {
        let (base, epochs) = (self.geometry.base(block), self.epochs);
        Ok(self.index(base)?.map_or_else(Vec::new, |index| index.of_block(block, epochs)))
    }

    /// Whether a block's bytes are those that its slot was written for.
    fn verifies(&mut self, slot: &Slot) -> Result<bool, JournalError> {
        let block = slot.block();
        let base = self.geometry.base(block);
        let Some((file, _)) = self.opened.get(&base) else { return Ok(false) };
        let len_bytes = (slot.end.0 - block.0) as usize;
        match file::read_at(file, self.geometry.data_at(block), len_bytes, &mut self.buffer) {
            Ok(bytes) => Ok(crc32c::crc32c_append(seed(self.id, block, slot.epoch), bytes) == slot.data_crc),
            Err(error) if is_unreadable(&error) => Ok(false),
            Err(error) => Err(JournalError::io("read", &self.dir.join(self.geometry.file_name(base)))(error)),
        }
    }

    fn index(&mut self, base: Position) -> Result<Option<&Index>, JournalError> {
        if !self.opened.contains_key(&base) {
            let path = self.dir.join(self.geometry.file_name(base));
            let file = match file::open_direct(&path, false) {
                Ok((file, _)) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(JournalError::io("open", &path)(error)),
            };
            // Where the page cache is between, it may still show what a failed flush has lost.
            let index = file::forget_cached(&file).and_then(|()| Index::read(&file, self.geometry, self.id, base));
            self.opened.insert(base, (file, index.map_err(JournalError::io("read", &path))?));
        }
        Ok(self.opened.get(&base).map(|(_, index)| index))
    }
}
