//! A partition's owner: the state machine that decides who may write, and when no longer.
//!
//! ```text
//!              granted to the first of those who wait and have mapped their ring
//!   Nobody ───────────────────────────────────────────────────────────────────────► Owned
//!     ▲                                                                               │ released, killed, or its
//!     │                                                                               ▼ connection is gone
//!     └──── the kernel proves that nobody maps the ring for writing: scanned, `end` written ◄── Leaving
//! ```
//!
//! No timer ends an epoch. A connection that is gone only makes the broker look; an owner that is alive and comes back
//! goes on (`Reclaim`). Who waits, and with what, is in `standby.rs`.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use oyez_protocol::Durability;
use oyez_ring::{Epoch, State, Tail};

use super::standby::Warm;
use super::{Partition, lock};
use crate::catalog::RINGS_PER_PARTITION;
use crate::control::now_ns;
use crate::holders;
use crate::log::log;
use crate::request::Asker;
use crate::ring::{HandOutError, Ring, RingName};
use crate::store::Store;

/// How soon the kernel is asked again, at first and at most.
const PROOF_PAUSE: Duration = Duration::from_micros(100);
const PROOF_PAUSE_MAX: Duration = Duration::from_millis(10);
/// A ring that is not free after this long is worth a line in the log, and then one each second.
const PROOF_SILENCE: Duration = Duration::from_millis(250);
const PROOF_LOUD: Duration = Duration::from_secs(1);

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

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({}), user {}", self.pid, self.name, self.uid)
    }
}

/// The state of a partition.
#[derive(Debug)]
pub(super) enum Owner {
    Nobody,
    Owned(Holder),
    Leaving(Leaving),
}

/// An epoch whose owner has let go, or is out of sight; `holder` is unknown after a restart.
#[derive(Debug)]
pub(super) struct Leaving {
    holder: Option<Holder>,
    /// The owner said so itself: it does not come back to this epoch. Its request is answered when it has ended.
    release: Option<u64>,
    since: Instant,
    next_look: Instant,
    next_line: Instant,
    /// Finds out who keeps the ring.
    search: Option<JoinHandle<()>>,
    /// Kills them, for a standby.
    killer: Option<JoinHandle<()>>,
}

/// Why a partition is not to be had now.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Somebody owns it.
    Taken(Holder),
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

impl Partition {
    /// Who owns it now.
    pub(crate) fn holder(&self) -> Option<&Holder> {
        match &self.owner {
            Owner::Nobody => None,
            Owner::Owned(holder) => Some(holder),
            Owner::Leaving(leaving) => leaving.holder.as_ref(),
        }
    }

    /// Who owns it now and is connected.
    pub(crate) fn owner_in_sight(&self) -> Option<&Holder> {
        match &self.owner {
            Owner::Owned(holder) => Some(holder),
            Owner::Nobody | Owner::Leaving(_) => None,
        }
    }

    /// Kills whoever keeps the ring of an owner that is out of sight, as one is that was stopped when the broker died; but
    /// nobody who is to go on in its place.
    pub(crate) fn kill_holders(&mut self) {
        let (label, spared) = (self.label(), self.standbys.pids());
        self.walk(
            |leaving| &mut leaving.killer,
            move |memory| {
                let killed = holders::kill(memory, &spared);
                log(format_args!("{label}: killed for a standby, since they kept its ring: {killed:?}"));
            },
        );
    }

    /// Walks through all processes for whoever keeps the ring, unless the same is under way. Without a thread nothing
    /// happens; it can be asked for again.
    fn walk(
        &mut self,
        thread: fn(&mut Leaving) -> &mut Option<JoinHandle<()>>,
        walk: impl FnOnce(OwnedFd) + Send + 'static,
    ) {
        let Some(Ok(memory)) = self.ring().map(|ring| ring.readable()[0].try_clone()) else { return };
        let Owner::Leaving(leaving) = &mut self.owner else { return };
        let thread = thread(leaving);
        if thread.as_ref().is_none_or(JoinHandle::is_finished) {
            *thread = std::thread::Builder::new().name("holders".into()).spawn(move || walk(memory)).ok();
        }
    }

