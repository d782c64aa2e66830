//! A partition at the broker: its journal, its rings, its epochs. Who may write it is decided in `owner.rs`, how it
//! gets to disk in `recording.rs`, who waits to be its next owner in `standby.rs`.

mod lasts;
mod many;
mod owner;
mod recording;
mod standby;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam::channel::Sender;
use oyez_journal::{Epochs, Partition as Journal, Recovery};
use oyez_protocol::Durability;
use oyez_ring::{ControlMut, Epoch, Position, Tail};

use crate::core::{Command, Core};
use crate::event::PartitionIndex;
use crate::log::log;
use crate::ring::Ring;
use crate::sleepers::Sleeper;
pub(crate) use many::{Admission, Many, Opened};
pub(crate) use owner::{ConnectionId, Ended, Holder, Reclaim, Refused};
use owner::{Leaving, Owner};
pub(crate) use recording::{Judged, RecorderHandle};
pub(crate) use standby::{Standbys, Warm};

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
    /// A segment is being made.
    pub(crate) is_wanting: bool,
    /// The processor of the core that it is on.
    pub(crate) cpu: usize,
    /// The core that wakes those who sleep here, and what it calls the partition.
    waker: Option<(Sender<Command>, PartitionIndex)>,
    /// Where recording goes on after a restart: the first ring that is recorded may hold it in its middle.
    recovered: Tail,
    /// The epoch that the recorder has now.
    recording: Option<Epoch>,
    /// Ascending; the last one is that of the newest epoch, if its ring is still there.
    rings: VecDeque<Ring>,
    /// Where the next epoch continues.
    tail: Tail,
    owner: Owner,
    /// Who wants to be the next.
    pub(crate) standbys: Standbys,
    /// Its publishers, where it has many.
    pub(crate) many: Option<Many>,
    /// Why the journal takes nothing more.
    failed: Option<String>,
    /// Rings that could not be adopted, by name, opened read-only.
    strays: Vec<(String, OwnedFd)>,
    /// Names of rings that the store may let go of.
    dropped: Vec<String>,
}

