//! The recorder: takes the ring's memory to disk, on a core. It never blocks, opens or closes a file, nor allocates in
//! steady state; what is slow, the making of segments, others do for it.
//!
//! ```text
//! ring ──scan──► chunks, data writes ──► slots of what is complete ──► `written`, gate ──flush──► `durable`
//! ```
//!
//! - A chunk is a range of one block. Whole 4 KiB disk blocks below its end go out of the ring's own memory; the last,
//!   partial one (and what holds padding, whose bytes nobody may rely on) out of a private copy, zero behind the end.
//! - At most one write in flight covers a given disk block: a chunk that continues a partial disk block waits for the
//!   one before it. So an open block is written only while no data is in flight, a full one at once.
//! - Slots go out one round at a time, for the chunks that are complete without a gap: data before slot, always. A full
//!   or last block's slot goes to its own place, an open one's to one of three (see `places`).
//! - `written` moves when a round is complete, and only then the gate. `durable` becomes the `written` of the moment
//!   its flush was submitted, for all segments written since the last one.
//! - An error is final: nothing more is submitted, and `durable` stands still.

mod issue;
mod places;
mod scan;

pub(crate) use places::PLACES;
pub use scan::find_end;

use crate::layout::Geometry;
use crate::slot::Slot;
use crate::{JournalId, Partition, Recovery, Segment};
use oyez_io::{Buffer, Completion, DISK_BLOCK, Io, Op};
use oyez_ring::{ControlMut, EpochStart, Memory, Position, Reason, Tail};
use places::Places;
use scan::Scan;
use std::collections::VecDeque;
use std::io;

/// Blocks that may be on their way to disk: 4 MiB.
const CHUNKS_MAX: usize = 64;
/// Frames read before anything else is looked at.
const FRAMES_MAX: usize = 1024;
/// And chunks: so many frames of large messages would keep the core's other partitions waiting.
const TURN_CHUNKS_MAX: usize = 8;
/// How often what need not be durable at once is flushed.
const FLUSH_EVERY_NS: u64 = 1_000_000_000;
/// How long a confirmed position may wait to be noted in a slot.
const NOTE_AFTER_NS: u64 = 100_000_000;

/// What a recorder is at.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecorderState {
    /// No epoch yet.
    Idle,
    /// Recording the attached epoch.
    Recording,
    /// The owner broke the rules: reading has stopped at the last good frame. End the epoch there.
    Broken {
        /// Where the last good frame ends.
        at: Tail,
        /// The rule.
        cause: BrokenCause,
    },
    /// All of the ended epoch is written and flushed: attach the next.
    EpochDone {
        /// Its end.
        end: Position,
    },
    /// A write or a flush failed. Nothing more is recorded in this journal.
    Failed {
        /// What failed.
        what: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// The rule that an owner broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenCause {
    /// A frame that no honest writer makes.
    #[error("invalid frame: {0:?}")]
    Frame(Reason),
    /// What was not recorded yet is overwritten.
    #[error("unrecorded frames were overwritten")]
    Lapped,
    /// The mark is lower than it was.
    #[error("the mark went back")]
    MarkWentBack,
    /// The mark is above the gate.
    #[error("the mark passed the gate")]
    MarkPassedGate,
    /// A publish time is lower than the one before.
    #[error("the publish time went back")]
    TimeWentBack,
    /// A publish time is more than a second ahead of the wall clock.
    #[error("the publish time is more than a second ahead of the clock")]
    TimeAhead,
    /// The ring does not continue what the journal has.
    #[error("the ring does not continue the journal")]
    Disagrees,
}

