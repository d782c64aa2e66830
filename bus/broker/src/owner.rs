//! A partition: its owner, its epochs, its rings. The state machine that decides who may write, and when no longer.
//!
//! ```text
//!              offer                  mapped: sealed, granted
//!   Nobody ───────────► Offered ──────────────────────────────► Owned
//!     ▲                    │ gone, or silent                      │ released, or its connection is gone
//!     │                    ▼                                      ▼
//!     └──── the kernel proves that nobody maps the ring for writing: scanned, `end` written ◄── Leaving
//! ```
//!
//! No timer ends an epoch. A connection that is gone only makes the broker look; an owner that is alive and comes back
//! goes on (`Reclaim`). Every epoch that is in the `epochs` file goes through all of this, one whose offer failed too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;
use oyez_journal::{Epochs, Partition as Journal};
use oyez_mem::memory::MemoryError;
use oyez_protocol::Durability;
use oyez_ring::{ControlMut, Epoch, EpochStart, Position, State, Tail};

use crate::core::{Attach, Command};
use crate::holders;
use crate::log::log;
use crate::ring::{HandOut, HandOutError, Ring, RingName};
use crate::spare::Spare;
use crate::store::Store;

/// An offer that is not answered by then is given up, and its client with it.
pub(crate) const OFFER_MAX: Duration = Duration::from_secs(5);
/// How soon the kernel is asked again, at first and at most.
const PROOF_PAUSE: Duration = Duration::from_micros(100);
const PROOF_PAUSE_MAX: Duration = Duration::from_millis(10);
/// A ring that is not free after this long is worth a line in the log, and then one each second.
const PROOF_SILENCE: Duration = Duration::from_millis(250);
const PROOF_LOUD: Duration = Duration::from_secs(1);
/// Rings that an unrecorded partition keeps, for readers that are behind an epoch's end.
const UNRECORDED_RINGS: usize = 2;

/// A connection, for as long as the broker lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Who owns, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) connection: ConnectionId,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) name: String,
}

/// The state of a partition.
#[derive(Debug)]
enum Owner {
    Nobody,
    Offered { hand_out: Box<HandOut>, holder: Holder, until: Instant },
    Owned(Holder),
    Leaving(Leaving),
}

/// An epoch whose owner has let go, or is out of sight; `holder` is unknown after a restart.
#[derive(Debug)]
struct Leaving {
    holder: Option<Holder>,
    /// The owner said so itself: it does not come back to this epoch. Its request is answered when it has ended.
    release: Option<u64>,
    since: Instant,
    next_look: Instant,
    next_line: Instant,
}

/// Why a partition is not to be had now.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody owns it.
    Taken(Holder),
    /// Somebody is being given it.
    Offered(Holder),
    /// The kernel does not prove the last ring free yet.
    Ending(Option<Holder>),
}

/// An epoch has ended, and who waits to hear so.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) epoch: Epoch,
    pub(crate) end: Tail,
    pub(crate) release: Option<(ConnectionId, u64)>,
}

/// A way to the core that records the partition.
#[derive(Debug)]
pub(crate) struct RecorderHandle {
    pub(crate) commands: Sender<Command>,
    pub(crate) slot: usize,
}

/// A partition at the broker.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: u16,
    pub(crate) capacity_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) journal: Arc<Mutex<Journal>>,
    /// The journal's number, and the bytes of its segments; 0 when not recorded.
    pub(crate) journal_id: u64,
    pub(crate) segment_bytes: u64,
    /// The control pages of all rings, and `earliest` as they say it.
    pub(crate) pages: Arc<Pages>,
    /// What the `epochs` file holds, for reading without waiting for the journal.
    pub(crate) epochs: Epochs,
    recorder: Option<RecorderHandle>,
    /// Where recording goes on after a restart: the first ring that is recorded may hold it in its middle.
    recovered: Tail,
    /// The epoch that the recorder has now.
    recording: Option<Epoch>,
    /// Ascending; the last one is that of the newest epoch, if its ring is still there.
    rings: VecDeque<Ring>,
    /// Where the next epoch continues.
    tail: Tail,
    owner: Owner,
    /// Why the journal takes nothing more.
    failed: Option<String>,
    /// Names of rings that the store may let go of.
    dropped: Vec<String>,
}