    /// Whether an owner, or somebody who maps its ring, is left.
    pub(crate) fn owned(&self) -> bool {
        !matches!(self.owner, Owner::Nobody)
    }

    /// Whether the partition could be granted now. The kernel is asked here too: an owner that has unmapped its ring owns
    /// nothing, whatever its connection says.
    pub(crate) fn vacancy(&mut self, now: Instant) -> Result<Option<Ended>, Refused> {
        let ended = match &self.owner {
            Owner::Owned(_) | Owner::Leaving(_) => self.end_if_free(now),
            Owner::Nobody => None,
        };
        let strays = self.strays_are_written();
        match &self.owner {
            Owner::Nobody if strays => Err(Refused::Ending(None)),
            Owner::Nobody => Ok(ended),
            Owner::Owned(holder) => Err(Refused::Taken(holder.clone())),
            Owner::Leaving(leaving) => Err(Refused::Ending(leaving.holder.clone())),
        }
    }

    /// Whether nobody stands between the partition and its next owner.
    pub(crate) fn is_vacant(&self) -> bool {
        matches!(self.owner, Owner::Nobody) && self.strays.is_empty() && !self.is_behind()
    }

    /// Who is to be offered a ring now.
    pub(crate) fn wants_ring(&self) -> Option<Asker> {
        self.standbys.wants_ring(self.is_vacant(), !self.is_behind())
    }

    fn strays_are_written(&mut self) -> bool {
        let free = |(_, ring): &mut (String, OwnedFd)| oyez_mem::lease::nobody_writes(ring).unwrap_or(false);
        self.dropped.extend(self.strays.extract_if(.., free).map(|(name, _)| name));
        !self.strays.is_empty()
    }

    /// Whether it has as many rings as memory was counted for, and the disk is still at the oldest.
    pub(crate) fn is_behind(&self) -> bool {
        let behind = |ring: &Ring| self.recorder.is_some() && !ring.recorded;
        self.rings.len() >= RINGS_PER_PARTITION && self.rings.front().is_some_and(behind)
    }

