//! The ring of one epoch at the broker: handed out step by step in the one safe order, or adopted from the store.
//!
//! ```text
//!   spare ──► head written ──► stored, acknowledged ──► epoch durable ──► HandOut: the owner maps a re-opened descriptor
//!                                                                            │ size checked, writers sealed out,
//!                                                                            ▼ every writable descriptor closed
//!   store of a former life ──► missing seals added ─────────────────────────► Ring: readers may have it
//! ```
//!
//! Each step shuts a hole: an unstored ring would die with the broker, an epoch that is not durable could be given twice,
//! the original descriptor escapes the lease and can be sealed for ever, an unsealed memory can be shrunk or written by
//! whoever re-opens it.

use std::os::fd::{AsFd, OwnedFd};

use oyez_journal::{JournalError, find_end};
use oyez_mem::memory::{self, Access, MemoryError};
use oyez_ring::{
    Control, ControlMut, Epoch, EpochStart, FRAME_HEADER, Memory, Poll, Position, Reader, Region, RegionMut, State,
    Tail, write_head,
};

use crate::spare::{self, Spare};
use crate::store::Store;

/// Why no ring could be handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HandOutError {
    /// No memory, no descriptors, or somebody tampered with it.
    #[error("{0}")]
    Memory(#[from] MemoryError),
    /// The store would not take it.
    #[error("the ring cannot be kept for a restart: {0}; restart the broker under its keeper")]
    Store(std::io::Error),
    /// The epoch could not be made durable.
    #[error("{0}")]
    Journal(#[from] JournalError),
}

/// Where a ring belongs, as the store's names say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingName {
    pub(crate) topic: String,
    pub(crate) partition: u16,
    pub(crate) epoch: Epoch,
    pub(crate) capacity_bytes: u64,
    /// The user whom it was offered to.
    pub(crate) uid: u32,
}

impl std::fmt::Display for RingName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RingName { topic, partition, epoch, capacity_bytes, uid } = self;
        write!(f, "ring.{topic}.{partition}.{epoch}.{capacity_bytes}.{uid}")
    }
}

impl RingName {
    /// Reads a name back; `None` for what the broker did not store.
    pub(crate) fn parse(name: &str) -> Option<RingName> {
        let mut fields = name.strip_prefix("ring.")?.rsplitn(5, '.');
        let uid = fields.next()?.parse().ok()?;
        let capacity_bytes = fields.next()?.parse().ok()?;
        let epoch = Epoch(fields.next()?.parse().ok()?);
        let partition = fields.next()?.parse().ok()?;
        Some(RingName { topic: fields.next()?.to_owned(), partition, epoch, capacity_bytes, uid })
    }
}

/// A ring between offer and grant: the owner may map it, nobody else may see it.
#[derive(Debug)]
pub(crate) struct HandOut {
    original: OwnedFd,
    ring: Ring,
    tail: Tail,
}

/// A ring that readers may have.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) name: RingName,
    pub(crate) start: EpochStart,
    pub(crate) memory: Memory,
    pub(crate) control: ControlMut,
    /// Both opened read-only.
    data: OwnedFd,
    control_page: OwnedFd,
    /// Where the epoch ended, once it has.
    pub(crate) end: Option<Tail>,
    /// The recorder has taken it to its end.
    pub(crate) recorded: bool,
}

impl HandOut {
    /// Head, store, `epochs`: after this the ring can be offered. Where it fails, nobody was told of anything.
    pub(crate) fn begin(
        spare: Spare,
        name: RingName,
        start: EpochStart,
        recorded: bool,
        store: &mut Store,
        begin_epoch: impl FnOnce(&EpochStart) -> Result<(), JournalError>,
        now_ns: u64,
    ) -> Result<HandOut, HandOutError> {
        let Spare { original, region, capacity_bytes, .. } = spare;
        let tail = {
            // The one mapping that writes; it is gone before anybody else gets one.
            let writable = map_mut(&original, Memory::len_bytes(capacity_bytes))?;
            write_head(&writable, capacity_bytes, &start, now_ns)
        };
        let stored = name.to_string();
        let ring = Ring::new(&original, region, name, start, recorded)?;
        store.put(&stored, original.as_fd()).map_err(HandOutError::Store)?;
        if let Err(error) = begin_epoch(&start) {
            // Nobody has seen it. A store that does not hear of this keeps it until the broker's next life drops it.
            let _ = store.remove(&stored);
            return Err(error.into());
        }
        Ok(HandOut { original, ring, tail })
    }

    /// A writable descriptor for the owner: re-opened, since the kernel's leases count only such.
    pub(crate) fn writable(&self) -> Result<OwnedFd, MemoryError> {
        memory::reopen(&self.original, Access::Write)
    }

    /// Where the owner begins.
    pub(crate) fn tail(&self) -> Tail {
        self.tail
    }

    /// The epoch on offer.
    pub(crate) fn epoch(&self) -> Epoch {
        self.ring.start.epoch
    }

    /// Its name in the store.
    pub(crate) fn name(&self) -> String {
        self.ring.name.to_string()
    }