impl Partition {
    /// A partition as recovered, with the rings that the store kept, ascending.
    pub(crate) fn new(
        topic: &crate::catalog::Topic,
        number: u16,
        journal: Journal,
        recovered: Tail,
        rings: VecDeque<Ring>,
    ) -> Partition {
        let now = Instant::now();
        let recorded = topic.recorded();
        let earliest = if recorded { journal.earliest() } else { Position(u64::MAX) };
        let mut partition = Partition {
            journal_id: if recorded { journal.id().0 } else { 0 },
            segment_bytes: if recorded { journal.segment_bytes() } else { 0 },
            pages: Arc::new(Pages::new(earliest, rings.iter().map(|ring| ring.control.clone()))),
            topic: topic.name.clone(),
            number,
            capacity_bytes: topic.capacity_bytes,
            durability: topic.durability,
            epochs: journal.epochs().clone(),
            journal: Arc::new(Mutex::new(journal)),
            recorder: None,
            recovered,
            recording: None,
            rings,
            tail: recovered,
            owner: Owner::Nobody,
            failed: None,
            dropped: Vec::new(),
        };
        partition.judge_adopted(recovered);
        if partition.ring().is_some() {
            // Whether it has an owner still, the kernel knows; a living one comes back and says so.
            partition.owner = Owner::Leaving(Leaving::new(None, None, now));
        }
        partition
    }

    /// Tells of each adopted ring what the files know: where it ended, how far it is recorded.
    fn judge_adopted(&mut self, recovered: Tail) {
        let recorded = self.durability != Durability::Published;
        for ring in &mut self.rings {
            if let Some(next) = self.epochs.after(ring.start.epoch) {
                let (position, sequence, time_ns) = (next.previous_end, next.sequence, next.time_ns);
                ring.close(Tail { position, sequence, time_ns }, State::Ended);
                ring.recorded = recorded && position <= recovered.position;
            }
            if recorded && recovered.position > ring.start.position {
                ring.recorded_before(recovered.position);
            }
        }
        let done = self.rings.iter().take_while(|ring| ring.recorded).count();
        self.drop_rings(done.min(self.rings.len().saturating_sub(1)));
    }

    /// Connects the partition to the core that records it, and has it begin.
    pub(crate) fn record_with(&mut self, recorder: RecorderHandle) {
        self.recorder = Some(recorder);
        self.record_next();
    }

    /// What it is called in the log.
    pub(crate) fn label(&self) -> String {
        format!("{}/{} epoch {}", self.topic, self.number, self.newest())
    }

    /// The newest epoch; 0 before the first.
    pub(crate) fn newest(&self) -> Epoch {
        self.epochs.last().map_or(Epoch(0), |last| last.epoch)
    }

    /// The newest epoch that clients may know of: one on offer is not among them.
    pub(crate) fn newest_known(&self) -> Epoch {
        match &self.owner {
            Owner::Offered { .. } => Epoch(self.newest().0 - 1),
            _ => self.newest(),
        }
    }

    /// The ring of the newest epoch, if it is still there.
    fn ring(&self) -> Option<&Ring> {
        self.rings.back().filter(|ring| ring.start.epoch == self.newest())
    }

    /// The ring of an epoch that readers may have.
    pub(crate) fn ring_of(&self, epoch: Epoch) -> Option<&Ring> {
        self.rings.iter().find(|ring| ring.start.epoch == epoch)
    }

    /// Where an epoch ended, if it has: position, and the next message's number.
    pub(crate) fn end_of(&self, epoch: Epoch) -> Option<Tail> {
        match self.epochs.after(epoch) {
            Some(next) if epoch < self.newest_known() => {
                Some(Tail { position: next.previous_end, sequence: next.sequence, time_ns: next.time_ns })
            }
            _ => match self.ring_of(epoch) {
                Some(ring) => ring.end,
                None => Some(self.tail),
            },
        }
    }

