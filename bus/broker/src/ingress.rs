//! Ingress: the core takes what many publishers hand in, each through a ring of its own, and puts it into the partition
//! that it owns itself. It reads such a ring as a stranger's: copied out, judged, and only then used.
//!
//! ```text
//! publisher ──► ingress ring ──► Session ─┐                      1  the message, committed in the partition's ring
//! publisher ──► ingress ring ──► Session ─┼─► Sequencer ─► ring  2  `accepted`, on the ingress ring's control page
//! publisher ──► ingress ring ──► Session ─┘                      3  that page's `gate`
//! ```
//!
//! In that order: what a publisher may overwrite is in the partition, whenever the broker dies. Nothing is read that could
//! not be put in at once, so nothing is ever held in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oyez_ring::layout::{FLAG_ORIGIN, LAST_BYTES, PUBLISHERS_MAX};
use oyez_ring::{
    Accepted, BLOCK, ControlMut, Epoch, Join, Kind, Last, MESSAGE_BYTES_MIN, Offer, Origin, Poll, Position, Published,
    Reader, State, Writer, message_bytes_max,
};

use crate::event::{Event, Events, PartitionIndex};

/// Frames taken from one ring before the next has its turn.
const FRAMES_PER_TURN: usize = 64;
/// Bytes of ingress rings after which a partition's turn is over, however many have more; the next begins behind them.
const BYTES_PER_TURN: u64 = BLOCK;

/// Of each publisher, by its number in the catalog, its last message that stands in the partition.
pub(crate) type Lasts = BTreeMap<u16, Last>;

/// What a core counts of a partition of many publishers.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
}

/// One publisher's session, as the core has it.
pub(crate) struct Session {
    pub(crate) publisher: u16,
    reader: Reader,
    join: Join,
    control: ControlMut,
    capacity_bytes: u64,
    message_bytes_max: usize,
    accepted: Accepted,
    course: Course,
}

/// Whether a session goes on.
#[derive(Debug, PartialEq, Eq)]
enum Course {
    Open,
    /// Its publisher is gone, or is to go: what it has committed below this is still taken.
    Leaving(Position),
    /// Nothing more is taken; and why, where its publisher is to blame.
    Over(Option<String>),
}

/// What became of a session.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) publisher: u16,
    /// The last message taken, in this session or before it.
    pub(crate) last: Option<Last>,
    /// What its publisher did wrong, if that ended it.
    pub(crate) broken: Option<String>,
    /// Carried only to be unmapped off the core.
    _session: Session,
}

/// The owner of a partition of many publishers, on the core.
pub(crate) struct Sequencer {
    pub(crate) partition: PartitionIndex,
    writer: Writer,
    epoch: Epoch,
    lasts: Lasts,
    /// The payload of a `Publishers` frame.
    payload: Vec<u8>,
    /// How far apart `Publishers` frames are, and where the last one stands.
    stride_bytes: u64,
    told: Position,
    sessions: Vec<Session>,
    /// Whose turn is first: whoever's was not any more; else each one's once, so that none always finds the partition full.
    first: usize,
    /// Nothing more is taken from anybody, and what was handed in is taken to its end: the broker stops.
    ceding: bool,
    /// What the control thread has not been told yet.
    untold: Option<Event>,
    counts: Arc<Counts>,
}

impl Session {
    /// Of a ring whose head is written and which nobody else has seen yet. `accepted` is what was taken before.
    pub(crate) fn new(
        publisher: u16,
        mut reader: Reader,
        control: ControlMut,
        message_bytes_max: usize,
        accepted: Accepted,
    ) -> Session {
        let capacity_bytes = reader.memory().capacity_bytes();
        // The head is read before its publisher can change it: from here on the reader counts, and believes no number.
        while matches!(reader.poll_any(), Ok(Poll::Frame(_))) {}
        // The longest that its ring can hold, which may be more than it may hand in: nothing is allocated on the core.
        let join = Join::with_memory(self::message_bytes_max(capacity_bytes));
        let course = Course::Open;
        let session = Session { publisher, reader, join, control, capacity_bytes, message_bytes_max, accepted, course };
        session.tell();
        session
    }