    /// The control page, opened read-only.
    pub(crate) fn control_page(&self) -> &OwnedFd {
        &self.ring.control_page
    }

    /// Ends the hand-out: from here on nobody can open the memory for writing, and readers may have it.
    pub(crate) fn seal(self) -> Result<Ring, MemoryError> {
        memory::check_size(&self.original, Memory::len_bytes(self.ring.name.capacity_bytes))?;
        memory::seal_writers(&self.original)?;
        Ok(self.ring)
    }
}

impl Ring {
    fn new(
        original: &OwnedFd,
        region: Region,
        name: RingName,
        start: EpochStart,
        recorded: bool,
    ) -> Result<Ring, MemoryError> {
        let gate = if recorded { start.position.plus(name.capacity_bytes) } else { Position(u64::MAX) };
        let (control, control_page) = control_page(start.position, gate)?;
        let data = memory::reopen(original, Access::Read)?;
        let memory = Memory::new(region, name.capacity_bytes);
        Ok(Ring { name, start, memory, control, data, control_page, end: None, recorded: false })
    }

    /// Takes over a ring of the broker's former life; `stored` is open for writing, so that seals can be completed.
    pub(crate) fn adopt(
        stored: &OwnedFd,
        name: RingName,
        start: EpochStart,
        recorded: bool,
    ) -> Result<Ring, MemoryError> {
        let len_bytes = Memory::len_bytes(name.capacity_bytes);
        memory::check_size(stored, len_bytes)?;
        memory::seal_writers(stored)?;
        let region = spare::map(&memory::reopen(stored, Access::Read)?, len_bytes)?;
        Ring::new(stored, region, name, start, recorded)
    }

    /// An adopted ring that is recorded up to here: the gate stands where the recorder would put it, so that its owner
    /// need not wait for that.
    pub(crate) fn recorded_before(&mut self, written: Position) {
        self.control.set_gate(written.block().max(self.start.position).plus(self.name.capacity_bytes));
        self.control.set_written(written);
        self.control.set_durable(written);
    }

    /// What readers get: data memory and control page, both opened read-only.
    pub(crate) fn readable(&self) -> [&OwnedFd; 2] {
        [&self.data, &self.control_page]
    }

    /// Whether no process can write the ring any more: the kernel's answer, not a guess.
    pub(crate) fn nobody_writes(&self) -> std::io::Result<bool> {
        oyez_mem::lease::nobody_writes(&self.data)
    }

    /// Where the committed frames end, judged from `from` on as the recorder judges. The flag tells that the end is not
    /// clean: there stands what no honest writer writes.
    pub(crate) fn find_end(&self, from: Tail, now_ns: u64) -> (Tail, bool) {
        let (end, broken) = find_end(self.memory.clone(), self.start, from, self.control.gate(), now_ns);
        (end, broken.is_some())
    }

    /// The newest block that its owner has opened. `None`: the owner has written what cannot be.
    pub(crate) fn newest_block(&self) -> Option<Tail> {
        let EpochStart { epoch, position: start, sequence, time_ns, .. } = self.start;
        let position = Reader::newest_block(&self.memory, epoch, start);
        let mut reader = Reader::at(self.memory.clone(), epoch, position);
        let Ok(Poll::Frame(frame)) = reader.poll_any() else { return None };
        let messages = frame.sequence.0.checked_sub(sequence.0)?;
        let messages_max = (position.0 - start.0) / FRAME_HEADER;
        (messages <= messages_max).then_some(Tail { position, sequence: frame.sequence, time_ns })
    }

    /// Says that the epoch is over: first where, then that.
    pub(crate) fn close(&mut self, end: Tail, state: State) {
        self.end = Some(end);
        self.control.set_end(end.position);
        self.control.set_state(state);
    }
}

/// Makes a control page: mapped by the broker, then sealed against every other writer.
fn control_page(start: Position, gate: Position) -> Result<(ControlMut, OwnedFd), MemoryError> {
    let original = memory::create("oyez-control", Control::LEN_BYTES as u64)?;
    let page = map_mut(&memory::reopen(&original, Access::Write)?, Control::LEN_BYTES as u64)?;
    memory::seal_writers(&original)?;
    Ok((ControlMut::open(page, start, gate), memory::reopen(&original, Access::Read)?))
}

fn map_mut(memory: &OwnedFd, len_bytes: u64) -> Result<RegionMut, MemoryError> {
    RegionMut::map(memory, len_bytes as usize).map_err(|error| MemoryError::from_map("oyez", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_dots_and_all() {
        let name =
            RingName { topic: "md.eq.0".into(), partition: 3, epoch: Epoch(9), capacity_bytes: 1 << 21, uid: 1_000 };
        assert_eq!(name.to_string(), "ring.md.eq.0.3.9.2097152.1000");
        assert_eq!(RingName::parse(&name.to_string()), Some(name));
        for foreign in ["", "ring", "stored", "ring.a.b.c", "ring.a.1.2", "ring.a.1.2.3", "ring.a.1.2.3.x"] {
            assert_eq!(RingName::parse(foreign), None, "{foreign}");
        }
    }
}
