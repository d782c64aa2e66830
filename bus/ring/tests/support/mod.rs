//! A ring in the memory of this process, as the broker would set it up.

use oyez_ring::{
    Control, ControlMut, Epoch, EpochStart, Memory, Position, RegionMut, Sequence, Tail, Writer, write_head,
};

pub(crate) struct Ring {
    pub(crate) memory: RegionMut,
    pub(crate) capacity_bytes: u64,
    pub(crate) start: EpochStart,
    pub(crate) control: ControlMut,
    pub(crate) tail: Tail,
}

impl Ring {
    pub(crate) fn new(capacity_bytes: u64, start: Position, sequence: Sequence, gate: Position) -> Ring {
        let memory = RegionMut::heap(Memory::len_bytes(capacity_bytes) as usize);
        let start = EpochStart { epoch: Epoch(1), position: start, sequence, time_ns: 0, previous_end: Position(0) };
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), start.position, gate);
        let tail = write_head(&memory, capacity_bytes, &start, 1);
        Ring { memory, capacity_bytes, start, control, tail }
    }

    pub(crate) fn writer(&self) -> Writer {
        Writer::new(self.memory.clone(), self.capacity_bytes, self.control.reader(), self.start.epoch, self.tail)
    }

    pub(crate) fn view(&self) -> Memory {
        Memory::new(self.memory.reader(), self.capacity_bytes)
    }
}
