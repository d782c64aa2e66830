//! Writing, by the owner and nobody else. No read-modify-write, no system call, no allocation, no lock; the cost does
//! not depend on the number of readers.

use crate::layout::{
    BLOCK_FRAME, BlockOpening, CommitWord, FLAG_FIRST, FLAG_LAST, FLAG_ORIGIN, FRAGMENT_BYTES_MAX, Kind, ORIGIN_BYTES,
    frame_bytes, message_bytes_max,
};
use crate::{
    BLOCK, Control, Epoch, FRAME_HEADER, LEAD, MESSAGE_BYTES_MIN, Memory, ONE_FRAME_BYTES_MAX, Origin, Position,
    Sequence,
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
    /// The end of its last frame: once `durable` has reached this, the message is safe.
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

/// A message that is shorter than its own header, or longer than the ring takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a message of {len_bytes} bytes: {MESSAGE_BYTES_MIN} to {bytes_max} bytes fit, SBE message header included: a quarter \
     of the ring; declare a larger `ring_mib`, or cut it into smaller messages"
)]
pub struct BadLength {
    /// Bytes offered.
    pub len_bytes: usize,
    /// The most that this ring takes.
    pub bytes_max: usize,
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

    /// Publishes a copy of `message`, whole or not at all. `now_ns` is the wall clock; a clock that went back is held at
    /// the last time.
    ///
    /// # Errors
    /// [`BadLength`].
    #[inline]
    pub fn offer(&mut self, message: &[u8], now_ns: u64) -> Result<Offer, BadLength> {
        self.offer_of(None, message, now_ns)
    }

    /// The same for another, who handed the message in.
    ///
    /// # Errors
    /// As [`Writer::offer`].
    #[inline]
    pub fn offer_from(&mut self, origin: Origin, message: &[u8], now_ns: u64) -> Result<Offer, BadLength> {
        self.offer_of(Some(origin), message, now_ns)
    }

    #[inline(always)]
    fn offer_of(&mut self, origin: Option<Origin>, message: &[u8], now_ns: u64) -> Result<Offer, BadLength> {
        if !(MESSAGE_BYTES_MIN..=ONE_FRAME_BYTES_MAX).contains(&message.len()) {
            return self.offer_fragments(origin, message, now_ns);
        }
        Ok(publish(&mut self.frames, &self.control, &mut self.gate, origin, message, now_ns))
    }

    /// A message that is more than one frame.
    #[cold]
    fn offer_fragments(&mut self, origin: Option<Origin>, message: &[u8], now_ns: u64) -> Result<Offer, BadLength> {
        let (len_bytes, bytes_max) = (message.len(), self.message_bytes_max());
        if !(MESSAGE_BYTES_MIN..=bytes_max).contains(&len_bytes) {
            return Err(BadLength { len_bytes, bytes_max });
        }
        let Writer { frames, control, gate } = self;
        let payload_bytes = (len_bytes + origin.map_or(0, |_| ORIGIN_BYTES)) as u64;
        if !has_room(frames, control, gate, fragments_bytes(frames.room(), payload_bytes)) {
            return Ok(Offer::BackPressured);
        }
        let sequence = frames.tail.sequence;
        frames.tail.time_ns = frames.tail.time_ns.max(now_ns);
        frames.append_fragments(origin, message);
        Ok(Offer::Published(Published { position: frames.tail.position, sequence, time_ns: frames.tail.time_ns }))
    }

