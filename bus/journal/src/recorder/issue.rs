//! What goes out, and when: chunks of data, and the slots that speak of them.

use super::{CHUNKS_MAX, Chunk, KEPT, NOTE_AFTER_NS, Purpose, Recorder, Round};
use crate::layout::{PAGE_SLOTS, SLOT_BYTES};
use crate::slot::Slot;
use oyez_io::{Bytes, DISK_BLOCK, Op};
use oyez_ring::{BLOCK, Position};
use std::fs::File;
use std::sync::Arc;

/// What is left of a block behind its padding is written from here: memory that is never freed.
#[repr(align(4096))]
struct Zeros([u8; BLOCK as usize]);
static ZEROS: Zeros = Zeros([0; BLOCK as usize]);

const fn disk_block(position: Position) -> Position {
    Position(position.0 & !(DISK_BLOCK as u64 - 1))
}

impl Recorder {
    /// Sends what was read of the open block on its way, if it may go now; whether it did.
    pub(super) fn issue(&mut self) -> bool {
        let Some(ring) = &mut self.ring else { return false };
        let scan = &mut ring.scan;
        let full = scan.is_full();
        // A block that its epoch leaves open is closed by its own slot.
        let seals = !full && scan.is_ended() && scan.seen() > scan.block() && !self.sealed;
        if !scan.has_agreed() || (scan.seen() == self.issued && !seals) {
            return false;
        }
        let data_in_flight = self.chunks.iter().any(|chunk| chunk.outstanding > 0);
        let continues = disk_block(self.issued) != self.issued && self.chunks.back().is_some_and(|c| c.outstanding > 0);
        if !self.waiting.is_empty() || self.chunks.len() == CHUNKS_MAX || continues || (!full && data_in_flight) {
            return false;
        }
        let base = self.geometry.base(scan.block());
        let segment = self.segments.iter().find(|segment| segment.base == base);
        let Some(file) = segment.map(|segment| Arc::clone(&segment.file)) else { return false };
        let slot = scan.slot(self.durable);
        let end = scan.seen();
        let outstanding = if end > self.issued { self.write_data(file) } else { 0 };
        self.chunks.push_back(Chunk { slot, closes: full || seals, outstanding });
        self.issued = end;
        self.sealed |= seals;
        if full && let Some(ring) = &mut self.ring {
            ring.scan.enter_next();
        }
        true
    }

    /// Whole disk blocks from the ring's memory, the one with the end (or with padding) from the private copy, and zeros
    /// where nothing but padding is left of the block.
    fn write_data(&mut self, file: Arc<File>) -> u8 {
        let Some(ring) = &self.ring else { return 0 };
        let scan = &ring.scan;
        let from = disk_block(self.issued);
        let private = disk_block(scan.solid()).max(from);
        let to = Position(scan.seen().0.next_multiple_of(DISK_BLOCK as u64));
        let zeros = private.plus(DISK_BLOCK as u64).min(to);
        let token = Purpose::Data(self.first_chunk + self.chunks.len() as u64).token(self.number);
        let mut outstanding = 0;
        let mut write = |at: Position, bytes| {
            let (file, offset) = (Arc::clone(&file), self.geometry.data_at(at));
            self.waiting.push_back((Op::Write { file, bytes, offset }, token));
            outstanding += 1;
        };
        if from < private {
            let (address, _) = scan.memory().address(from);
            write(from, Bytes::Memory { address, len_bytes: (private.0 - from.0) as usize });
        }
        if private < zeros {
            let mut buffer = self.buffers.pop().expect("there are as many buffers as chunks");
            buffer.copy_from_slice(&scan.copied(private)[..DISK_BLOCK]);
            write(private, Bytes::Buffer { buffer, len_bytes: DISK_BLOCK });
        }
        if zeros < to {
            let len_bytes = (to.0 - zeros.0) as usize;
            write(zeros, Bytes::Memory { address: ZEROS.0.as_ptr().expose_provenance(), len_bytes });
        }
        outstanding
    }

