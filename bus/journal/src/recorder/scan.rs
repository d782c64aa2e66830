//! Reading the ring for the recorder: frame by frame, judged by the rules that a writer obeys; and the private copy of
//! the open block, from which its CRC is taken.

use super::BrokenCause;
use crate::JournalId;
use crate::slot::{Slot, seed};
use oyez_ring::{BLOCK, EpochStart, Kind, Memory, Poll, Position, Reader, Sequence, Tail};

/// How far a writer's clock may be ahead of the highest wall time seen.
const AHEAD_MAX_NS: u64 = 1_000_000_000;

pub(super) struct Scan {
    memory: Memory,
    reader: Reader,
    start: EpochStart,
    id: JournalId,
    /// What the journal has already: the ring must agree with it where it ends.
    recorded: Tail,
    agreed: bool,
    limit: Option<Position>,
    mark: Position,
    clock_ns: u64,
    block: Position,
    /// The end of the last good frame.
    seen: Position,
    /// Where the body of the block's padding begins: bytes that nobody may rely on, recorded as zeros.
    padding: Option<Position>,
    first_sequence: Sequence,
    next_sequence: Sequence,
    first_time_ns: u64,
    last_time_ns: u64,
    /// The block's bytes up to `copied`, zero behind.
    copy: Box<[u8]>,
    copied: Position,
    crc: u32,
}

/// Where the committed frames of a ring end that nobody writes any more, found from `recorded` on by the recorder's own
/// rules; with the rule that its writer broke, if that is why they end. `recorded` is a place that the recorder has read
/// to, or a block's start; `gate` the last one told, `now_ns` the wall clock.
///
/// Told as the epoch's end ([`super::Recorder::end_epoch`]), it is where the recorder ends, too.
pub fn find_end(
    memory: Memory,
    start: EpochStart,
    recorded: Tail,
    gate: Position,
    now_ns: u64,
) -> (Tail, Option<BrokenCause>) {
    let mut scan = Scan::new(memory, start, JournalId(0), recorded);
    let broken = loop {
        match scan.read(gate, now_ns, usize::MAX) {
            Err(cause) => break Some(cause),
            Ok(_) if scan.is_full() => scan.enter_next(),
            Ok(_) if scan.has_agreed() => break None,
            Ok(_) => break Some(BrokenCause::Disagrees),
        }
    };
    (scan.tail(), broken)
}

