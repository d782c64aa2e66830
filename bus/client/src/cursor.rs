//! One cursor over journal and ring.
//!
//! Let [a, b) be what a ring holds. A cursor at p >= a reads the ring of p's epoch, else the journal, which already
//! holds p: the gate of a recorded ring never lets a come above what is written. There is no hand-over, only a choice,
//! made anew at each block; ring and journal are entered at a block's start, and what was had of it is skipped.
//!
//! What keeps every sequence coming exactly once, in order, or an event with exact bounds:
//! - the next sequence wanted is the cursor's own; a frame below it is skipped, one above it is preceded by a `Gap`;
//! - nothing is taken from an epoch at or above its end; the end is the least that the control page, the answer of the
//!   broker, or any later epoch tells;
//! - at an epoch's end the next epoch's first sequence is compared: above the one wanted is a `Gap`, below is `Rewound`;
//! - a message that is several frames is one here: it is given once it has come whole, and until then the cursor stands
//!   where it begins. Of one that was entered in its middle nothing is given, and the next one tells so by its number.
//!
//! An event is given before the frame that brought it to light is taken: the cursor gives the event, forgets its place,
//! and comes back to the frame. So `limit` holds strictly, and no state lives between a frame and its event.
//!
//! Checked by: `tests/model.rs`, with its controls.

mod error;
mod locate;
mod source;
mod want;

pub use error::{CursorError, JournalFailure};
pub(crate) use locate::newest_of;
pub use source::{Answer, Held, Journal, JournalPoll, Ring, Seek, Source};

use crate::{Durability, EventKind, GapCause, Message};
use oyez_mem::sync::fence_acquire;
use oyez_ring::{BLOCK, Epoch, EpochStart, Frame, Invalid, Kind, Poll, Position, Reader, Reason, Sequence, State};
use want::{Verdict, Want};

/// Where the journal is far enough: a cursor goes back to a ring of `capacity` only so far from being lapped again.
const fn margin_bytes(capacity_bytes: u64) -> u64 {
    capacity_bytes / 8 / BLOCK * BLOCK
}

/// A reader's place in one partition. One thread's at a time; nothing it does is seen by writers or other readers.
pub struct Cursor<S> {
    source: S,
    durability: Durability,
    epoch: Epoch,
    epoch_start: Position,
    /// Where the epoch ends, as far as is known: nothing at or above it is taken.
    end: Position,
    /// The number of the message after its last, once it was read to its end.
    end_sequence: Option<Sequence>,
    held: Held,
    /// Everything below has come as far as `durability` asks.
    bound: Position,
    /// Everything of the epoch below this was taken or skipped.
    position: Position,
    place: Place,
    /// The ring disagrees with the end that the broker found: its dead writer cannot be trusted.
    spoilt: bool,
    want: Want,
    last_turn: Turn,
}

#[expect(clippy::large_enum_variant, reason = "one a cursor, and looked into for each message")]
enum Place {
    Undecided,
    Ring(Reader),
    Journal {
        /// The block for which the choice was made.
        block: Position,
    },
}

/// Whether this poll goes on.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// Another turn may bring something at once.
    Again,
    /// Nothing more is there now.
    Rest,
    /// A message of several frames was given.
    Enough,
}

const NOWHERE: Position = Position(u64::MAX);

impl<S: Source> Cursor<S> {
    /// A cursor that delivers nothing that has not come so far as `durability`. It reads after [`Cursor::seek`].
    pub fn new(source: S, durability: Durability) -> Cursor<S> {
        Cursor {
            source,
            durability,
            epoch: Epoch(0),
            epoch_start: Position(0),
            end: Position(0),
            end_sequence: None,
            held: Held::Unknown,
            bound: Position(0),
            position: Position(0),
            place: Place::Undecided,
            spoilt: false,
            want: Want::default(),
            last_turn: Turn::Again,
        }
    }