/// Records one partition, epoch after epoch.
///
/// The kernel reads the ring while [`Recorder::in_flight`] is above zero: until then keep the recorder, or drop its
/// [`Io`] first.
pub struct Recorder {
    number: u16,
    id: JournalId,
    geometry: Geometry,
    keeps_durable: bool,
    flush_every_ns: u64,
    ring: Option<Ring>,
    state: RecorderState,
    /// Oldest first: those not flushed to their end, the present one, and those made ahead.
    segments: VecDeque<Segment>,
    spent: VecDeque<Segment>,
    /// In order of position, without a gap.
    chunks: VecDeque<Chunk>,
    /// The number of the first of them since the beginning.
    first_chunk: u64,
    /// Everything below is in a chunk.
    issued: Position,
    /// Whether the last block's slot, at its own place, is on its way: the epoch is issued whole.
    sealed: bool,
    round: Option<Round>,
    flush: Option<Flush>,
    last: Option<Slot>,
    written: Position,
    durable: Position,
    noted: Position,
    confirmed_ns: u64,
    flushed_ns: u64,
    /// Operations that the I/O could not take yet.
    waiting: VecDeque<(Op, u64)>,
    in_flight: usize,
    buffers: Vec<Buffer>,
    page: Option<Buffer>,
    open: Option<Buffer>,
    places: Places,
}

struct Ring {
    scan: Scan,
    control: ControlMut,
    gate: Position,
    /// The turn in which a frame was found to be ahead of its time, by that turn's clock.
    doubted_ns: Option<u64>,
}

impl Ring {
    /// Whether a frame may be ahead only of a clock that was read before the frame was seen: a core may have stood still
    /// within its turn. A later turn's clock decides.
    fn doubts(&mut self, cause: BrokenCause, now_ns: u64) -> bool {
        let doubts = cause == BrokenCause::TimeAhead && *self.doubted_ns.get_or_insert(now_ns) == now_ns;
        if doubts {
            self.scan.rewind();
        }
        doubts
    }
}

/// A range of one block on its way to disk.
struct Chunk {
    slot: Slot,
    /// Whether nothing follows in this block.
    closes: bool,
    outstanding: u8,
}

/// Slots on their way to disk.
struct Round {
    end: Position,
    outstanding: u8,
}

/// A flush on its way.
struct Flush {
    target: Position,
    outstanding: usize,
}

/// What an operation was for.
#[derive(Clone, Copy)]
enum Purpose {
    Data(u64),
    Page,
    Open,
    Flush,
}

/// The recorder whose operation a completion's token names: the number it was made with.
pub fn recorder_of(token: u64) -> u16 {
    (token >> 48) as u16
}

impl Purpose {
    fn token(self, number: u16) -> u64 {
        let (kind, rest) = match self {
            Purpose::Data(chunk) => (0, chunk),
            Purpose::Page => (1, 0),
            Purpose::Open => (2, 0),
            Purpose::Flush => (3, 0),
        };
        u64::from(number) << 48 | kind << 46 | rest & ((1 << 46) - 1)
    }

    fn of(token: u64) -> Purpose {
        match token >> 46 & 3 {
            0 => Purpose::Data(token & ((1 << 46) - 1)),
            1 => Purpose::Page,
            2 => Purpose::Open,
            _ => Purpose::Flush,
        }
    }
}

impl Recorder {
    /// A recorder of `partition`, which goes on where `recovery` found its end. `number` comes back in the tokens of its
    /// operations. Allocates all it will need.
    pub fn new(partition: &Partition, recovery: &Recovery, number: u16) -> Recorder {
        let end = recovery.tail.position;
        Recorder {
            number,
            id: partition.id(),
            geometry: partition.geometry(),
            keeps_durable: partition.keeps_durable(),
            flush_every_ns: if partition.flushes_at_once() { 0 } else { FLUSH_EVERY_NS },
            ring: None,
            state: RecorderState::Idle,
            segments: VecDeque::with_capacity(8),
            spent: VecDeque::with_capacity(8),
            chunks: VecDeque::with_capacity(CHUNKS_MAX),
            first_chunk: 0,
            issued: end,
            sealed: false,
            round: None,
            flush: None,
            last: None,
            written: end,
            durable: end,
            noted: end,
            confirmed_ns: 0,
            flushed_ns: 0,
            waiting: VecDeque::with_capacity(CHUNKS_MAX),
            in_flight: 0,
            buffers: (0..CHUNKS_MAX).map(|_| Buffer::new(DISK_BLOCK)).collect(),
            page: Some(Buffer::new(DISK_BLOCK)),
            open: Some(Buffer::new(DISK_BLOCK)),
            places: Places::default(),
        }
    }

