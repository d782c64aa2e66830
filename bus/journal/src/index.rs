//! A segment's slots, read at once.

use crate::error::is_unreadable;
use crate::layout::{Geometry, SLOT_BYTES, header};
use crate::recorder::PLACES;
use crate::slot::Slot;
use crate::{Corrupt, Damage, Epochs, JournalId};
use oyez_io::{Buffer, DISK_BLOCK, file};
use oyez_ring::{BLOCK, Position};
use std::fs::File;
use std::io;

/// What a segment says of its blocks; slots that do not verify are left out, and counted.
pub(crate) struct Index {
    base: Position,
    /// The header agrees, and the file is as long as it was made.
    pub(crate) header_is_whole: bool,
    slots: Vec<Option<Slot>>,
    open: [Option<Slot>; PLACES],
    /// Blocks whose slots are neither zero nor whole; for the places of the open block, the segment's first.
    pub(crate) damaged: Vec<Position>,
    /// Of these the ones that are not a whole slot of another place either, which a file's former life may have left;
    /// none for a place of the open block.
    pub(crate) illegible: Vec<Option<Position>>,
}

impl Index {
    /// Reads a segment's header and slots: kilobytes.
    pub(crate) fn read(file: &File, geometry: Geometry, id: JournalId, base: Position) -> io::Result<Index> {
        let bytes = read_legible(file, geometry.header_at(), (geometry.file_bytes() - geometry.header_at()) as usize)?;
        let is_whole = file.metadata()?.len() >= geometry.file_bytes();
        let header_is_whole = is_whole && bytes.starts_with(&header(id, geometry, base));
        let (mut damaged, mut illegible) = (Vec::new(), Vec::new());
        let mut judge = |bytes: &[u8], of: Option<Position>, fits: &dyn Fn(&Slot) -> bool| {
            let whole = Slot::decode(bytes, id);
            let slot = whole.filter(fits);
            if slot.is_none() && bytes.iter().any(|byte| *byte != 0) {
                damaged.push(of.unwrap_or(base));
                illegible.extend(whole.is_none().then_some(of));
            }
            slot
        };
        let open = std::array::from_fn(|place| {
            let bytes = &bytes[(1 + place) * DISK_BLOCK..][..SLOT_BYTES];
            judge(bytes, None, &|slot| geometry.base(slot.block()) == base)
        });
        let bytes = &bytes[(1 + PLACES) * DISK_BLOCK..];
        let slots = (0..geometry.blocks() as usize).map(|number| {
            let block = base.plus(number as u64 * BLOCK);
            judge(&bytes[number * SLOT_BYTES..][..SLOT_BYTES], Some(block), &|slot| slot.block() == block)
        });
        let slots = slots.collect();
        Ok(Index { base, header_is_whole, slots, open, damaged, illegible })
    }

    /// All slots that `epochs` accepts.
    pub(crate) fn accepted<'i>(&'i self, epochs: &'i Epochs) -> impl Iterator<Item = &'i Slot> {
        self.all().filter(|slot| epochs.accepts(slot))
    }

    /// All whole slots, of whichever epoch.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().chain(&self.open).flatten()
    }

    /// What may have been recorded beyond `end`, as far as this segment goes, by slots that say nothing any more.
    pub(crate) fn unknown_beyond(&self, end: Position) -> impl Iterator<Item = Corrupt> {
        self.illegible.iter().filter_map(move |block| {
            let from = block.unwrap_or(self.base).max(end);
            let to = block.unwrap_or(from.block()).plus(BLOCK);
            (from < to).then_some(Corrupt { from, to, cause: Damage::Slot })
        })
    }

    /// The accepted slots of one block, the furthest first.
    pub(crate) fn of_block(&self, block: Position, epochs: &Epochs) -> Vec<Slot> {
        let number = ((block.0 - self.base.0) / BLOCK) as usize;
        let candidates = self.slots[number..=number].iter().chain(&self.open).flatten();
        let mut slots: Vec<Slot> = candidates.filter(|s| s.block() == block && epochs.accepts(s)).copied().collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.end));
        slots
    }
}

/// Bytes of whole disk blocks. One that the device cannot read becomes one that says nothing, and is not empty either.
fn read_legible(file: &File, offset: u64, len_bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Buffer::new(len_bytes);
    match file::read_at(file, offset, len_bytes, &mut buffer) {
        Ok(bytes) => return Ok(bytes.to_vec()),
        Err(error) if !is_unreadable(&error) => return Err(error),
        Err(_) => {}
    }
    let mut bytes = vec![0xff; len_bytes];
    for (number, part) in bytes.chunks_mut(DISK_BLOCK).enumerate() {
        match file::read_at(file, offset + (number * DISK_BLOCK) as u64, part.len(), &mut buffer) {
            Ok(read) => part.copy_from_slice(read),
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process's own memory, where nothing is mapped, is as unreadable as a bad sector.
    #[test]
    fn what_the_device_cannot_read_is_damaged() {
        let file = File::open("/proc/self/mem").unwrap();
        let geometry = Geometry { segment_bytes: 4 << 20 };
        let index = Index::read(&file, geometry, JournalId(1), Position(0)).unwrap();
        assert_eq!((index.all().count(), index.damaged.len()), (0, 64 + PLACES));
        assert_eq!(index.unknown_beyond(Position(0)).last().unwrap().to, Position(4 << 20));
        assert!(!index.header_is_whole);
    }
}
