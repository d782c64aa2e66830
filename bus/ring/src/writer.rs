//! Writing, by the owner and nobody else. No read-modify-write, no system call, no allocation, no lock; the cost does
//! not depend on the number of readers.

use crate::layout::{BLOCK_FRAME, BlockOpening, CommitWord, Kind, frame_bytes};
use crate::{
    BLOCK, Control, Epoch, FRAME_HEADER, LEAD, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, Memory, Position, Sequence,
};
use oyez_mem::{RegionMut, sync};

/// How much is zeroed ahead at a time, in bytes: few and wide stores. It divides the block, so that zeroing never
/// passes the mark.
const STEP: u64 = if cfg!(loom) { 16 } else { 1 << 10 };
const _: () = assert!(BLOCK.is_multiple_of(STEP));

/// Where a writer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The position of the next frame.
    pub position: Position,
    /// The sequence of the next message.
    pub sequence: Sequence,
    /// The highest publish time so far, in ns since 1970 UTC.
    pub time_ns: u64,
}

/// One message, published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The end of its frame: once `durable` has reached this, the message is safe.
    pub position: Position,
    /// Its number.
    pub sequence: Sequence,
    /// Its publish time, in ns since 1970 UTC.
    pub time_ns: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that was back-pressured was not published"]
pub enum Offer {
    /// It is out.
    Published(Published),
    /// The recorder has not taken what stands there yet; nothing was written. Try again.
    BackPressured,
}

/// A message that is shorter than its own header, or longer than a frame takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message of {len_bytes} bytes: {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX} bytes fit, SBE message header included; \
     cut it into smaller messages"
)]
pub struct BadLength {
    /// Bytes offered.
    pub len_bytes: usize,
}

/// The writer of one epoch's ring.
pub struct Writer {
    frames: Frames,
    control: Control,
    /// The control page's gate as last read; read again only when it is reached.
    gate: u64,
}

impl Writer {
    /// Goes on at `tail`, which the grant of the epoch told.
    pub fn new(memory: RegionMut, capacity_bytes: u64, control: Control, epoch: Epoch, tail: Tail) -> Writer {
        let gate = control.gate().0;
        Writer { frames: Frames::new(memory, capacity_bytes, epoch, tail), control, gate }
    }

    /// Publishes a copy of `message`. `now_ns` is the wall clock; a clock that went back is held at the last time.
    ///
    /// # Errors
    /// [`BadLength`].
    #[inline]
    pub fn offer(&mut self, message: &[u8], now_ns: u64) -> Result<Offer, BadLength> {
        check_length(message.len())?;
        Ok(publish(&mut self.frames, &self.control, &mut self.gate, message, now_ns))
    }

    /// Where the next frame goes.
    pub fn tail(&self) -> Tail {
        self.frames.tail()
    }

    /// The control page of the broker's present life.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Takes the control page of a new broker life.
    pub fn set_control(&mut self, control: Control) {
        self.control = control;
    }
}

#[inline(always)]
fn check_length(len_bytes: usize) -> Result<(), BadLength> {
    if (MESSAGE_BYTES_MIN..=MESSAGE_BYTES_MAX).contains(&len_bytes) { Ok(()) } else { Err(BadLength { len_bytes }) }
}

#[inline(always)]
fn publish(frames: &mut Frames, control: &Control, gate: &mut u64, message: &[u8], now_ns: u64) -> Offer {
    let frame = frame_bytes(message.len());
    let room = frames.room();
    let fits = room >= frame;
    let need = if fits { frame } else { room + BLOCK_FRAME + frame };
    // W1: one check for all that this message takes.
    let ahead = frames.tail.position.0 + need + LEAD;
    if ahead > *gate {
        *gate = control.gate().0;
        // The recorder's loads of what it took come before our stores over it.
        sync::fence_acquire();
        if ahead > *gate {
            return Offer::BackPressured;
        }
    }
    frames.tail.time_ns = frames.tail.time_ns.max(now_ns);
    if !fits {
        frames.cross(room);
    }
    let sequence = frames.tail.sequence;
    frames.append(Kind::Message, message, frame);
    Offer::Published(Published { position: frames.tail.position, sequence, time_ns: frames.tail.time_ns })
}