impl Scan {
    /// Starts with the block that holds the recorded end, so that its CRC and times are found again.
    pub(super) fn new(memory: Memory, start: EpochStart, id: JournalId, recorded: Tail) -> Scan {
        let block = recorded.position.block().max(start.position);
        Scan {
            reader: Reader::at(memory.clone(), start.epoch, block),
            memory,
            start,
            id,
            recorded,
            agreed: recorded.position == block,
            limit: None,
            mark: Position(0),
            clock_ns: start.time_ns.max(recorded.time_ns),
            block,
            seen: block,
            padding: None,
            first_sequence: recorded.sequence,
            next_sequence: recorded.sequence,
            first_time_ns: 0,
            last_time_ns: if block == start.position { start.time_ns } else { 0 },
            copy: vec![0; BLOCK as usize].into(),
            copied: block,
            crc: seed(id, block, start.epoch),
        }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn start(&self) -> &EpochStart {
        &self.start
    }

    pub(super) fn block(&self) -> Position {
        self.block
    }

    pub(super) fn seen(&self) -> Position {
        self.seen
    }

    /// The end of the epoch: nothing above it is read.
    pub(super) fn set_limit(&mut self, end: Position) {
        self.limit = Some(end.max(self.seen));
    }

    pub(super) fn limit(&self) -> Option<Position> {
        self.limit
    }

    /// The ring was found wrong before it came to what the journal has: that stands, and nothing is added. Whether it
    /// was so.
    pub(super) fn keep_recorded(&mut self) -> bool {
        let keeps = !self.agreed;
        if keeps {
            self.agreed = true;
            self.seen = self.recorded.position;
            self.next_sequence = self.recorded.sequence;
        }
        keeps
    }

    /// Goes back to the end of the last good frame: the one behind it was refused, and may not be again.
    pub(super) fn rewind(&mut self) {
        self.reader = Reader::at(self.memory.clone(), self.start.epoch, self.block);
        while self.reader.position() < self.seen && matches!(self.reader.poll_any(), Ok(Poll::Frame(_))) {}
    }

    /// Whether the block is read to its very end.
    pub(super) fn is_full(&self) -> bool {
        self.seen == self.block.plus(BLOCK)
    }

    /// Whether the epoch is read to its end.
    pub(super) fn is_ended(&self) -> bool {
        self.limit == Some(self.seen)
    }

    /// Whether what was read has reached what the journal has, and agrees with it.
    pub(super) fn has_agreed(&self) -> bool {
        self.agreed
    }

    /// Where the last good frame ends.
    pub(super) fn tail(&self) -> Tail {
        if !self.agreed {
            return self.recorded;
        }
        let time_ns = self.last_time_ns.max(self.recorded.time_ns);
        Tail { position: self.seen, sequence: self.next_sequence, time_ns }
    }

    /// Reads on in the open block, `frames_max` at most; how many it were. `gate` is what the writer was last allowed.
    pub(super) fn read(&mut self, gate: Position, now_ns: u64, frames_max: usize) -> Result<usize, BrokenCause> {
        self.clock_ns = self.clock_ns.max(now_ns);
        if self.is_ended() {
            return Ok(0);
        }
        self.judge_mark(gate)?;
        let mut count = 0;
        while count < frames_max && !self.is_full() && !self.is_ended() {
            let frame = match self.reader.poll_any() {
                Ok(Poll::Frame(frame)) => frame,
                Ok(Poll::Empty) => break,
                Ok(Poll::Lapped) => return Err(BrokenCause::Lapped),
                Err(invalid) => return Err(BrokenCause::Frame(invalid.reason)),
            };
            let (position, end, kind, time_ns, sequence) =
                (frame.position, frame.end, frame.kind, frame.time_ns, frame.sequence);
            if position >= self.block.plus(BLOCK) {
                // Frames that were stepped over ended the block: it is closed first, and the next entered again.
                self.seen = self.block.plus(BLOCK);
                self.reader = Reader::at(self.memory.clone(), self.start.epoch, self.seen);
                break;
            }
            match kind {
                Kind::Padding => self.padding = Some(position.plus(8)),
                Kind::Block => self.judge_block(sequence, time_ns)?,
                _ => {}
            }
            if kind != Kind::Padding {
                self.judge_time(time_ns)?;
            }
            self.next_sequence = self.reader.sequence().unwrap_or(sequence);
            self.seen = end;
            self.judge_agreement()?;
            count += 1;
        }
        Ok(count)
    }

    fn judge_mark(&mut self, gate: Position) -> Result<(), BrokenCause> {
        // Below a known end mark and times were judged once: by another reading of the clock, or of a mark that has moved
        // since, the verdict may differ, and then the journal would lack what the epoch has.
        if self.limit.is_some() {
            return Ok(());
        }
        let mark = self.memory.mark();
        if mark < self.mark {
            return Err(BrokenCause::MarkWentBack);
        }
        if mark > gate {
            return Err(BrokenCause::MarkPassedGate);
        }
        self.mark = mark;
        Ok(())
    }

    fn judge_block(&mut self, sequence: Sequence, time_ns: u64) -> Result<(), BrokenCause> {
        if self.agreed && sequence != self.next_sequence {
            return Err(BrokenCause::Disagrees);
        }
        self.first_sequence = sequence;
        self.first_time_ns = time_ns;
        Ok(())
    }

    fn judge_time(&mut self, time_ns: u64) -> Result<(), BrokenCause> {
        if self.limit.is_some() {
            self.last_time_ns = self.last_time_ns.max(time_ns);
            return Ok(());
        }
        if time_ns < self.last_time_ns {
            return Err(BrokenCause::TimeWentBack);
        }
        if time_ns > self.clock_ns.saturating_add(AHEAD_MAX_NS) {
            return Err(BrokenCause::TimeAhead);
        }
        self.last_time_ns = time_ns;
        Ok(())
    }

    fn judge_agreement(&mut self) -> Result<(), BrokenCause> {
        if self.agreed || self.seen < self.recorded.position {
            return Ok(());
        }
        self.agreed = self.seen == self.recorded.position && self.next_sequence == self.recorded.sequence;
        if self.agreed { Ok(()) } else { Err(BrokenCause::Disagrees) }
    }

    /// The slot of the block as far as it is read; copies what is new.
    pub(super) fn slot(&mut self, durable: Position) -> Slot {
        let [from, bytes, to] = [self.copied, self.padding.unwrap_or(self.seen), self.seen]
            .map(|position| (position.0 - self.block.0) as usize);
        if from < bytes {
            self.memory.copy_out(self.copied, &mut self.copy[from..bytes]);
        }
        self.crc = crc32c::crc32c_append(self.crc, &self.copy[from..to]);
        self.copied = self.seen;
        Slot {
            end: self.seen,
            first_sequence: self.first_sequence,
            next_sequence: self.next_sequence,
            first_time_ns: self.first_time_ns,
            last_time_ns: self.last_time_ns,
            durable,
            epoch: self.start.epoch,
            data_crc: self.crc,
        }
    }

    /// Where the bytes end that the kernel may take from the ring itself: behind them padding begins, or nothing is yet.
    pub(super) fn solid(&self) -> Position {
        self.padding.unwrap_or(self.seen)
    }

    /// The block's bytes from `from` on, as they are recorded: zero behind the end. As far as [`Scan::slot`] copied.
    pub(super) fn copied(&self, from: Position) -> &[u8] {
        &self.copy[(from.0 - self.block.0) as usize..]
    }

    /// Goes on to the next block, the present one being full.
    pub(super) fn enter_next(&mut self) {
        self.block = self.block.plus(BLOCK);
        self.padding = None;
        self.first_sequence = self.next_sequence;
        self.first_time_ns = self.last_time_ns;
        self.copy.fill(0);
        self.crc = seed(self.id, self.block, self.start.epoch);
    }
}
