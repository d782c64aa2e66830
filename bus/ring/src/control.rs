//! The control page: positions that the broker writes and clients read. It belongs to one broker life.

use crate::{Position, Sequence};
use oyez_mem::{Region, RegionMut, sync};

const GATE: usize = 0;
const STATE: usize = 128;
const END: usize = 256;
const WRITTEN: usize = 384;
const DURABLE: usize = 512;
const EARLIEST: usize = 640;
/// Four words of one rhythm on one line: what they say belongs together.
const ACCEPTING: usize = 768;
const ACCEPTED_POSITION: usize = 776;
const ACCEPTED_SEQUENCE: usize = 784;
const ACCEPTED: usize = 792;

/// What the broker says of an epoch. Numbers are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Publish.
    Running = 1,
    /// The broker stops: release.
    Closing = 2,
    /// Kept: no broker says it, and a publisher that sees it is held back.
    Renew = 3,
    /// The owner released, or is dead.
    Ended = 4,
    /// A write or a flush failed: nothing above `durable` is safe, and nothing more is taken.
    JournalFailed = 5,
    /// The owner wrote a frame that no honest writer writes; the epoch ended before it.
    Broken = 6,
}

impl State {
    fn of(number: u64) -> State {
        match number {
            1 => State::Running,
            2 => State::Closing,
            3 => State::Renew,
            5 => State::JournalFailed,
            6 => State::Broken,
            _ => State::Ended,
        }
    }
}

/// How far the core has taken what a publisher handed in through an ingress ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The publisher's own number of the last message taken; 0 before the first.
    pub number: u64,
    /// Where that message ends in its partition; of one that was taken before the ring was, a position above it.
    pub position: Position,
    /// Its sequence in its partition; of one that was taken before the ring was, a sequence above it.
    pub sequence: Sequence,
}

/// The control page, to be read. Each read is one relaxed load; words of different rhythm lie on lines of their own.
#[derive(Clone, Debug)]
pub struct Control(Region);

/// The control page, for the broker.
#[derive(Clone, Debug)]
pub struct ControlMut {
    page: RegionMut,
    reader: Control,
}

impl Control {
    /// Bytes of a control page.
    pub const LEN_BYTES: usize = if cfg!(loom) { 800 } else { 4096 };

    /// # Panics
    /// Where the region is shorter than a page.
    pub fn new(region: Region) -> Control {
        assert!(region.len_bytes() >= Self::LEN_BYTES, "control page of {} bytes", region.len_bytes());
        Control(region)
    }

    /// The writer marks nothing above this; `u64::MAX` where nothing is recorded.
    #[inline(always)]
    pub fn gate(&self) -> Position {
        Position(self.0.load(GATE))
    }

    /// What the broker wants of the owner.
    #[inline(always)]
    pub fn state(&self) -> State {
        State::of(self.0.load(STATE))
    }

    /// Whether the owner may go on: the one look that each publish takes.
    #[inline(always)]
    pub fn is_running(&self) -> bool {
        self.0.load(STATE) == State::Running as u64
    }

    /// Where the epoch ended, once it has.
    #[inline]
    pub fn end(&self) -> Option<Position> {
        Some(self.0.load(END)).filter(|end| *end != u64::MAX).map(Position)
    }

    /// Everything below was taken by the kernel or the device.
    #[inline]
    pub fn written(&self) -> Position {
        Position(self.0.load(WRITTEN))
    }

    /// Everything below was flushed and confirmed.
    #[inline]
    pub fn durable(&self) -> Position {
        Position(self.0.load(DURABLE))
    }

    /// Of an ingress ring, how far it was taken; `None` while that is being told. Where it stays so, the broker died doing it.
    #[inline]
    pub fn accepted(&self) -> Option<Accepted> {
        // A1: pairs with A5, so that what follows is of this number or a later one.
        let number = self.0.load(ACCEPTED);
        sync::fence_acquire();
        let position = Position(self.0.load(ACCEPTED_POSITION));
        let sequence = Sequence(self.0.load(ACCEPTED_SEQUENCE));
        // A2: pairs with A4: whoever has read a word of a later number reads that number here.
        sync::fence_acquire();
        (self.0.load(ACCEPTING) == number).then_some(Accepted { number, position, sequence })
    }

    /// The lowest position that the journal still has; `u64::MAX` where nothing is recorded.
    #[inline]
    pub fn earliest(&self) -> Position {
        Position(self.0.load(EARLIEST))
    }
}

impl ControlMut {
    /// Opens a page for an epoch that starts at `start`: running, not ended, nothing recorded, gate shut at `gate`.
    pub fn open(page: RegionMut, start: Position, gate: Position) -> ControlMut {
        let control = ControlMut { reader: Control::new(page.reader()), page };
        control.page.store(END, u64::MAX);
        control.set_written(start);
        control.set_durable(start);
        control.set_earliest(Position(u64::MAX));
        control.set_gate(gate);
        control.set_state(State::Running);
        control
    }

    /// The page, to be read.
    pub fn reader(&self) -> Control {
        self.reader.clone()
    }

    /// Opens the gate further.
    #[inline]
    pub fn set_gate(&self, gate: Position) {
        self.page.store_release(GATE, gate.0);
    }

    /// Tells the owner and the readers.
    pub fn set_state(&self, state: State) {
        self.page.store_release(STATE, state as u64);
    }

    /// The epoch is over.
    pub fn set_end(&self, end: Position) {
        self.page.store_release(END, end.0);
    }

    /// See [`Control::written`].
    #[inline]
    pub fn set_written(&self, position: Position) {
        self.page.store_release(WRITTEN, position.0);
    }

    /// See [`Control::durable`].
    #[inline]
    pub fn set_durable(&self, position: Position) {
        self.page.store_release(DURABLE, position.0);
    }

    /// Of an ingress ring, of which everything below the gate's lap is in the partition: tells how far that is, then lets
    /// its publisher write on over it. So what a publisher may overwrite is in the partition, and known to be.
    pub fn accept(&self, accepted: Accepted, gate: Position) {
        // A3, A4: the fence comes before every word that it speaks of.
        self.page.store(ACCEPTING, accepted.number);
        sync::fence_release();
        self.page.store(ACCEPTED_POSITION, accepted.position.0);
        self.page.store(ACCEPTED_SEQUENCE, accepted.sequence.0);
        // A5
        self.page.store_release(ACCEPTED, accepted.number);
        // A6: releases all of it to whoever writes by the new gate (W1).
        self.set_gate(gate);
    }

    /// See [`Control::earliest`].
    pub fn set_earliest(&self, position: Position) {
        self.page.store_release(EARLIEST, position.0);
    }
}

impl std::ops::Deref for ControlMut {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.reader
    }
}