/// The control pages of a partition's rings: a segment is recycled on another thread than pages come and go, and no
/// reader may be told of more than is left.
#[derive(Debug)]
pub(crate) struct Pages(Mutex<(Position, Vec<ControlMut>)>);

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
            is_wanting: false,
            cpu: 0,
            waker: None,
            recovered,
            recording: None,
            rings,
            tail: recovered,
            owner: Owner::Nobody,
            standbys: Standbys::new(topic.standbys),
            many: None,
            failed: None,
            strays: Vec::new(),
            dropped: Vec::new(),
        };
        partition.judge_adopted(recovered);
        if partition.ring().is_some() {
            // Whether it has an owner still, the kernel knows; a living one comes back and says so.
            partition.owner = Owner::Leaving(Leaving::new(None, None, now));
        }
        partition
    }

    /// Has this core wake whoever sleeps here, and record what is to be recorded.
    pub(crate) fn run_on(&mut self, core: &mut Core, index: PartitionIndex, recovery: &Recovery) {
        self.cpu = core.cpu();
        self.waker = Some((core.commands(), index));
        self.rings.iter().for_each(|ring| self.watch(ring));
        if self.durability == Durability::Published {
            return core.take_unrecorded();
        }
        let recorder = core.take(index, &lock(&self.journal), recovery);
        self.record_with(recorder);
    }

    /// Declared no more, and in nobody's use: lets go of its core and its rings.
    pub(crate) fn retire(&mut self, cores: &mut [Core]) {
        let slot = self.recorder.take().map(|recorder| recorder.slot);
        if let Some((commands, index)) = self.waker.take()
            && let Some(core) = cores.iter_mut().find(|core| core.hears(&commands))
        {
            core.retire(index, slot);
        }
        self.drop_all();
    }

    /// What may change of a declared topic while it runs.
    pub(crate) fn redeclare(&mut self, topic: &crate::catalog::Topic) {
        self.capacity_bytes = topic.capacity_bytes;
        self.standbys.keep_warm(topic.standbys);
        lock(&self.journal).set_retention(topic.retention.as_nanos() as u64);
    }

    /// Why it cannot be let go of.
    pub(crate) fn in_use(&self) -> Option<String> {
        let number = self.number;
        match &self.owner {
            Owner::Owned(holder) => Some(format!("{holder} owns partition {number}")),
            Owner::Leaving(_) => Some(format!("an epoch of partition {number} is still ending")),
            Owner::Nobody if !self.strays.is_empty() => {
                Some(format!("a ring of partition {number} may still be written"))
            }
            Owner::Nobody if self.failed.is_some() && self.rings.iter().any(|ring| !ring.recorded) => Some(format!(
                "partition {number} has messages that its failed journal did not take: restart the broker, which does"
            )),
            Owner::Nobody if !self.settled() || self.is_wanting => {
                Some(format!("partition {number} is still being recorded"))
            }
            Owner::Nobody => self.standbys.first().map(|first| format!("{first} waits for partition {number}")),
        }
    }

    /// Shows the core a ring, before any reader has it.
    fn watch(&self, ring: &Ring) {
        if let Some((commands, index)) = &self.waker {
            // The core outlives all partitions.
            let _ = commands.send(Command::Watch(*index, ring.memory.clone(), ring.control.reader(), ring.start));
        }
    }

    /// Has the core know a reader that may sleep.
    pub(crate) fn join(&self, sleeper: Sleeper) {
        if let Some((commands, _)) = &self.waker {
            let _ = commands.send(Command::Join(Box::new(sleeper)));
        }
    }

    /// What it is called in the log.
    pub(crate) fn label(&self) -> String {
        format!("{}/{} epoch {}", self.topic, self.number, self.newest())
    }

    /// The newest epoch; 0 before the first.
    pub(crate) fn newest(&self) -> Epoch {
        self.epochs.last().map_or(Epoch(0), |last| last.epoch)
    }

    /// The ring of the newest epoch, if it is still there.
    fn ring(&self) -> Option<&Ring> {
        self.rings.back().filter(|ring| ring.start.epoch == self.newest())
    }

    /// Bytes of that ring; where there is none, of the next.
    pub(crate) fn ring_bytes(&self) -> u64 {
        self.ring().map_or(self.capacity_bytes, |ring| ring.name.capacity_bytes)
    }

    /// The ring of an epoch that readers may have.
    pub(crate) fn ring_of(&self, epoch: Epoch) -> Option<&Ring> {
        self.rings.iter().find(|ring| ring.start.epoch == epoch)
    }

    /// Where an epoch ended, if it has: position, and the next message's number.
    pub(crate) fn end_of(&self, epoch: Epoch) -> Option<Tail> {
        match self.epochs.ended_by(epoch) {
            Some(next) if epoch < self.newest() => {
                Some(Tail { position: next.previous_end, sequence: next.sequence, time_ns: next.time_ns })
            }
            _ => match self.ring_of(epoch) {
                Some(ring) => ring.end,
                None => Some(self.tail),
            },
        }
    }

    /// Where the next frame goes, as far as can be seen. Reads up to a block of the ring.
    pub(crate) fn tail(&self) -> Tail {
        match self.ring() {
            Some(ring) => ring.end.or_else(|| ring.tail()).unwrap_or(self.tail),
            None => self.tail,
        }
    }

    /// One word on its state.
    pub(crate) fn state(&self) -> &'static str {
        match &self.owner {
            _ if self.failed.is_some() => "journal-failed",
            Owner::Nobody if self.standbys.first().is_some() => "offered",
            Owner::Nobody => "idle",
            Owner::Owned(_) => "owned",
            Owner::Leaving(_) => "ending",
        }
    }

    /// Why the journal takes nothing more, if so.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Written and durable up to here, as the newest control page says it.
    pub(crate) fn recorded_to(&self) -> (Position, Position) {
        match self.rings.back() {
            _ if self.recorder.is_none() => (Position(0), Position(0)),
            Some(ring) => (ring.control.written(), ring.control.durable()),
            None => (self.tail.position, self.tail.position),
        }
    }

    /// Lets go of the oldest rings: whoever maps them keeps them for as long as that.
    fn drop_rings(&mut self, count: usize) {
        self.dropped.extend(self.rings.drain(..count).map(|ring| ring.name.to_string()));
        self.pages.keep(self.rings.iter().map(|ring| ring.control.clone()));
    }

    /// Has the store let go of rings that never came to be.
    pub(crate) fn drop_names(&mut self, names: Vec<String>) {
        self.dropped.extend(names);
    }

    /// Has nobody granted the partition while somebody writes one of these.
    pub(crate) fn wait_for(&mut self, strays: Vec<(String, OwnedFd)>) {
        self.strays.extend(strays);
    }

    /// Lets go of all rings: nothing is left to outlive the broker.
    pub(crate) fn drop_all(&mut self) {
        self.drop_rings(self.rings.len());
    }

    /// Names of rings that the store may let go of, since the last call.
    pub(crate) fn take_dropped(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dropped)
    }

    /// Unrecorded: keeps the reserve ahead of the tail, so that what a crash loses is never numbered twice.
    pub(crate) fn renew_reserve(&mut self) {
        if self.durability == Durability::Published
            && let Some(ring) = self.ring().filter(|ring| ring.end.is_none())
            && let Some(newest) = ring.newest_block()
            && let Err(error) = lock(&self.journal).renew_reserve(newest)
        {
            log(format_args!("{}: no reserve: {error}", self.label()));
        }
    }
}

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

/// A panic elsewhere ends the process, so no lock is ever seen poisoned.
pub(crate) fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}