    /// The longest message that this ring takes, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        message_bytes_max(self.frames.capacity_bytes)
    }

    /// Whether a message of at most `len_bytes` has room, and [`Writer::publishers`] behind it: neither is back-pressured.
    pub fn has_room(&mut self, len_bytes: usize) -> bool {
        let Writer { frames, control, gate } = self;
        // Of the open block the rest, of those that the message fills all, and of two more that either may begin.
        let blocks = len_bytes as u64 / FRAGMENT_BYTES_MAX + 4;
        has_room(frames, control, gate, blocks * BLOCK)
    }

    /// Tells, between two messages, how far each publisher was taken; the payload is that of
    /// [`crate::Last::encode_all`]. Whether there was room.
    pub fn publishers(&mut self, payload: &[u8], now_ns: u64) -> bool {
        let Writer { frames, control, gate } = self;
        let frame = frame_bytes(payload.len());
        let has_room = has_room(frames, control, gate, frames.room() + BLOCK_FRAME + frame);
        if has_room {
            frames.tail.time_ns = frames.tail.time_ns.max(now_ns);
            if frames.room() < frame {
                frames.cross(frames.room());
            }
            frames.append(Kind::Publishers, 0, None, payload);
        }
        has_room
    }

    /// The memory, to be read.
    pub fn memory(&self) -> Memory {
        Memory::new(self.frames.memory.reader(), self.frames.capacity_bytes)
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

/// W1: one check for all that a message takes.
#[inline(always)]
fn has_room(frames: &Frames, control: &Control, gate: &mut u64, need: u64) -> bool {
    let ahead = frames.tail.position.0 + need + LEAD;
    if ahead > *gate {
        *gate = control.gate().0;
        // The recorder's loads of what it took come before our stores over it.
        sync::fence_acquire();
        if ahead > *gate {
            return false;
        }
    }
    true
}

/// What a message takes that is cut into fragments, from `room` bytes before a block's end on: of each block it enters,
/// two headers beside its bytes.
const fn fragments_bytes(room: u64, len_bytes: u64) -> u64 {
    let here = room.saturating_sub(FRAME_HEADER);
    if len_bytes <= here {
        return frame_bytes(len_bytes as usize);
    }
    let (rest, blocks) = (len_bytes - here, (len_bytes - here).div_ceil(FRAGMENT_BYTES_MAX));
    room + rest.next_multiple_of(8) + blocks * (BLOCK_FRAME + FRAME_HEADER)
}

#[inline(always)]
fn publish(
    frames: &mut Frames,
    control: &Control,
    gate: &mut u64,
    origin: Option<Origin>,
    message: &[u8],
    now_ns: u64,
) -> Offer {
    let frame = frame_bytes(message.len() + origin.map_or(0, |_| ORIGIN_BYTES));
    let room = frames.room();
    let fits = room >= frame;
    let need = if fits { frame } else { room + BLOCK_FRAME + frame };
    if !has_room(frames, control, gate, need) {
        return Offer::BackPressured;
    }
    frames.tail.time_ns = frames.tail.time_ns.max(now_ns);
    if !fits {
        frames.cross(room);
    }
    let Tail { sequence, time_ns, .. } = frames.tail;
    let position = frames.append(Kind::Message, 0, origin, message);
    Offer::Published(Published { position, sequence, time_ns })
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
    /// How much of a message is out that goes on, in bytes; 0 between two messages.
    under_way_bytes: u32,
}

impl Frames {
    pub(crate) fn new(memory: RegionMut, capacity_bytes: u64, epoch: Epoch, tail: Tail) -> Frames {
        let mark = Memory::new(memory.reader(), capacity_bytes).mark().0;
        // A new ring is zero all over; claiming no more than the invariant keeps its first lap like every other.
        Frames { memory, capacity_bytes, epoch, tail, mark, zeroed: tail.position.0 + LEAD, under_way_bytes: 0 }
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
        let (Tail { position, sequence, .. }, under_way_bytes) = (self.tail, self.under_way_bytes);
        let opening = BlockOpening { position, sequence, epoch: self.epoch, under_way_bytes };
        self.append(Kind::Block, 0, None, &opening.encode());
    }

    /// Cuts a message into fragments that fill their blocks: the one place that cuts. All are of the present time.
    fn append_fragments(&mut self, mut origin: Option<Origin>, message: &[u8]) {
        let (mut rest, mut flags) = (message, FLAG_FIRST);
        while !rest.is_empty() {
            let room = self.room();
            if room <= FRAME_HEADER {
                self.cross(room);
                continue;
            }
            let head = origin.map_or(0, |_| ORIGIN_BYTES);
            let part;
            (part, rest) = rest.split_at(rest.len().min((room - FRAME_HEADER) as usize - head));
            if rest.is_empty() {
                flags |= FLAG_LAST;
            }
            self.append(Kind::Fragment, flags, origin.take(), part);
            self.under_way_bytes += (head + part.len()) as u32;
            flags = 0;
        }
        self.under_way_bytes = 0;
    }

    /// Writes one frame, commits it and prepares for the next, which begins where this says.
    #[inline(always)]
    pub(crate) fn append(&mut self, kind: Kind, mut flags: u8, origin: Option<Origin>, payload: &[u8]) -> Position {
        let start = self.tail.position;
        let head = FRAME_HEADER + origin.map_or(0, |_| ORIGIN_BYTES as u64);
        let end = start.plus(head + (payload.len() as u64).next_multiple_of(8));
        self.make_way(end);
        if kind == Kind::Block {
            // W3': whoever enters by this payload, before its commit, still sees what W3 stored. Pairs with R3.
            sync::fence_release();
        }
        // W4: before W5, which releases it.
        self.memory.store(self.offset(start.plus(8)), self.tail.time_ns);
        if let Some(origin) = origin {
            self.memory.store(self.offset(start.plus(FRAME_HEADER)), origin.word());
            flags |= FLAG_ORIGIN;
        }
        self.memory.copy_in(self.offset(start.plus(head)), payload);
        let word = CommitWord { length: head as u32 + payload.len() as u32, flags, ..self.word(kind) };
        self.tail.sequence.0 += u64::from(kind.ends_message(flags));
        self.commit(word, end);
        end
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