    /// Who owns it now.
    pub(crate) fn holder(&self) -> Option<&Holder> {
        match &self.owner {
            Owner::Nobody => None,
            Owner::Offered { holder, .. } | Owner::Owned(holder) => Some(holder),
            Owner::Leaving(leaving) => leaving.holder.as_ref(),
        }
    }

    /// One word on its state.
    pub(crate) fn state(&self) -> &'static str {
        match &self.owner {
            _ if self.failed.is_some() => "journal-failed",
            Owner::Nobody => "idle",
            Owner::Offered { .. } => "offered",
            Owner::Owned(_) => "owned",
            Owner::Leaving(_) => "ending",
        }
    }

    /// Why the journal takes nothing more, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Whether a publisher could be given the partition now. The kernel is asked here too: an owner that has unmapped
    /// its ring owns nothing, whatever its connection says.
    pub(crate) fn vacancy(&mut self, now: Instant) -> Result<Option<Ended>, Refused> {
        let ended = match &self.owner {
            Owner::Owned(_) | Owner::Leaving(_) => self.end_if_free(now),
            _ => None,
        };
        match &self.owner {
            Owner::Nobody => Ok(ended),
            Owner::Offered { holder, .. } => Err(Refused::Offered(holder.clone())),
            Owner::Owned(holder) => Err(Refused::Taken(holder.clone())),
            Owner::Leaving(leaving) => Err(Refused::Ending(leaving.holder.clone())),
        }
    }

    /// Offers a new epoch to `holder`; the partition is vacant.
    pub(crate) fn offer(
        &mut self,
        spare: Spare,
        holder: Holder,
        store: &mut Store,
        now_ns: u64,
    ) -> Result<&HandOut, HandOutError> {
        let journal = Arc::clone(&self.journal);
        let mut journal = lock(&journal);
        let start = journal.next_epoch(self.tail);
        let (topic, partition) = (self.topic.clone(), self.number);
        let name = RingName { topic, partition, epoch: start.epoch, capacity_bytes: self.capacity_bytes };
        let recorded = self.durability != Durability::Published;
        let hand_out = HandOut::begin(spare, name, start, recorded, store, |start| journal.begin_epoch(start), now_ns)?;
        self.epochs = journal.epochs().clone();
        drop(journal);
        let until = Instant::now() + OFFER_MAX;
        self.owner = Owner::Offered { hand_out: Box::new(hand_out), holder, until };
        match &self.owner {
            Owner::Offered { hand_out, .. } => Ok(hand_out),
            _ => unreachable!("set above"),
        }
    }

    /// The owner has mapped its ring: seals it and grants the epoch. `None`: nothing was offered to this connection.
    pub(crate) fn mapped(&mut self, connection: ConnectionId, epoch: Epoch) -> Option<Result<Tail, HandOutError>> {
        match &self.owner {
            Owner::Offered { hand_out, holder, .. } if holder.connection == connection && hand_out.epoch() == epoch => {
            }
            _ => return None,
        }
        let Owner::Offered { hand_out, holder, .. } = std::mem::replace(&mut self.owner, Owner::Nobody) else {
            unreachable!("looked at above")
        };
        let tail = hand_out.tail();
        Some(self.sealed(*hand_out, Owner::Owned(holder)).map(|()| tail).map_err(HandOutError::from))
    }

    /// Seals what was offered; readers and recorder may have it from here on.
    fn sealed(&mut self, hand_out: HandOut, owner: Owner) -> Result<(), MemoryError> {
        let name = hand_out.name();
        let ring = hand_out.seal().inspect_err(|error| {
            // The owner-to-be tampered with it: the epoch has no ring, and readers find it empty.
            log(format_args!("{}: not granted: {error}", self.label()));
            self.dropped.push(name);
        })?;
        self.owner = owner;
        self.pages.add(ring.control.clone());
        self.rings.push_back(ring);
        self.record_next();
        if self.recorder.is_none() {
            self.drop_rings(self.rings.len().saturating_sub(UNRECORDED_RINGS));
        }
        Ok(())
    }

    /// Lets go of the oldest rings: whoever maps them keeps them for as long as that.
    fn drop_rings(&mut self, count: usize) {
        self.dropped.extend(self.rings.drain(..count).map(|ring| ring.name.to_string()));
        self.pages.keep(self.rings.iter().map(|ring| ring.control.clone()));
    }

    /// Names of rings that the store may let go of, since the last call.
    pub(crate) fn take_dropped(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dropped)
    }

    /// The owner lets go; its request is answered when the epoch has ended. False: it does not own that epoch.
    pub(crate) fn release(&mut self, connection: ConnectionId, epoch: Epoch, correlation: u64, now: Instant) -> bool {
        match &self.owner {
            Owner::Owned(holder) if holder.connection == connection && epoch == self.newest() => {
                let leaving = Leaving::new(Some(holder.clone()), Some(correlation), now);
                self.owner = Owner::Leaving(leaving);
                true
            }
            _ => false,
        }
    }

    /// An owner is back on another connection. It may go on if its epoch is the newest, has not ended, and nobody else
    /// has it.
    pub(crate) fn reclaim(&mut self, holder: Holder, epoch: Epoch) -> Result<&Ring, Reclaim> {
        let running = self.ring().is_some_and(|ring| ring.start.epoch == epoch && ring.end.is_none());
        match &self.owner {
            _ if !running => Err(Reclaim::Ended),
            Owner::Leaving(Leaving { release: None, .. }) => {
                self.owner = Owner::Owned(holder);
                self.ring().ok_or(Reclaim::Ended)
            }
            _ => Err(Reclaim::Taken),
        }
    }

    /// A connection is gone, and with it perhaps the owner.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId, now: Instant) {
        match &mut self.owner {
            Owner::Owned(holder) if holder.connection == connection => {
                self.owner = Owner::Leaving(Leaving::new(Some(holder.clone()), None, now));
            }
            Owner::Offered { holder, until, .. } if holder.connection == connection => *until = now,
            _ => {}
        }
    }

    /// When the partition wants to be looked at again.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        match &self.owner {
            Owner::Offered { until, .. } => Some(*until),
            Owner::Leaving(leaving) => Some(leaving.next_look),
            Owner::Nobody | Owner::Owned(_) => None,
        }
    }

    /// Looks: gives up a stale offer, ends an epoch that the kernel proves free. The connection returned has not
    /// answered its offer in time.
    pub(crate) fn tick(&mut self, now: Instant) -> (Option<Ended>, Option<ConnectionId>) {
        if self.next_look().is_none_or(|at| at > now) {
            return (None, None);
        }
        let silent = self.give_up_offer(now);
        (self.end_if_free(now), silent)
    }

    /// An offer that came to nothing is an epoch like any other, only short: sealed, then ended when it is free.
    fn give_up_offer(&mut self, now: Instant) -> Option<ConnectionId> {
        if !matches!(self.owner, Owner::Offered { .. }) {
            return None;
        }
        let Owner::Offered { hand_out, holder, .. } = std::mem::replace(&mut self.owner, Owner::Nobody) else {
            unreachable!("looked at above")
        };
        log(format_args!("{}: offered to process {}, never mapped; given up", self.label(), holder.pid));
        let connection = holder.connection;
        // An error has been logged, and leaves nobody as the owner.
        let _ = self.sealed(*hand_out, Owner::Leaving(Leaving::new(Some(holder), None, now)));
        Some(connection)
    }

    /// Ends the epoch if the kernel proves that nobody maps its ring for writing.
    fn end_if_free(&mut self, now: Instant) -> Option<Ended> {
        let free = match self.ring()?.nobody_writes() {
            Ok(free) => free,
            Err(error) => {
                log(format_args!("{}: no lease: {error}; the kernel must support them", self.label()));
                false
            }
        };
        if !free {
            self.still_held(now);
            return None;
        }
        let (end, broken) = self.close_ring()?;
        let leaving = match std::mem::replace(&mut self.owner, Owner::Nobody) {
            Owner::Leaving(leaving) => Some(leaving),
            _ => None,
        };
        self.tail = end;
        let after = leaving.as_ref().map_or(Duration::ZERO, |leaving| now.duration_since(leaving.since));
        let how = if broken { "broken" } else { "ended" };
        log(format_args!("{}: {how} at {}, next sequence {} ({after:?})", self.label(), end.position, end.sequence));
        let release = leaving.and_then(|leaving| Some((leaving.holder?.connection, leaving.release?)));
        Some(Ended { epoch: self.newest(), end, release })
    }

    /// Finds the end of the newest ring and tells readers and recorder; where it was told before, that one.
    fn close_ring(&mut self) -> Option<(Tail, bool)> {
        let failed = self.failed.is_some();
        let epoch = self.newest();
        let ring = self.rings.back_mut().filter(|ring| ring.start.epoch == epoch)?;
        if let Some(end) = ring.end {
            return Some((end, false));
        }
        let (end, broken) = ring.find_end();
        let state = match (failed, broken) {
            (true, _) => State::JournalFailed,
            (_, true) => State::Broken,
            _ => State::Ended,
        };
        ring.close(end, state);
        self.end_recording(epoch, end.position);
        Some((end, broken))
    }

    /// Says, once and then each second, who keeps the epoch from ending.
    fn still_held(&mut self, now: Instant) {
        let label = self.label();
        let Owner::Leaving(leaving) = &mut self.owner else { return };
        let waited = now.duration_since(leaving.since);
        leaving.next_look = now + (waited / 8).clamp(PROOF_PAUSE, PROOF_PAUSE_MAX);
        if now < leaving.next_line {
            return;
        }
        leaving.next_line = now + PROOF_LOUD;
        if let Some(ring) = self.ring() {
            let who = holders::of(ring.readable()[0]);
            log(format_args!(
                "{label}: not ended after {waited:.1?}: still mapped for writing by process {who}; nobody is granted \
                 the partition until that process unmaps it or is gone: end it"
            ));
        }
    }

    /// Gives the recorder the next ring that is not recorded yet, if it is free.
    fn record_next(&mut self) {
        let Some(recorder) = &self.recorder else { return };
        if self.recording.is_some() || self.failed.is_some() {
            return;
        }
        let Some(ring) = self.rings.iter().find(|ring| !ring.recorded) else { return };
        let EpochStart { position, sequence, time_ns, .. } = ring.start;
        let begin = Tail { position, sequence, time_ns };
        let at = if self.recovered.position > position { self.recovered } else { begin };
        let attach = Attach {
            slot: recorder.slot,
            memory: ring.memory.clone(),
            control: ring.control.clone(),
            start: ring.start,
            at,
        };
        // The core outlives all partitions.
        let _ = recorder.commands.send(Command::Attach(Box::new(attach)));
        if let Some(end) = ring.end {
            let _ = recorder.commands.send(Command::End { slot: recorder.slot, end: end.position });
        }
        self.recording = Some(ring.start.epoch);
    }

    fn end_recording(&mut self, epoch: Epoch, end: Position) {
        if let Some(recorder) = &self.recorder
            && self.recording == Some(epoch)
        {
            let _ = recorder.commands.send(Command::End { slot: recorder.slot, end });
        }
    }

    /// Hands a segment to the recorder.
    pub(crate) fn give(&self, segment: oyez_journal::Segment) {
        if let Some(recorder) = &self.recorder {
            let _ = recorder.commands.send(Command::Give { slot: recorder.slot, segment });
        }
    }

    /// The recorder has taken its epoch to the end.
    pub(crate) fn recorded(&mut self) {
        if let Some(epoch) = self.recording.take()
            && let Some(ring) = self.rings.iter_mut().find(|ring| ring.start.epoch == epoch)
        {
            ring.recorded = true;
        }
        self.record_next();
    }

    /// The recorder has begun on `epoch` and let go of the ring before it: nobody needs the earlier ones any more.
    pub(crate) fn attached(&mut self, epoch: Epoch) {
        let kept = self.rings.iter().position(|ring| ring.start.epoch >= epoch || !ring.recorded);
        self.drop_rings(kept.unwrap_or(0));
    }

    /// The owner wrote what no honest writer writes: the epoch ends before it, for readers at once. The partition is
    /// granted again when the kernel proves the ring free.
    pub(crate) fn broken(&mut self, at: Tail, cause: &str) {
        let Some(epoch) = self.recording else { return };
        let Some(ring) = self.rings.iter_mut().find(|ring| ring.start.epoch == epoch) else { return };
        if ring.end.is_none() {
            ring.close(at, State::Broken);
        }
        let pid = self.holder().map_or(0, |holder| holder.pid);
        log(format_args!(
            "{}: broken by its owner, process {pid}, at {}: {cause}; repair the publisher and start it again",
            self.label(),
            at.position
        ));
        self.end_recording(epoch, at.position);
    }

    /// The journal failed: nothing more is taken, and everybody is told.
    pub(crate) fn journal_failed(&mut self, cause: String) {
        log(format_args!(
            "{}: journal failed: {cause}; the topic stops: check the disk, run `oyez journal verify`, restart the broker",
            self.label()
        ));
        self.rings.iter().filter(|ring| !ring.recorded).for_each(|ring| ring.control.set_state(State::JournalFailed));
        self.failed = Some(cause);
    }

    /// The broker stops: owners are asked to release.
    pub(crate) fn closing(&self) {
        if let Some(ring) = self.ring().filter(|ring| ring.end.is_none() && self.failed.is_none()) {
            ring.control.set_state(State::Closing);
        }
    }

    /// Written and durable up to here, as the newest control page says it.
    pub(crate) fn recorded_to(&self) -> (Position, Position) {
        match self.rings.back() {
            _ if self.recorder.is_none() => (Position(0), Position(0)),
            Some(ring) => (ring.control.written(), ring.control.durable()),
            None => (self.tail.position, self.tail.position),
        }
    }

    /// Whether an owner, or somebody who maps its ring, is left.
    pub(crate) fn owned(&self) -> bool {
        !matches!(self.owner, Owner::Nobody)
    }

    /// Whether everything published is recorded, or never will be.
    pub(crate) fn settled(&self) -> bool {
        self.recorder.is_none() || self.failed.is_some() || self.rings.iter().all(|ring| ring.recorded)
    }

    /// Lets go of all rings: nothing is left to outlive the broker.
    pub(crate) fn drop_all(&mut self) {
        self.drop_rings(self.rings.len());
    }

    /// Unrecorded: keeps the reserve ahead of the tail, so that what a crash loses is never numbered twice.
    pub(crate) fn renew_reserve(&mut self) {
        if self.durability == Durability::Published
            && let Some(ring) = self.ring().filter(|ring| ring.end.is_none())
            && let Err(error) = lock(&self.journal).renew_reserve(ring.find_end().0)
        {
            log(format_args!("{}: no reserve: {error}", self.label()));
        }
    }
}

