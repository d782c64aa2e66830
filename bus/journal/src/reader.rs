//! Reading a journal back. Every block is checked against its slot before a byte of it is believed.

use crate::error::is_unreadable;
use crate::frames::{Parsed, parse};
use crate::layout::{Geometry, SLOT_BYTES};
use crate::recorder::PLACES;
use crate::slot::{Slot, seed};
use crate::{Corrupt, Damage, Epochs, JournalId, ReadError, SegmentFile};
use oyez_ring::layout::{BlockOpening, CommitWord, FLAG_IGNORABLE, RING_BYTES_MAX};
use oyez_ring::{BLOCK, Epoch, Frame, Join, Kind, Origin, Position, Sequence, Walk, message_bytes_max};
use std::io;
use std::os::unix::fs::FileExt;

/// How often a block is read before it is called damaged: a slot may be met while it is being written.
const ATTEMPTS: usize = 3;
/// The longest message that any ring has taken: how large its own was, a journal does not tell.
const MESSAGE_BYTES_MAX: usize = message_bytes_max(RING_BYTES_MAX);

/// Where a reader gets segments from: a folder, or a broker that hands out descriptors.
pub trait Segments {
    /// The segment that holds `position`; `None` where there is none, yet or any more.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn segment(&mut self, position: Position) -> io::Result<Option<SegmentFile>>;

    /// The lowest position that the journal has *now*. It is asked after a check failed: below it, that is retention.
    ///
    /// # Errors
    /// Whatever keeps it from being known.
    fn earliest(&mut self) -> io::Result<Position>;
}

/// A cursor into the journal of one partition, over all its epochs.
pub struct JournalReader<S> {
    id: JournalId,
    epochs: Epochs,
    segments: S,
    segment: Option<SegmentFile>,
    position: Position,
    walk: Walk,
    join: Join,
    /// The epoch of the position, and where it ends, as far as is known; 0 where both have to be found anew.
    epoch: Epoch,
    end: Position,
    until: Until,
    loaded: Option<Loaded>,
    data: Box<[u8]>,
}

/// A block whose bytes verify up to `end`.
#[derive(Clone, Copy)]
struct Loaded {
    block: Position,
    epoch: Epoch,
    end: Position,
    crc: u32,
}

/// What frames are stepped over, after a seek within a block.
#[derive(Clone, Copy, PartialEq)]
enum Until {
    Here,
    Position(Position),
    Sequence(Sequence),
    Time(u64),
}

impl<S: Segments> JournalReader<S> {
    /// A reader at position 0; seek before the first poll.
    pub fn new(id: JournalId, epochs: Epochs, segments: S) -> JournalReader<S> {
        let data = vec![0; BLOCK as usize].into();
        let (position, until) = (Position(0), Until::Here);
        let (walk, join) = (Walk::new(MESSAGE_BYTES_MAX), Join::new(MESSAGE_BYTES_MAX));
        let (segment, epoch, end, loaded) = (None, Epoch(0), Position(0), None);
        JournalReader { id, epochs, segments, segment, position, walk, join, epoch, end, until, loaded, data }
    }

    /// Goes to `position`, where a frame begins, or where one ended. No I/O until the next poll. Of a message that begins
    /// before it nothing is given.
    pub fn seek(&mut self, position: Position) {
        self.position = position.block();
        self.begin_anew();
        self.until = if self.position == position { Until::Here } else { Until::Position(position) };
        (self.end, self.loaded) = (Position(0), None);
    }