    /// Begins to record an epoch. `recorded` is what the journal has of it: its start, or, for a ring that outlived its
    /// broker, the recovered tail. Sets `gate`, `written` and `durable` in the control page, and moves them from now on;
    /// the page's other words are the broker's.
    ///
    /// # Panics
    /// Where the epoch before is not done.
    pub fn attach(&mut self, memory: Memory, control: ControlMut, start: &EpochStart, recorded: Tail) {
        assert!(matches!(self.state, RecorderState::Idle | RecorderState::EpochDone { .. }), "{:?}", self.state);
        assert!(self.chunks.is_empty(), "an epoch that is done has no data on its way");
        let scan = Scan::new(memory, *start, self.id, recorded);
        self.issued = scan.block();
        self.sealed = false;
        self.written = recorded.position;
        // What was recovered was flushed, and the epoch before was done: nothing lies between.
        self.durable = recorded.position;
        self.noted = self.durable;
        self.state = RecorderState::Recording;
        self.ring = Some(Ring { scan, control, gate: Position(0), doubted_ns: None });
        self.tell();
    }

    /// The attached epoch ends at `end`, as the broker's own scan of the committed frames found: record up to it, then
    /// be done.
    pub fn end_epoch(&mut self, end: Position) {
        let Some(ring) = &mut self.ring else { return };
        if matches!(self.state, RecorderState::Broken { .. }) {
            if ring.scan.keep_recorded() {
                self.issued = ring.scan.seen();
                self.sealed = true;
            } else {
                ring.scan.rewind();
            }
            self.state = RecorderState::Recording;
        }
        ring.scan.set_limit(end);
    }

    /// A position in the segment that is needed next, if there is one to be made.
    pub fn wants_segment(&self) -> Option<Position> {
        let block = self.ring.as_ref()?.scan.block();
        let base = self.geometry.base(block);
        let ahead = base.plus(self.geometry.segment_bytes);
        [block, ahead].into_iter().find(|position| self.segment_of(*position).is_none())
    }

    /// Takes the segment that was wanted.
    pub fn give(&mut self, segment: Segment) {
        debug_assert!(self.segments.back().is_none_or(|last| last.base < segment.base));
        self.segments.push_back(segment);
    }

    /// A segment that is full and durable, to be closed where that may take time.
    pub fn take_spent(&mut self) -> Option<Segment> {
        self.spent.pop_front()
    }

    /// What it is at.
    pub fn state(&self) -> &RecorderState {
        &self.state
    }

    /// The end of what it has read and found good.
    pub fn tail(&self) -> Option<Tail> {
        self.ring.as_ref().map(|ring| ring.scan.tail())
    }

    /// Everything below was taken by the kernel or the device, index included.
    pub fn written(&self) -> Position {
        self.written
    }

    /// Everything below was flushed and confirmed; 0 where that is worth nothing.
    pub fn durable(&self) -> Position {
        if self.keeps_durable { self.durable } else { Position(0) }
    }

    /// Operations that the kernel is at.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Ends recording for good, where the I/O itself has failed.
    pub fn fail(&mut self, what: &'static str, error: io::Error) {
        if !matches!(self.state, RecorderState::Failed { .. }) {
            self.state = RecorderState::Failed { what, error };
        }
        self.waiting.clear();
    }

    /// Takes the end of one of its operations.
    pub fn complete(&mut self, completion: Completion) {
        let Completion { token, result, buffer } = completion;
        self.in_flight -= 1;
        let purpose = Purpose::of(token);
        match purpose {
            Purpose::Data(_) => self.buffers.extend(buffer),
            Purpose::Page => self.page = buffer,
            Purpose::Open => self.open = buffer,
            Purpose::Flush => {}
        }
        match (purpose, result) {
            (Purpose::Flush, Err(error)) => self.fail("flush", error),
            (_, Err(error)) => self.fail("write", error),
            (Purpose::Data(number), Ok(())) => self.chunks[(number - self.first_chunk) as usize].outstanding -= 1,
            (Purpose::Page, Ok(())) => self.slots_written(),
            (Purpose::Open, Ok(())) => {
                self.places.written();
                self.slots_written();
            }
            (Purpose::Flush, Ok(())) => self.flushed(),
        }
    }