    /// Takes what is committed by now, and then nothing more.
    fn leave(&mut self) {
        if self.course == Course::Open {
            // A publisher that goes on writing is not followed for ever.
            self.course = Course::Leaving(self.reader.read_to().plus(self.capacity_bytes));
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.course, Course::Over(_))
    }

    /// Takes some of what is there; how many bytes of the ring.
    fn take(&mut self, writer: &mut Writer, now_ns: u64) -> u64 {
        let (from, mut count) = (self.reader.read_to(), 0);
        // No further than this block, however much a publisher writes that is passed over.
        let limit = from.plus(1).next_block();
        while count < FRAMES_PER_TURN && !self.is_over() && writer.has_room(self.message_bytes_max) {
            match self.take_frame(writer, now_ns, limit) {
                Ok(true) => count += 1,
                Ok(false) => break,
                Err(broken) => self.course = Course::Over(Some(broken)),
            }
        }
        self.reader.read_to().0 - from.0
    }

    /// Takes the next frame; `false` where there is none. The partition has room for what it may bring.
    fn take_frame(&mut self, writer: &mut Writer, now_ns: u64, limit: Position) -> Result<bool, String> {
        let frame = match self.reader.poll_any_below(limit) {
            Ok(Poll::Frame(frame)) => frame,
            Ok(Poll::Empty) => {
                // At the limit there may be more behind it.
                let is_all = self.reader.read_to() < limit;
                if matches!(self.course, Course::Leaving(until) if is_all || self.reader.read_to() >= until) {
                    self.course = Course::Over(None);
                }
                return Ok(false);
            }
            Ok(Poll::Lapped) => return Err("it has overwritten what was not taken yet".to_owned()),
            Err(invalid) => return Err(invalid.to_string()),
        };
        let sequence = frame.sequence.0;
        let message = match frame.kind {
            _ if frame.flags & FLAG_ORIGIN != 0 => return Err(format!("an origin at position {}", frame.position)),
            Kind::Message => frame.payload,
            Kind::Fragment => match self.join.add(frame.position, frame.flags, frame.payload) {
                Some(_) => self.join.bytes(),
                None => return Ok(true),
            },
            Kind::Block | Kind::Padding => return Ok(true),
            kind => return Err(format!("a frame of kind {kind:?} at position {}", frame.position)),
        };
        if !(MESSAGE_BYTES_MIN..=self.message_bytes_max).contains(&message.len()) {
            return Err(format!("a message of {} bytes at position {}", message.len(), frame.position));
        }
        let origin = Origin::new(self.publisher, sequence).ok_or("its numbers have come to their end")?;
        match writer.offer_from(origin, message, now_ns) {
            Ok(Offer::Published(Published { position, sequence, .. })) => {
                self.accepted = Accepted { number: origin.number(), position, sequence };
                Ok(true)
            }
            other => unreachable!("there is room for a message that is short enough: {other:?}"),
        }
    }

    /// Tells how far it was taken, then lets its publisher write on over that; of a message of which a part was read, over
    /// nothing: it is not in the partition yet.
    fn tell(&self) {
        let taken = self.join.start().unwrap_or(self.reader.read_to());
        self.control.accept(self.accepted, taken.block().plus(self.capacity_bytes));
    }
}

impl Sequencer {
    /// Of an epoch that was granted, at whose head the writer stands.
    pub(crate) fn new(
        partition: PartitionIndex,
        (writer, epoch): (Writer, Epoch),
        lasts: Lasts,
        stride_bytes: u64,
        counts: Arc<Counts>,
    ) -> Sequencer {
        let told = writer.tail().position;
        Sequencer {
            partition,
            writer,
            epoch,
            lasts,
            payload: Vec::with_capacity(PUBLISHERS_MAX * LAST_BYTES),
            stride_bytes,
            told,
            sessions: Vec::new(),
            first: 0,
            ceding: false,
            untold: None,
            counts,
        }
    }

    /// A publisher may hand in from now on.
    pub(crate) fn admit(&mut self, mut session: Session) {
        if self.ceding {
            session.control.set_state(State::Closing);
            session.leave();
        }
        self.sessions.push(session);
    }