/// A panic elsewhere ends the process, so no lock is ever seen poisoned.
pub(crate) fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The control pages of a partition's rings: a segment is recycled on another thread than pages come and go, and no
/// reader may be told of more than is left.
#[derive(Debug)]
pub(crate) struct Pages(Mutex<(Position, Vec<ControlMut>)>);

impl Pages {
    fn new(earliest: Position, controls: impl Iterator<Item = ControlMut>) -> Pages {
        let pages = Pages(Mutex::new((earliest, controls.collect())));
        pages.set_earliest(earliest);
        pages
    }

    /// Lowest position that the journal still has.
    pub(crate) fn earliest(&self) -> Position {
        self.lock().0
    }

    /// Tells all readers, before what lies below is gone.
    pub(crate) fn set_earliest(&self, earliest: Position) {
        let mut pages = self.lock();
        pages.0 = earliest;
        pages.1.iter().for_each(|control| control.set_earliest(earliest));
    }

    fn add(&self, control: ControlMut) {
        let mut pages = self.lock();
        control.set_earliest(pages.0);
        pages.1.push(control);
    }

    fn keep(&self, controls: impl Iterator<Item = ControlMut>) {
        self.lock().1 = controls.collect();
    }

    fn lock(&self) -> MutexGuard<'_, (Position, Vec<ControlMut>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an epoch cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// It has ended.
    Ended,
    /// Somebody has it.
    Taken,
}

impl Leaving {
    fn new(holder: Option<Holder>, release: Option<u64>, now: Instant) -> Leaving {
        Leaving { holder, release, since: now, next_look: now, next_line: now + PROOF_SILENCE }
    }
}