    /// One turn; how much there was to do, 0 meaning nothing. `now_ns` is the wall clock.
    pub fn do_work(&mut self, io: &mut dyn Io, now_ns: u64) -> usize {
        if matches!(self.state, RecorderState::Failed { .. } | RecorderState::Idle) {
            return 0;
        }
        let work = self.read_and_issue(io, now_ns) + self.write_slots() + self.start_flush(now_ns);
        let work = work + self.note_durable(now_ns);
        self.finish_epoch();
        self.submit(io);
        work
    }

    fn read_and_issue(&mut self, io: &mut dyn Io, now_ns: u64) -> usize {
        let (mut count, mut chunks) = (0, 0);
        while let Some(ring) = &mut self.ring
            && matches!(self.state, RecorderState::Recording)
            && count < FRAMES_MAX
            && chunks < TURN_CHUNKS_MAX
        {
            match ring.scan.read(ring.gate, now_ns, FRAMES_MAX - count) {
                Ok(frames) => {
                    count += frames;
                    ring.doubted_ns = None;
                }
                Err(cause) if ring.doubts(cause, now_ns) => {}
                Err(cause) => self.state = RecorderState::Broken { at: ring.scan.tail(), cause },
            }
            if !self.issue() {
                break;
            }
            self.submit(io);
            count += 1;
            chunks += 1;
        }
        count
    }

    fn slots_written(&mut self) {
        let Some(round) = &mut self.round else { return };
        round.outstanding -= 1;
        if round.outstanding == 0 {
            // A note of the epoch before may still have been on its way when this one was attached.
            self.written = self.written.max(round.end);
            self.round = None;
            self.tell();
        }
    }

    fn flushed(&mut self) {
        let Some(flush) = &mut self.flush else { return };
        flush.outstanding -= 1;
        if flush.outstanding > 0 {
            return;
        }
        self.durable = flush.target;
        self.places.flushed();
        self.flush = None;
        self.tell();
        let segment_bytes = self.geometry.segment_bytes;
        while let Some(first) = self.segments.front()
            && first.base.plus(segment_bytes) <= self.durable
            && first.base.plus(segment_bytes) < self.written
        {
            self.spent.extend(self.segments.pop_front());
        }
    }

    /// Moves the words of the control page: `gate` only after `written`.
    fn tell(&mut self) {
        let durable = self.durable();
        let Some(Ring { scan, control, gate, .. }) = &mut self.ring else { return };
        control.set_written(self.written);
        control.set_durable(durable);
        let capacity_bytes = scan.memory().capacity_bytes();
        *gate = self.written.block().max(scan.start().position).plus(capacity_bytes);
        control.set_gate(*gate);
    }

    fn start_flush(&mut self, now_ns: u64) -> usize {
        let ending = self.sealed && self.chunks.is_empty() && self.round.is_none();
        let due = ending || now_ns.saturating_sub(self.flushed_ns) >= self.flush_every_ns;
        if self.flush.is_some() || self.written <= self.durable || !due || !self.places.may_flush() {
            return 0;
        }
        let target = self.written;
        let mut outstanding = 0;
        for segment in self.segments.iter().take_while(|segment| segment.base < target) {
            let op = Op::Flush { file: segment.file.clone() };
            self.waiting.push_back((op, Purpose::Flush.token(self.number)));
            outstanding += 1;
        }
        self.places.flush();
        self.flushed_ns = now_ns;
        self.flush = Some(Flush { target, outstanding });
        outstanding
    }

    /// An epoch is done when its end is durable.
    fn finish_epoch(&mut self) {
        let end = self.ring.as_ref().filter(|ring| ring.scan.is_ended()).and_then(|ring| ring.scan.limit());
        if let Some(end) = end
            && matches!(self.state, RecorderState::Recording)
            && self.chunks.is_empty()
            && self.round.is_none()
            && self.written == end
            && self.durable >= end
        {
            self.state = RecorderState::EpochDone { end };
        }
    }

    fn submit(&mut self, io: &mut dyn Io) {
        while let Some((op, token)) = self.waiting.pop_front() {
            if let Err(op) = io.submit(op, token) {
                return self.waiting.push_front((op, token));
            }
            self.in_flight += 1;
        }
    }

    fn segment_of(&self, position: Position) -> Option<&Segment> {
        let base = self.geometry.base(position);
        self.segments.iter().find(|segment| segment.base == base)
    }
}

const KEPT: &str = "a segment is kept until all of it is durable and a later one is written";
