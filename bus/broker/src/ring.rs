//! The ring of one epoch at the broker: handed out step by step in the one safe order, or adopted from the store.
//!
//! ```text
//!   spare ──► HandOut: whoever wants to own maps a re-opened descriptor, and answers
//!                │ size checked, writers sealed out
//!                ▼ it waits here for as long as somebody else owns the partition
//!             head written ──► stored, acknowledged ──► epoch durable ──► Ring: granted, and readers may have it
//!                                                                          ▲
//!   store of a former life ──► missing seals added ────────────────────────┘
//! ```
//!
//! Each step shuts a hole: an unstored ring would die with the broker, an epoch that is not durable could be given twice,
//! the original descriptor escapes the lease and can be sealed for ever, an unsealed memory can be shrunk or written by
//! whoever re-opens it. Nothing from the head on maps memory or waits for a page of it. What is mapped so early may be
//! scribbled on before the grant; it is judged like every frame, and what was offered to one is never offered to another.

use std::os::fd::{AsFd, OwnedFd};

use oyez_journal::{JournalError, find_end};
use oyez_mem::memory::{self, Access, MemoryError};
use oyez_ring::layout::INGRESS_EPOCH;
use oyez_ring::{
    BLOCK, Control, ControlMut, Epoch, EpochStart, FRAME_HEADER, Last, Memory, Poll, Position, Reader, Region,
    RegionMut, Sequence, State, Tail, write_head, write_head_of_many,
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
    /// Nobody can tell how far its publishers were taken, where it has many.
    #[error("{0}")]
    Unknown(String),
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

/// A ring on offer: whoever it was offered to may map it. It belongs to no epoch yet, and nobody else may see it.
#[derive(Debug)]
pub(crate) struct HandOut {
    original: OwnedFd,
    /// The broker's own, to write the head: it goes with the grant.
    head: RegionMut,
    region: Region,
    data: OwnedFd,
    /// All zeros, which is no state to publish in, until the grant.
    page: RegionMut,
    control_page: OwnedFd,
    pub(crate) capacity_bytes: u64,
    /// How far publishers were taken, where the topic has many: the head tells it.
    pub(crate) lasts: Option<Vec<Last>>,
}

/// An ingress ring: what its publisher is given, and what the core has of it.
pub(crate) struct IngressRing {
    /// To read and write.
    pub(crate) data: OwnedFd,
    /// By which the kernel tells whether somebody maps it still.
    pub(crate) lease: OwnedFd,
    pub(crate) control_page: OwnedFd,
    /// Where the first frame goes.
    pub(crate) tail: Position,
    pub(crate) reader: Reader,
    pub(crate) control: ControlMut,
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
    /// Makes a spare ready to be offered.
    pub(crate) fn new(spare: Spare) -> Result<HandOut, MemoryError> {
        let Spare { original, region, capacity_bytes, .. } = spare;
        let head = map_mut(&original, Memory::len_bytes(capacity_bytes))?;
        // The pages that the grant will write, faulted in now: the head's, and the mark's.
        [0, capacity_bytes as usize].into_iter().for_each(|offset| head.store(offset, 0));
        let data = memory::reopen(&original, Access::Read)?;
        let (page, control_page) = control_page()?;
        Ok(HandOut { original, head, region, data, page, control_page, capacity_bytes, lasts: None })
    }

    /// A writable descriptor for the owner-to-be: re-opened, since the kernel's leases count only such.
    pub(crate) fn writable(&self) -> Result<OwnedFd, MemoryError> {
        memory::reopen(&self.original, Access::Write)
    }

    /// The mapping of the broker itself, where that is to be the owner: the kernel counts it as it does any owner's.
    pub(crate) fn map_own(&self) -> Result<RegionMut, MemoryError> {
        map_mut(&self.writable()?, Memory::len_bytes(self.capacity_bytes))
    }

    /// The control page, opened read-only.
    pub(crate) fn control_page(&self) -> &OwnedFd {
        &self.control_page
    }

    /// It is mapped: from here on nobody can open the memory for writing.
    pub(crate) fn seal(&self) -> Result<(), MemoryError> {
        memory::check_size(&self.original, Memory::len_bytes(self.capacity_bytes))?;
        memory::seal_writers(&self.original)
    }

    /// Head, store, `epochs`: after this readers may have it, and its owner begins at the tail. Where it fails, nobody
    /// was told of anything.
    pub(crate) fn grant(
        self,
        name: RingName,
        start: EpochStart,
        recorded: bool,
        store: &mut Store,
        begin_epoch: impl FnOnce(&EpochStart) -> Result<(), JournalError>,
        now_ns: u64,
    ) -> Result<(Ring, Tail), HandOutError> {
        let HandOut { original, head, region, data, page, control_page, capacity_bytes, lasts } = self;
        let tail = match lasts {
            None => write_head(&head, capacity_bytes, &start, now_ns),
            Some(lasts) => write_head_of_many(&head, capacity_bytes, &start, lasts.into_iter(), now_ns),
        };
        let stored = name.to_string();
        store.put(&stored, original.as_fd()).map_err(HandOutError::Store)?;
        if let Err(error) = begin_epoch(&start) {
            // Nobody has seen it. A store that does not hear of this keeps it until the broker's next life drops it.
            let _ = store.remove(&stored);
            return Err(error.into());
        }
        Ok((Ring::new(name, start, recorded, region, data, page, control_page), tail))
    }
}

impl Ring {
    fn new(
        name: RingName,
        start: EpochStart,
        recorded: bool,
        region: Region,
        data: OwnedFd,
        page: RegionMut,
        control_page: OwnedFd,
    ) -> Ring {
        let gate = if recorded { start.position.plus(name.capacity_bytes) } else { Position(u64::MAX) };
        let control = ControlMut::open(page, start.position, gate);
        let memory = Memory::new(region, name.capacity_bytes);
        Ring { name, start, memory, control, data, control_page, end: None, recorded: false }
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
        let data = memory::reopen(stored, Access::Read)?;
        let region = spare::map(&data, len_bytes)?;
        let (page, control_page) = control_page()?;
        Ok(Ring::new(name, start, recorded, region, data, page, control_page))
    }

    /// The partition is written and durable up to here: the gate stands where the recorder would put it, so that the owner
    /// need not wait for that.
    pub(crate) fn recorded_up_to(&self, (written, durable): (Position, Position)) {
        self.control.set_gate(written.block().max(self.start.position).plus(self.name.capacity_bytes));
        self.control.set_written(written);
        self.control.set_durable(durable);
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

    /// Behind all that was published before the call. `None`: the owner has written what cannot be.
    pub(crate) fn tail(&self) -> Option<Tail> {
        let mut tail = self.newest_block()?;
        let mut reader = Reader::at(self.memory.clone(), self.start.epoch, tail.position);
        // A dense writer is not chased beyond the next block.
        let until = tail.position.plus(2 * BLOCK);
        while let Ok(Poll::Frame(frame)) = reader.poll_any() {
            tail.time_ns = tail.time_ns.max(frame.time_ns);
            if frame.end >= until {
                break;
            }
        }
        Some(Tail { position: reader.position(), sequence: reader.sequence()?, ..tail })
    }

    /// Says that the epoch is over: first where, then that.
    pub(crate) fn close(&mut self, end: Tail, state: State) {
        self.end = Some(end);
        self.control.set_end(end.position);
        self.control.set_state(state);
    }
}

impl IngressRing {
    /// Makes one whose first message has this number. Two write nothing there but its publisher: so nobody may seal it either.
    pub(crate) fn new(capacity_bytes: u64, number: Sequence) -> Result<IngressRing, MemoryError> {
        let (len_bytes, position) = (Memory::len_bytes(capacity_bytes), Position(0));
        let original = memory::create("oyez-ingress", len_bytes)?;
        let data = memory::reopen(&original, Access::Write)?;
        let start = EpochStart { epoch: INGRESS_EPOCH, position, sequence: number, time_ns: 0, previous_end: position };
        let tail = write_head(&map_mut(&data, len_bytes)?, capacity_bytes, &start, 0).position;
        memory::seal_size(&original)?;
        let lease = memory::reopen(&original, Access::Read)?;
        let region = spare::map(&lease, len_bytes)?;
        let (page, control_page) = control_page()?;
        let control = ControlMut::open(page, position, Position(capacity_bytes));
        let reader = Reader::at(Memory::new(region, capacity_bytes), INGRESS_EPOCH, position);
        Ok(IngressRing { data, lease, control_page, tail, reader, control })
    }
}

/// Makes a control page: mapped by the broker, then sealed against every other writer.
fn control_page() -> Result<(RegionMut, OwnedFd), MemoryError> {
    let original = memory::create("oyez-control", Control::LEN_BYTES as u64)?;
    let page = map_mut(&memory::reopen(&original, Access::Write)?, Control::LEN_BYTES as u64)?;
    page.store(0, 0);
    memory::seal_writers(&original)?;
    Ok((page, memory::reopen(&original, Access::Read)?))
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