    /// Gives up to `limit` events to `each`; how many it gave. A message of several frames is the last of its poll, so that
    /// many of them keep nobody waiting. Never blocks but on the journal's disk.
    ///
    /// # Errors
    /// [`CursorError`]; events given before it was found are lost to no one: the next poll goes on behind them.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut each: impl FnMut(EventKind<'_>)) -> Result<usize, CursorError> {
        self.learn();
        if self.is_at_rest() {
            return Ok(0);
        }
        let mut given = 0;
        while given < limit {
            let left = limit - given;
            let mut count = |event: EventKind<'_>| {
                given += 1;
                each(event);
            };
            let turn = match self.place {
                Place::Ring(_) => self.read_ring(left, &mut count),
                Place::Journal { .. } => self.read_journal(left, &mut count),
                Place::Undecided => self.choose(&mut count),
            };
            self.last_turn = turn?;
            if self.last_turn != Turn::Again {
                break;
            }
        }
        Ok(given)
    }

    /// Whether the last poll found a ring's tail, and nothing has changed since: what most polls of a reader that spins come
    /// to, and come back from the sooner.
    #[inline]
    fn is_at_rest(&self) -> bool {
        let (Place::Ring(reader), Held::Ring(ring)) = (&self.place, &self.held) else { return false };
        self.last_turn == Turn::Rest
            && reader.read_to() < self.end.min(self.bound)
            && ring.control.end().is_none()
            && reader.is_at_tail()
    }

    /// Whether the last poll ended with a message of several frames.
    #[inline]
    pub fn has_given_enough(&self) -> bool {
        self.last_turn == Turn::Enough
    }

    /// The message wanted next; unknown only before the first block was entered.
    pub fn next_sequence(&self) -> Option<Sequence> {
        self.want.next
    }

    /// The epoch being read; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where the next frame is looked for.
    #[inline]
    pub(crate) fn position(&self) -> Position {
        match &self.place {
            Place::Ring(reader) => reader.read_to(),
            _ => self.position,
        }
    }

    /// What it asks of a message before it gives it.
    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// Whether it reads the ring now, and not the journal.
    pub fn reads_ring(&self) -> bool {
        matches!(self.place, Place::Ring(_))
    }

    /// What it reads from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Takes over what has come since the last look at the source; every poll does so first.
    #[inline]
    pub fn learn(&mut self) {
        if self.source.refresh() {
            self.attend();
        }
    }

    /// Learns what there is of the present epoch.
    #[cold]
    fn attend(&mut self) {
        self.held = match self.epoch {
            Epoch(0) => Held::Closed { end: Position(0), sequence: Sequence(0) },
            epoch => self.source.held(epoch),
        };
        self.end = self.source.epochs().end_of(self.epoch).unwrap_or(NOWHERE);
        self.learn_end();
        self.bound = Position(0);
    }

    /// The control page, or the broker, may know an end by now.
    #[inline]
    fn learn_end(&mut self) {
        let end = match &self.held {
            Held::Ring(ring) => ring.control.end(),
            Held::Closed { end, .. } => Some(*end),
            Held::Unknown => None,
        };
        if let Some(end) = end {
            // The frames below it were committed before it was told, and are looked for after it was read.
            fence_acquire();
            self.end = self.end.min(end);
        }
    }

    /// Whether what stands at `position` has not come far enough yet.
    #[inline]
    fn beyond_bound(&mut self, position: Position) -> bool {
        position >= self.bound && {
            self.bound = if self.durability == Durability::Published { NOWHERE } else { self.recorded() };
            position >= self.bound
        }
    }

    /// How far the journal may be read: everything below is there, and as durable as is asked.
    fn recorded(&self) -> Position {
        match &self.held {
            Held::Closed { .. } => NOWHERE,
            Held::Ring(ring) if self.durability == Durability::Durable => ring.control.durable(),
            Held::Ring(ring) => ring.control.written(),
            Held::Unknown => Position(0),
        }
    }

    fn read_ring(&mut self, limit: usize, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        self.learn_end();
        let below = self.end.min(self.bound);
        let mut given = 0;
        while given < limit {
            let Place::Ring(reader) = &mut self.place else { return Ok(Turn::Again) };
            match reader.poll_below(below) {
                Ok(Poll::Frame(frame)) => match self.want.give(&frame, self.epoch, true, each) {
                    Verdict::Skipped => {}
                    Verdict::Enough => return Ok(Turn::Enough),
                    Verdict::Given => given += 1,
                    Verdict::EventFirst => {
                        let stands = frame.position;
                        return Ok(self.leave(stands));
                    }
                },
                Ok(Poll::Empty) => return self.ring_is_read(each),
                Ok(Poll::Lapped) => return Ok(self.lapped(each)),
                Err(invalid) => return self.ring_is_invalid(invalid),
            }
        }
        Ok(Turn::Again)
    }

    /// Nothing more is there, or it may not be read yet.
    fn ring_is_read(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        let Place::Ring(reader) = &self.place else { return Ok(Turn::Again) };
        let (read_to, bound) = (reader.read_to(), self.bound);
        if read_to >= self.end {
            // Above the end what was counted is worth nothing.
            self.end_sequence = reader.sequence().filter(|_| read_to == self.end);
            return Ok(self.leave(read_to));
        }
        if self.beyond_bound(read_to) {
            return Ok(self.ring_is_at_bound(each));
        }
        if read_to >= bound { Ok(Turn::Again) } else { self.ring_is_empty(each) }
    }

    /// What more is published has not come as far as is asked.
    #[cold]
    fn ring_is_at_bound(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Turn {
        let Place::Ring(reader) = &self.place else { return Turn::Again };
        let Some(event) = self.want.at_bound(reader.next_sequence()) else { return Turn::Rest };
        each(event);
        Turn::Again
    }

    /// Forgets its place; the next turn chooses anew from `position` on.
    fn leave(&mut self, position: Position) -> Turn {
        self.position = position;
        self.place = Place::Undecided;
        Turn::Again
    }

    fn ring_is_empty(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        let Place::Ring(reader) = &self.place else { return Ok(Turn::Again) };
        let (position, sequence) = (reader.position(), reader.next_sequence());
        if let Some(event) = self.want.at_tail(sequence, false)? {
            each(event);
            return Ok(Turn::Again);
        }
        if self.end != NOWHERE {
            // Known before this poll: all below it was committed, and yet it is not there.
            self.spoilt = true;
            return Ok(self.leave(position));
        }
        self.learn_end();
        Ok(if self.end == NOWHERE { Turn::Rest } else { Turn::Again })
    }

    /// The broker ends a recorded epoch at the last good frame, and says so; nobody else judges an unrecorded one. A kind
    /// from the future is no fault of the writer's: that is for the user to know.
    #[cold]
    fn ring_is_invalid(&mut self, invalid: Invalid) -> Result<Turn, CursorError> {
        if let Place::Ring(reader) = &self.place
            && self.end != NOWHERE
        {
            let position = reader.position();
            self.spoilt = true;
            return Ok(self.leave(position));
        }
        let judged = self.source.journal().is_some() && invalid.reason != Reason::Kind;
        if judged { Ok(Turn::Rest) } else { Err(invalid.into()) }
    }

    #[cold]
    fn lapped(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Turn {
        if let Place::Ring(reader) = &self.place {
            self.position = reader.position();
        }
        self.place = Place::Undecided;
        if let Some(event) = self.want.lapped() {
            each(event);
        }
        Turn::Again
    }

    fn read_journal(&mut self, limit: usize, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        self.learn_end();
        let recorded = self.recorded().min(self.end);
        let mut given = 0;
        while given < limit {
            let (Place::Journal { block }, position) = (&mut self.place, self.position) else { return Ok(Turn::Again) };
            let entered = std::mem::replace(block, position.block()) != position.block();
            if position >= self.end || entered && self.ring_serves(margin_bytes) {
                return Ok(self.leave(position));
            }
            let Some(journal) = self.source.journal() else { return Ok(self.leave(position)) };
            match journal.poll(recorded).map_err(|source| CursorError::Journal { position, source })? {
                JournalPoll::Frame(frame) => {
                    let stands = frame.position;
                    self.position = frame.end;
                    match self.want.give(&frame, self.epoch, false, each) {
                        Verdict::Skipped => {}
                        Verdict::Enough => return Ok(Turn::Enough),
                        Verdict::Given => given += 1,
                        Verdict::EventFirst => return Ok(self.leave(stands)),
                    }
                }
                JournalPoll::Empty => {
                    self.position = position.max(journal.position());
                    return Ok(if recorded == self.end {
                        self.leave(recorded)
                    } else {
                        self.journal_is_empty(recorded)
                    });
                }
                JournalPoll::Pending => return Ok(Turn::Rest),
                JournalPoll::Missing { resume, cause } => {
                    self.want.cause = cause;
                    return Ok(self.pass_over(resume));
                }
            }
        }
        Ok(Turn::Again)
    }

    /// The journal does not have what stands here: on where it has something again; where that is not known, at the end.
    #[cold]
    fn pass_over(&mut self, resume: Position) -> Turn {
        match (resume > self.position, self.end) {
            (true, _) => self.leave(resume),
            (false, NOWHERE) => Turn::Rest,
            (false, end) => self.leave(end),
        }
    }

    /// All that is recorded was read, and that is not all of the epoch: the ring has the rest, or it has yet to come.
    fn journal_is_empty(&mut self, recorded: Position) -> Turn {
        if self.ring_serves(|_| 0) {
            self.enter_ring(self.position.block());
            return Turn::Again;
        }
        match &self.held {
            // A message began in the journal and goes on in the ring, which has lost its beginning: nobody has it whole.
            Held::Ring(ring) if ring.control.state() == State::JournalFailed && self.position < recorded => {
                fence_acquire();
                // Before it failed it may have come further.
                if self.recorded().min(self.end) == recorded { self.leave(recorded) } else { Turn::Again }
            }
            _ => Turn::Rest,
        }
    }

    /// The one rule, with some room before the cursor would be lapped again.
    fn ring_serves(&self, margin_bytes: impl Fn(u64) -> u64) -> bool {
        let Held::Ring(ring) = &self.held else { return false };
        let (oldest, _) = ring.memory.window(self.epoch_start);
        let margin = if oldest > self.epoch_start { margin_bytes(ring.memory.capacity_bytes()) } else { 0 };
        !self.spoilt && self.position >= oldest.plus(margin)
    }

    /// Ring or journal, for the block of `position`; or the next epoch.
    fn choose(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        self.learn_end();
        if self.position >= self.end {
            return self.cross(each);
        }
        if self.beyond_bound(self.position) || matches!(self.held, Held::Unknown) {
            return Ok(Turn::Rest);
        }
        let block = self.position.block();
        if self.ring_serves(margin_bytes) {
            self.enter_ring(block);
        } else if let Some(journal) = self.source.journal() {
            journal.enter(self.epoch, block);
            self.place = Place::Journal { block };
        } else {
            self.skip_lost();
        }
        Ok(Turn::Again)
    }

    fn enter_ring(&mut self, block: Position) {
        if let Held::Ring(ring) = &self.held {
            self.place = Place::Ring(Reader::at(ring.memory.clone(), self.epoch, block));
        }
    }

    /// Nothing is recorded, and the ring has gone past: on in its middle, so as not to be lapped again at once. Where
    /// there is no ring either, on at the epoch's end.
    #[cold]
    fn skip_lost(&mut self) {
        match &self.held {
            Held::Ring(ring) if !self.spoilt => {
                let (oldest, _) = ring.memory.window(self.epoch_start);
                self.want.cause = GapCause::Lapped;
                self.position = oldest.plus(ring.memory.capacity_bytes() / 2).block();
                self.enter_ring(self.position);
            }
            _ => {
                self.want.cause = GapCause::Lost;
                self.position = self.end;
            }
        }
    }

    /// The epoch is read to its end: on to the next one that was not taken back.
    #[cold]
    fn cross(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        let next = self.source.epochs().successor(self.epoch).copied();
        let Some(next) = next.filter(|_| self.goes_on()) else { return self.at_rest(each) };
        if let Some(event) = self.want.at_start(next.sequence) {
            each(event);
            return Ok(Turn::Again);
        }
        self.begin(next);
        each(EventKind::Epoch { epoch: next.epoch, sequence: next.sequence, position: next.position });
        Ok(Turn::Again)
    }

    /// Whether the epoch's end is the one that later ones tell. After a loss it may lie before that: then these are gone
    /// too, though none of them says so yet.
    fn goes_on(&self) -> bool {
        !matches!(self.held, Held::Closed { end, .. } if Some(end) < self.source.epochs().end_of(self.epoch))
    }

    fn begin(&mut self, start: EpochStart) {
        self.epoch = start.epoch;
        self.epoch_start = start.position;
        self.position = start.position;
        self.place = Place::Undecided;
        self.spoilt = false;
        self.end_sequence = None;
        self.attend();
    }

    /// The topic has no owner, and all there is was read.
    fn at_rest(&mut self, each: &mut impl FnMut(EventKind<'_>)) -> Result<Turn, CursorError> {
        let sequence = match &self.held {
            Held::Closed { sequence, .. } => Some(*sequence),
            _ => self.end_sequence,
        };
        let event = match sequence {
            Some(_) => self.want.at_tail(sequence, true)?,
            // The end was passed over: whether messages are missing before it, the next epoch tells.
            None => self.want.at_bound(self.want.next),
        };
        let Some(event) = event else { return Ok(Turn::Rest) };
        each(event);
        Ok(Turn::Again)
    }
}

/// The bytes of a message, with what names it.
fn message<'a>(frame: &Frame<'a>, epoch: Epoch) -> Message<'a> {
    debug_assert_eq!(frame.kind, Kind::Message);
    let Frame { sequence, end: position, time_ns, origin, payload: bytes, .. } = *frame;
    Message { epoch, sequence, position, time_ns, origin, bytes }
}