    /// One is gone, or wants to go.
    pub(crate) fn dismiss(&mut self, publisher: u16) {
        self.sessions.iter_mut().filter(|session| session.publisher == publisher).for_each(|session| session.leave());
    }

    /// The broker stops: nobody hands in any more.
    pub(crate) fn cede(&mut self) {
        self.ceding = true;
        for session in &mut self.sessions {
            session.control.set_state(State::Closing);
            session.leave();
        }
    }

    /// Whether it has been ceded, and everybody's last message is taken.
    pub(crate) fn is_ceded(&self) -> bool {
        self.ceding && self.sessions.is_empty() && self.untold.is_none()
    }

    /// Takes from everybody in turn; how many bytes of their rings.
    pub(crate) fn sequence(&mut self, now_ns: u64) -> usize {
        if !self.writer.control().is_running() {
            self.halt();
            return 0;
        }
        let (count, mut turns, mut bytes) = (self.sessions.len(), 0, 0);
        while turns < count && bytes < BYTES_PER_TURN {
            bytes += self.take((self.first + turns) % count, now_ns);
            turns += 1;
        }
        self.first = (self.first + if turns < count { turns } else { 1 }) % count.max(1);
        bytes as usize
    }

    fn take(&mut self, at: usize, now_ns: u64) -> u64 {
        let Sequencer { sessions, writer, epoch, lasts, counts, .. } = self;
        let session = &mut sessions[at];
        let before = session.accepted.number;
        let bytes = session.take(writer, now_ns);
        if bytes > 0 {
            session.tell();
        }
        let number = session.accepted.number;
        if number > before {
            let last = Origin::new(session.publisher, number).map(|origin| Last { origin, epoch: *epoch });
            lasts.extend(last.map(|last| (session.publisher, last)));
            counts.accepted.fetch_add(number - before, Ordering::Relaxed);
            self.tell_publishers(now_ns);
        }
        bytes
    }

    /// Writes how far everybody was taken, so that a start never reads far back. There is room, as for every message.
    fn tell_publishers(&mut self, now_ns: u64) {
        let Sequencer { writer, lasts, payload, told, stride_bytes, .. } = self;
        if writer.tail().position.0 < told.0 + *stride_bytes {
            return;
        }
        Last::encode_all(lasts.values().copied(), payload);
        if writer.publishers(payload, now_ns) {
            *told = writer.tail().position;
        }
    }

    /// The epoch takes nothing more: the journal failed. Everybody is told, and what was not accepted stays with them.
    #[cold]
    fn halt(&mut self) {
        let state = self.writer.control().state();
        for session in &mut self.sessions {
            session.control.set_state(state);
            if self.ceding || session.course != Course::Open {
                session.course = Course::Over(None);
            }
        }
    }

    /// Tells the control thread of a session that is over; what the queue does not take is told in the next turn.
    pub(crate) fn report(&mut self, events: &Events) -> usize {
        if self.untold.is_none() {
            self.untold = self.take_over().map(|left| Event::IngressLeft(self.partition, left));
        }
        let Some(event) = self.untold.take() else { return 0 };
        self.untold = events.offer(event).err();
        usize::from(self.untold.is_none())
    }

    fn take_over(&mut self) -> Option<Box<Left>> {
        let at = self.sessions.iter().position(|session| session.is_over())?;
        let mut session = self.sessions.swap_remove(at);
        let broken = match std::mem::replace(&mut session.course, Course::Over(None)) {
            Course::Over(broken) => broken,
            _ => None,
        };
        session.control.set_state(if broken.is_some() { State::Broken } else { State::Ended });
        let publisher = session.publisher;
        let last = self.lasts.get(&publisher).copied();
        Some(Box::new(Left { publisher, last, broken, _session: session }))
    }
}

impl Left {
    /// The last number taken; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.last.map_or(0, |last| last.origin.number())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Session({}, {:?}, {:?})", self.publisher, self.accepted, self.course)
    }
}

impl std::fmt::Debug for Sequencer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Sequencer({:?}, {:?})", self.partition, self.sessions)
    }
}

#[cfg(test)]
mod tests;
