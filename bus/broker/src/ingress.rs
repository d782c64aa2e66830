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

use oyez_ring::layout::FLAG_ORIGIN;
use oyez_ring::{
    Accepted, ControlMut, Epoch, Join, Kind, MESSAGE_BYTES_MIN, Offer, Origin, Poll, Position, Published, Reader,
    State, Writer,
};

use crate::event::{Event, Events, PartitionIndex};

/// Frames taken from one ring before the next has its turn.
const FRAMES_PER_TURN: usize = 64;
/// The epoch that each ingress ring is of, from position 0 on: a session has one ring, and a ring one session.
pub(crate) const INGRESS_EPOCH: Epoch = Epoch(1);

/// Of each publisher, by its number in the catalog, its own number of the last message that stands in the partition.
pub(crate) type Lasts = BTreeMap<u16, u64>;

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
    /// The last number taken.
    pub(crate) number: u64,
    /// What its publisher did wrong, if that ended it.
    pub(crate) broken: Option<String>,
    /// Carried only to be unmapped off the core.
    _session: Session,
}

/// The owner of a partition of many publishers, on the core.
pub(crate) struct Sequencer {
    pub(crate) partition: PartitionIndex,
    writer: Writer,
    lasts: Lasts,
    /// The payload of a `Publishers` frame.
    payload: Vec<u8>,
    /// How far apart `Publishers` frames are, and where the last one stands.
    stride_bytes: u64,
    told: Position,
    sessions: Vec<Session>,
    /// Whose turn is first: each session's once, so that none always finds the partition full.
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
        let (join, course) = (Join::new(message_bytes_max), Course::Open);
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

    /// Takes some of what is there; how many frames.
    fn take(&mut self, writer: &mut Writer, now_ns: u64) -> usize {
        let mut count = 0;
        // No further than this block, however much a publisher writes that is passed over.
        let limit = self.reader.read_to().plus(1).next_block();
        while count < FRAMES_PER_TURN && !self.is_over() && writer.has_room(self.message_bytes_max) {
            match self.take_frame(writer, now_ns, limit) {
                Ok(true) => count += 1,
                Ok(false) => break,
                Err(broken) => self.course = Course::Over(Some(broken)),
            }
        }
        count
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
        writer: Writer,
        lasts: Lasts,
        stride_bytes: u64,
        counts: Arc<Counts>,
    ) -> Sequencer {
        let told = writer.tail().position;
        Sequencer {
            partition,
            writer,
            lasts,
            payload: Vec::new(),
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

    /// Takes from everybody in turn; how many frames.
    pub(crate) fn sequence(&mut self, now_ns: u64) -> usize {
        if !self.writer.control().is_running() {
            return self.halt();
        }
        let count = self.sessions.len();
        self.first = if self.first + 1 < count { self.first + 1 } else { 0 };
        (0..count).map(|turn| self.take((self.first + turn) % count, now_ns)).sum()
    }

    fn take(&mut self, at: usize, now_ns: u64) -> usize {
        let Sequencer { sessions, writer, lasts, counts, .. } = self;
        let session = &mut sessions[at];
        let before = session.accepted.number;
        let frames = session.take(writer, now_ns);
        if frames > 0 {
            session.tell();
        }
        let taken = session.accepted.number - before;
        if taken > 0 {
            lasts.insert(session.publisher, session.accepted.number);
            counts.accepted.fetch_add(taken, Ordering::Relaxed);
            self.tell_publishers(now_ns);
        }
        frames
    }

    /// Writes how far everybody was taken, so that a start never reads far back. There is room, as for every message.
    fn tell_publishers(&mut self, now_ns: u64) {
        let Sequencer { writer, lasts, payload, told, stride_bytes, .. } = self;
        if writer.tail().position.0 < told.0 + *stride_bytes {
            return;
        }
        Origin::encode_publishers(lasts_told(lasts), payload);
        if writer.publishers(payload, now_ns) {
            *told = writer.tail().position;
        }
    }

    /// The epoch takes nothing more: the journal failed. Everybody is told, and what was not accepted stays with them.
    #[cold]
    fn halt(&mut self) -> usize {
        let state = self.writer.control().state();
        for session in &mut self.sessions {
            session.control.set_state(state);
            if self.ceding || session.course != Course::Open {
                session.course = Course::Over(None);
            }
        }
        0
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
        let (publisher, number) = (session.publisher, session.accepted.number);
        Some(Box::new(Left { publisher, number, broken, _session: session }))
    }
}

/// As they stand in a `Publishers` frame.
pub(crate) fn lasts_told(lasts: &Lasts) -> impl Iterator<Item = Origin> {
    lasts.iter().filter_map(|(publisher, last)| Origin::new(*publisher, *last))
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