    /// Goes to the first message below `limit` whose sequence is not below `sequence`; to `limit` where there is none.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub fn seek_sequence(&mut self, sequence: Sequence, limit: Position) -> Result<(), ReadError> {
        // Where the message before it ends: it may be several frames, and then the block that it ends in is too late.
        self.seek_block(limit, Until::Sequence(sequence), |slot| slot.next_sequence >= sequence)
    }

    /// Goes to the first frame below `limit` that was published at `time_ns` or later; to `limit` where there is none.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it was.
    pub fn seek_time(&mut self, time_ns: u64, limit: Position) -> Result<(), ReadError> {
        self.seek_block(limit, Until::Time(time_ns), |slot| slot.last_time_ns >= time_ns)
    }

    /// The next message, or frame but for block frames and padding, that ends at or below `limit`; `None`: nothing more
    /// below it. A message that is several frames comes as one [`Kind::Message`], or not at all. `limit` is a promise that
    /// everything below it is recorded: the control page's `written` or `durable`, or the end that [`crate::Folder`]
    /// found.
    ///
    /// # Errors
    /// [`ReadError`]. After [`ReadError::Corrupt`], seek to the end of its range to go on.
    pub fn poll(&mut self, limit: Position) -> Result<Option<Frame<'_>>, ReadError> {
        loop {
            if self.position >= self.end {
                self.enter_epoch()?;
            }
            if self.position >= limit {
                return Ok(None);
            }
            let loaded = self.load(limit)?;
            let block = loaded.block;
            let at = (self.position.0 - block.0) as usize;
            let recorded = &self.data[..(loaded.end.0 - block.0) as usize];
            let parsed = parse(recorded, at).ok_or_else(|| self.corrupt(Damage::Frames))?;
            if block.plus(parsed.end as u64) > limit {
                return Ok(None);
            }
            let (position, passed) = (self.position, self.passes(&parsed)?);
            let sequence = self.step(&parsed)?;
            let Parsed { kind, word: CommitWord { flags, .. }, time_ns, payload, .. } = parsed;
            match kind {
                Ok(Kind::Block | Kind::Padding) | Err(_) => {}
                _ if passed => {}
                Ok(Kind::Fragment) => {
                    let start = self.join.add(position, flags, &self.data[payload]);
                    let Some(position) = start else { continue };
                    let (end, kind, origin, payload) =
                        (self.position, Kind::Message, self.join.origin(), self.join.bytes());
                    return Ok(Some(Frame { position, end, kind, flags: 0, sequence, time_ns, origin, payload }));
                }
                Ok(kind) => {
                    let (end, (origin, payload)) = (self.position, Origin::split(flags, &self.data[payload]));
                    return Ok(Some(Frame { position, end, kind, flags, sequence, time_ns, origin, payload }));
                }
            }
        }
    }

    /// Where what comes next begins: of a message of which only a part was read yet, where it began.
    pub fn position(&self) -> Position {
        match self.until {
            Until::Position(position) => position,
            _ => self.join.start().unwrap_or(self.position),
        }
    }

    /// Who handed in the message of which a part was read, where that says so.
    pub fn under_way(&self) -> Option<Origin> {
        self.join.start().and(self.join.origin())
    }

    /// The sequence of the next message; unknown until the block was entered.
    pub fn sequence(&self) -> Option<Sequence> {
        self.walk.sequence()
    }

    /// The epoch of the next frame, as far as it is known.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epochs.of(self.position.block()).map(|start| start.epoch)
    }

    /// Makes later epochs known.
    pub fn set_epochs(&mut self, epochs: Epochs) {
        self.epochs = epochs;
        (self.end, self.loaded) = (Position(0), None);
    }

    /// Where the segments come from.
    pub fn segments(&mut self) -> &mut S {
        &mut self.segments
    }

    /// Finds the epoch of the position. Where that has ended, the next one that stands begins.
    #[cold]
    fn enter_epoch(&mut self) -> Result<(), ReadError> {
        loop {
            let Some(start) = self.epochs.of(self.position.block()).copied() else {
                (self.epoch, self.end) = (Epoch(0), Position(u64::MAX));
                return Ok(());
            };
            let (end, next) = (self.epochs.end_of(start.epoch), self.epochs.successor(start.epoch).copied());
            if self.epoch != start.epoch {
                // An epoch may end within a message, which then never was.
                self.begin_anew();
            }
            (self.epoch, self.end) = (start.epoch, end.unwrap_or(Position(u64::MAX)));
            // Whoever seeks an epoch's end needs nothing of its last block, which may be the one that is damaged.
            let ended = self.until == Until::Position(self.end);
            let Some(next) = next.filter(|_| self.position >= self.end || ended) else { return Ok(()) };
            match self.until {
                Until::Position(_) if ended => self.until = Until::Here,
                Until::Position(position) if position > self.position => return Err(ReadError::NotAFrame { position }),
                Until::Position(_) => self.until = Until::Here,
                _ => {}
            }
            self.position = next.position;
        }
    }

    fn begin_anew(&mut self) {
        self.walk = Walk::new(MESSAGE_BYTES_MAX);
        self.join.forget();
    }

    /// Whether the frame at the cursor lies before what was sought.
    fn passes(&mut self, parsed: &Parsed) -> Result<bool, ReadError> {
        let sequence = self.walk.sequence();
        let passes = match self.until {
            Until::Here => false,
            Until::Position(target) if self.position > target => {
                self.until = Until::Here;
                return Err(ReadError::NotAFrame { position: target });
            }
            Until::Position(target) => self.position < target,
            Until::Sequence(target) => sequence < Some(target),
            Until::Time(target) => parsed.time_ns < target,
        };
        if !passes {
            self.until = Until::Here;
        }
        Ok(passes)
    }

    /// Past the frame at the cursor, counting; its sequence.
    fn step(&mut self, parsed: &Parsed) -> Result<Sequence, ReadError> {
        let block = self.position.block();
        let passed = match parsed.kind {
            Ok(Kind::Block) => BlockOpening::decode(&self.data[parsed.payload.clone()])
                .filter(|opening| opening.position == block && opening.epoch == self.epoch)
                .filter(|opening| parsed.word.sequence_low == opening.sequence.0 as u16)
                .filter(|opening| self.walk.enter(opening).is_ok())
                .map(|opening| opening.sequence),
            Ok(kind) => self.walk.pass(kind, parsed.word, parsed.end as u64 == BLOCK).ok(),
            Err(_) if parsed.word.flags & FLAG_IGNORABLE != 0 => {
                self.walk.sequence().filter(|_| self.walk.is_between())
            }
            Err(kind) => return Err(ReadError::UnknownKind { position: self.position, kind }),
        };
        let sequence = passed.ok_or_else(|| self.corrupt(Damage::Frames))?;
        self.position = block.plus(parsed.end as u64);
        Ok(sequence)
    }

    /// The block at the cursor, verified beyond it.
    fn load(&mut self, limit: Position) -> Result<Loaded, ReadError> {
        if let Some(loaded) = self.loaded.filter(|l| l.block == self.position.block() && l.end > self.position) {
            return Ok(loaded);
        }
        let mut cause = Damage::Missing;
        for _ in 0..ATTEMPTS {
            match self.try_load()? {
                Ok(loaded) => {
                    self.loaded = Some(loaded);
                    return Ok(loaded);
                }
                Err(damage) => cause = damage,
            }
            // Perhaps a file that has begun another life.
            (self.loaded, self.segment) = (None, None);
        }
        let (position, earliest) = (self.position, self.segments.earliest().map_err(self.io())?);
        if position.block() < earliest {
            return Err(ReadError::Retention { position, earliest });
        }
        if cause == Damage::Slot && limit > position.next_block() {
            // Perhaps the epoch ended here, and its successor is not known yet: then the next block tells.
            self.slots(position.next_block())?;
        }
        Err(self.corrupt(cause))
    }

    fn try_load(&mut self) -> Result<Result<Loaded, Damage>, ReadError> {
        let block = self.position.block();
        let Some(slots) = self.slots(block)? else { return Ok(Err(Damage::Missing)) };
        let (mut cause, position) = (Damage::Slot, self.position);
        for slot in slots.into_iter().flatten().filter(|slot| slot.end > position) {
            let empty = Loaded { block, epoch: slot.epoch, end: block, crc: seed(self.id, block, slot.epoch) };
            let part =
                self.loaded.filter(|part| part.block == block && part.epoch == slot.epoch && part.end < slot.end);
            for begun in [part, Some(empty)].into_iter().flatten() {
                let loaded = self.extend(begun, slot.end)?;
                if loaded.crc == slot.data_crc {
                    return Ok(Ok(loaded));
                }
            }
            cause = Damage::Data;
        }
        Ok(Err(cause))
    }

    fn extend(&mut self, begun: Loaded, end: Position) -> Result<Loaded, ReadError> {
        let Some(SegmentFile { base, file, .. }) = &self.segment else { return Ok(begun) };
        let [from, to] = [begun.end, end].map(|position| (position.0 - begun.block.0) as usize);
        let bytes = &mut self.data[from..to];
        match file.read_exact_at(bytes, begun.end.0 - base.0) {
            Ok(()) => Ok(Loaded { end, crc: crc32c::crc32c_append(begun.crc, bytes), ..begun }),
            // A file that is too short does not verify.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_unreadable(&error) => Ok(begun),
            Err(error) => Err(self.io()(error)),
        }
    }

    /// The slots of a block, the furthest first; `None` where its segment is not there.
    fn slots(&mut self, block: Position) -> Result<Option<[Option<Slot>; 1 + PLACES]>, ReadError> {
        if !self.segment.as_ref().is_some_and(|segment| segment.holds(block)) {
            self.segment = self.segments.segment(block).map_err(self.io())?.filter(|segment| segment.holds(block));
        }
        let Some(SegmentFile { segment_bytes, file, .. }) = &self.segment else { return Ok(None) };
        let geometry = Geometry { segment_bytes: *segment_bytes };
        let mut slots = [None; 1 + PLACES];
        let places = (0..PLACES).map(|place| geometry.open_at(place));
        for (slot, offset) in slots.iter_mut().zip(std::iter::once(geometry.slot_at(block)).chain(places)) {
            let mut bytes = [0; SLOT_BYTES];
            match file.read_exact_at(&mut bytes, offset) {
                Ok(()) => *slot = Slot::decode(&bytes, self.id).filter(|slot| slot.block() == block),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof || is_unreadable(&error) => {}
                Err(error) => return Err(self.io()(error)),
            }
        }
        let known = self.epochs.last().map(|last| last.epoch);
        if let Some(newer) = slots.iter().flatten().find(|slot| Some(slot.epoch) > known) {
            return Err(ReadError::NewEpoch { epoch: newer.epoch });
        }
        let mut accepted = slots.map(|slot| slot.filter(|slot| self.epochs.accepts(slot)));
        accepted.sort_by_key(|slot| std::cmp::Reverse(slot.map(|slot| slot.end)));
        Ok(Some(accepted))
    }

    /// The first block whose slot `reaches` what is sought: last sequences and times only rise.
    fn seek_block(&mut self, limit: Position, until: Until, reaches: impl Fn(&Slot) -> bool) -> Result<(), ReadError> {
        let mut low = self.segments.earliest().map_err(self.io())?.0 / BLOCK;
        let end = limit.next_block().0 / BLOCK;
        let mut high = end;
        while low < high {
            let middle = low + (high - low) / 2;
            // A slot that is damaged says nothing: the next one that speaks does so for it.
            let mut spoken = middle;
            let mut slot = None;
            while slot.is_none() && spoken < high {
                slot = self.slots(Position(spoken * BLOCK))?.and_then(|slots| slots[0]);
                spoken += 1;
            }
            match slot {
                Some(slot) if !reaches(&slot) => low = spoken,
                _ => high = middle,
            }
        }
        match low == end {
            true => self.seek(limit),
            false => {
                self.seek(Position(low * BLOCK));
                self.until = until;
            }
        }
        Ok(())
    }

    fn io(&self) -> impl Fn(io::Error) -> ReadError + use<S> {
        let position = self.position;
        move |error| ReadError::Io { position, error }
    }

    /// The rest of the block at the cursor, as far as its epoch goes.
    fn corrupt(&self, cause: Damage) -> ReadError {
        let to = self.end.min(self.position.block().plus(BLOCK));
        ReadError::Corrupt(Corrupt { from: self.position, to, cause })
    }
}

impl SegmentFile {
    fn holds(&self, position: Position) -> bool {
        self.base <= position && position.0 - self.base.0 < self.segment_bytes
    }
}