    /// Writes the slots of the chunks whose data is complete, up to the end of one page of slots.
    pub(super) fn write_slots(&mut self) -> usize {
        let Some(first) = self.chunks.front().filter(|chunk| chunk.outstanding == 0) else { return 0 };
        if self.round.is_some() {
            return 0;
        }
        let (base, page) = (self.geometry.base(first.slot.block()), self.geometry.page_of(first.slot.block()));
        let mut last: Option<Chunk> = None;
        let mut closed = 0;
        while let Some(chunk) = self.chunks.front()
            && chunk.outstanding == 0
            && (self.geometry.base(chunk.slot.block()), self.geometry.page_of(chunk.slot.block())) == (base, page)
        {
            if chunk.closes {
                let slot = Slot { durable: self.durable, ..chunk.slot };
                self.put_slot(base, page, &slot);
                closed += 1;
            }
            last = self.chunks.pop_front();
            self.first_chunk += 1;
        }
        let Some(last) = last else { return 0 };
        self.last = Some(last.slot);
        self.round = Some(Round { end: last.slot.end, outstanding: 0 });
        if closed > 0 {
            self.write_page(base, page);
        }
        if !last.closes {
            self.write_open();
        }
        self.noted = self.durable;
        1
    }

    /// Notes a confirmed position on disk when no slot has done so for a while.
    pub(super) fn note_durable(&mut self, now_ns: u64) -> usize {
        if self.noted >= self.durable || self.last.is_none() {
            self.confirmed_ns = now_ns;
            return 0;
        }
        let due = now_ns.saturating_sub(self.confirmed_ns) >= NOTE_AFTER_NS;
        if !due || self.round.is_some() || !self.chunks.is_empty() {
            return 0;
        }
        self.round = Some(Round { end: self.written, outstanding: 0 });
        self.write_open();
        self.noted = self.durable;
        1
    }

    fn put_slot(&mut self, base: Position, page: u64, slot: &Slot) {
        let number = (self.geometry.data_at(slot.block()) / BLOCK % PAGE_SLOTS) as usize;
        let bytes = slot.encode(self.id);
        let segment = self.segments.iter_mut().find(|segment| segment.base == base).expect(KEPT);
        if segment.page != page {
            segment.page = page;
            segment.slots.fill(0);
        }
        segment.slots[number * SLOT_BYTES..][..SLOT_BYTES].copy_from_slice(&bytes);
    }

    fn write_page(&mut self, base: Position, page: u64) {
        let mut buffer = self.page.take().expect("one round at a time");
        let segment = self.segment_of(base).expect(KEPT);
        buffer.copy_from_slice(&*segment.slots);
        let file = Arc::clone(&segment.file);
        let bytes = Bytes::Buffer { buffer, len_bytes: DISK_BLOCK };
        self.write_slot_bytes(file, bytes, self.geometry.page_at(page), Purpose::Page);
    }

    /// The last slot, with what is durable now, to a place of the open block.
    fn write_open(&mut self) {
        let Some(last) = self.last else { return };
        let mut buffer = self.open.take().expect("one round at a time");
        let segment = self.segment_of(last.block()).expect(KEPT);
        let file = Arc::clone(&segment.file);
        let slot = Slot { durable: self.durable, ..last };
        buffer.fill(0);
        buffer[..SLOT_BYTES].copy_from_slice(&slot.encode(self.id));
        let offset = self.geometry.open_at(self.places.write());
        self.write_slot_bytes(file, Bytes::Buffer { buffer, len_bytes: DISK_BLOCK }, offset, Purpose::Open);
    }

    fn write_slot_bytes(&mut self, file: Arc<File>, bytes: Bytes, offset: u64, purpose: Purpose) {
        if let Some(round) = &mut self.round {
            round.outstanding += 1;
        }
        self.waiting.push_back((Op::Write { file, bytes, offset }, purpose.token(self.number)));
    }
}