/// Appends frames, by the steps of the module; whether there is room below the gate is the caller's question.
pub(crate) struct Frames {
    memory: RegionMut,
    capacity_bytes: u64,
    epoch: Epoch,
    tail: Tail,
    /// What the mark says; never below the tail + LEAD between frames.
    mark: u64,
    /// Everything in [tail, zeroed) is zero.
    zeroed: u64,
}

impl Frames {
    pub(crate) fn new(memory: RegionMut, capacity_bytes: u64, epoch: Epoch, tail: Tail) -> Frames {
        let mark = Memory::new(memory.reader(), capacity_bytes).mark().0;
        // A new ring is zero all over; claiming no more than the invariant keeps its first lap like every other.
        Frames { memory, capacity_bytes, epoch, tail, mark, zeroed: tail.position.0 + LEAD }
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail
    }

    /// Bytes left in the open block; none where the next block is not open yet.
    #[inline(always)]
    fn room(&self) -> u64 {
        self.tail.position.0.wrapping_neg() & (BLOCK - 1)
    }

    /// Pads the open block and opens the next.
    #[cold]
    fn cross(&mut self, room: u64) {
        if room != 0 {
            let end = self.tail.position.plus(room);
            self.make_way(end);
            self.commit(CommitWord { length: room as u32, ..self.word(Kind::Padding) }, end);
        }
        self.open_block();
    }

    pub(crate) fn open_block(&mut self) {
        let Tail { position, sequence, .. } = self.tail;
        let opening = BlockOpening { position, sequence, epoch: self.epoch };
        self.append(Kind::Block, &opening.encode(), BLOCK_FRAME);
    }

    /// Writes one frame of `frame` bytes in all, commits it and prepares for the next.
    #[inline(always)]
    pub(crate) fn append(&mut self, kind: Kind, payload: &[u8], frame: u64) {
        let start = self.tail.position;
        let end = start.plus(frame);
        self.make_way(end);
        if kind == Kind::Block {
            // W3': whoever enters by this payload, before its commit, still sees what W3 stored. Pairs with R3.
            sync::fence_release();
        }
        // W4: before W5, which releases it.
        self.memory.store(self.offset(start.plus(8)), self.tail.time_ns);
        self.memory.copy_in(self.offset(start.plus(FRAME_HEADER)), payload);
        let word = CommitWord { length: FRAME_HEADER as u32 + payload.len() as u32, ..self.word(kind) };
        self.tail.sequence.0 += u64::from(kind == Kind::Message);
        self.commit(word, end);
    }

    #[inline(always)]
    fn word(&self, kind: Kind) -> CommitWord {
        CommitWord { length: 0, kind: kind as u8, flags: 0, sequence_low: self.tail.sequence.0 as u16 }
    }

    /// W2 and W3: the mark, and a zero where the next frame begins.
    #[inline(always)]
    fn make_way(&mut self, end: Position) {
        if end.0 + LEAD > self.mark {
            self.raise_mark(end.plus(LEAD));
        }
        if end.0 + 8 > self.zeroed {
            // W3: the commit after it releases it, so that a reader who passes the frame finds no word of the last lap.
            self.memory.store(self.offset(end), 0);
        }
    }

    #[cold]
    pub(crate) fn raise_mark(&mut self, least: Position) {
        self.mark = least.next_block().0;
        // W2: the store comes before every word that it speaks of: pairs with R3 and R4.
        self.memory.store(self.capacity_bytes as usize, self.mark);
        sync::fence_release();
    }

    /// W5 and W6.
    #[inline(always)]
    fn commit(&mut self, word: CommitWord, end: Position) {
        // W5: pairs with R1.
        self.memory.store_release(self.offset(self.tail.position), word.pack());
        self.tail.position = end;
        let least = end.0 + LEAD;
        if self.zeroed < least {
            self.zero_ahead(least);
        }
    }

    /// W6: off the critical path, in steps, below the mark since `least` is and the mark is a block's start.
    fn zero_ahead(&mut self, least: u64) {
        let mut from = self.zeroed.max(self.tail.position.0);
        let to = least.next_multiple_of(STEP);
        debug_assert!(to <= self.mark);
        self.zeroed = to;
        while from < to {
            let part = (to - from).min(self.capacity_bytes - (from & (self.capacity_bytes - 1)));
            self.memory.zero(self.offset(Position(from)), part as usize);
            from += part;
        }
    }

    #[inline(always)]
    fn offset(&self, position: Position) -> usize {
        (position.0 & (self.capacity_bytes - 1)) as usize
    }
}