    /// Begins the next epoch on what `warm` has mapped; the partition is vacant. The tail is where its owner begins.
    pub(crate) fn grant(&mut self, warm: Warm, store: &mut Store, now_ns: u64) -> Result<Tail, HandOutError> {
        let Warm { holder, hand_out, .. } = warm;
        let journal = Arc::clone(&self.journal);
        let mut journal = lock(&journal);
        let start = journal.next_epoch(self.tail);
        let (topic, partition, capacity_bytes) = (self.topic.clone(), self.number, hand_out.capacity_bytes);
        let name = RingName { topic, partition, epoch: start.epoch, capacity_bytes, uid: holder.uid };
        let recorded = self.durability != Durability::Published;
        let (ring, tail) = hand_out.grant(name, start, recorded, store, |start| journal.begin_epoch(start), now_ns)?;
        self.epochs = journal.epochs().clone();
        drop(journal);
        if recorded {
            // Of what comes before it the recorder may have something left to take.
            ring.recorded_up_to(self.recorded_to());
        }
        self.owner = Owner::Owned(holder);
        self.pages.add(ring.control.clone());
        self.watch(&ring);
        self.rings.push_back(ring);
        self.record_next();
        if self.recorder.is_none() {
            self.drop_rings(self.rings.len().saturating_sub(RINGS_PER_PARTITION));
        }
        Ok(tail)
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
    /// has it. Who it was is known by its process; after a restart by its user, whom the store remembers.
    pub(crate) fn reclaim(&mut self, holder: Holder, epoch: Epoch) -> Result<&Ring, Reclaim> {
        let running = self.ring().is_some_and(|ring| ring.start.epoch == epoch && ring.end.is_none());
        let owned = self.ring().is_some_and(|ring| ring.name.uid == holder.uid);
        match &self.owner {
            _ if !running => Err(Reclaim::Ended),
            Owner::Leaving(Leaving { release: None, holder: former, .. })
                if owned && former.as_ref().is_none_or(|former| former.pid == holder.pid) =>
            {
                self.owner = Owner::Owned(holder);
                self.ring().ok_or(Reclaim::Ended)
            }
            _ => Err(Reclaim::Taken),
        }
    }

    /// A connection is gone, and with it perhaps the owner.
    pub(crate) fn disconnected(&mut self, connection: ConnectionId, now: Instant) {
        if let Owner::Owned(holder) = &self.owner
            && holder.connection == connection
        {
            self.owner = Owner::Leaving(Leaving::new(Some(holder.clone()), None, now));
        }
        self.standbys.leave(connection);
        self.leave_sessions(connection);
    }

    /// The broker stops: owners are asked to release.
    pub(crate) fn closing(&self) {
        if self.many.is_some() {
            return self.cede();
        }
        if let Some(ring) = self.ring().filter(|ring| ring.end.is_none() && self.failed.is_none()) {
            ring.control.set_state(State::Closing);
        }
    }

    /// When the partition wants to be looked at again.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let proof = match &self.owner {
            Owner::Leaving(leaving) => Some(leaving.next_look),
            Owner::Nobody | Owner::Owned(_) => None,
        };
        proof.into_iter().chain(self.standbys.next_look()).min()
    }

    /// Looks whether the kernel proves an epoch free that is ending.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Ended> {
        match &self.owner {
            Owner::Leaving(leaving) if leaving.next_look <= now => self.end_if_free(now),
            _ => None,
        }
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
        self.standbys.renew_no_more();
        let after = match &leaving {
            None => String::new(),
            Some(Leaving { holder: Some(_), since, .. }) => match now.duration_since(*since) {
                at_once if at_once.as_millis() == 0 => String::new(),
                later => format!(", {later:.1?} after its owner let go"),
            },
            // A former broker may have told so already.
            Some(_) => ", as found after a restart".to_owned(),
        };
        let how = if broken { "broken" } else { "ended" };
        log(format_args!("{}: {how} at {}, next sequence {}{after}", self.label(), end.position, end.sequence));
        let release = leaving.and_then(|leaving| Some((leaving.holder?.connection, leaving.release?)));
        Some(Ended { epoch: self.newest(), end, release })
    }

    /// Finds the end of the newest ring and tells readers and recorder; where it was told before, that one.
    fn close_ring(&mut self) -> Option<(Tail, bool)> {
        let failed = self.failed.is_some();
        let epoch = self.newest();
        let ring = self.ring()?;
        if let Some(end) = ring.end {
            return Some((end, false));
        }
        let (end, broken) = match self.judged(ring) {
            Some(judged) => ring.find_end(judged, now_ns()),
            // Nothing tells what its messages were numbered: the next ones begin where no number was given.
            None => (lock(&self.journal).reserve(), true),
        };
        let state = match (failed, broken) {
            (true, _) => State::JournalFailed,
            (_, true) => State::Broken,
            _ => State::Ended,
        };
        self.rings.back_mut()?.close(end, state);
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
        self.walk(|leaving| &mut leaving.search, move |memory| {
            let who = holders::of(memory);
            log(format_args!(
                "{label}: not ended after {waited:.1?}: still mapped for writing by process {who}; nobody is granted \
                 the partition until that process unmaps it or is gone: end it"
            ));
        });
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
    pub(super) fn new(holder: Option<Holder>, release: Option<u64>, now: Instant) -> Leaving {
        Leaving {
            holder,
            release,
            since: now,
            next_look: now,
            next_line: now + PROOF_SILENCE,
            search: None,
            killer: None,
        }
    }
}
