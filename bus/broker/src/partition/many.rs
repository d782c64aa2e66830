//! A partition of many publishers: the broker itself is its owner, and its core puts in order what they hand in
//! (`ingress.rs`). Here is who may, and how far each was taken; what that is at a start is read in `lasts.rs`.
//!
//! ```text
//!   nobody ── admitted: its name has no session ──► open ── gone, or closes ──► leaving ── the core has taken all ──► nobody
//!                                                     └── a frame that no honest writer writes: told by the core ──► nobody
//! ```

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oyez_mem::lease;
use oyez_mem::memory::{self, Access, MemoryError};
use oyez_protocol::Refusal;
use oyez_ring::{Accepted, BLOCK, Epoch, EpochStart, Position, Sequence, Tail, Writer, message_bytes_max};

use super::lasts::{self, Known};
use super::owner::{Leaving, Owner};
use super::standby::Warm;
use super::{ConnectionId, Holder, Partition};
use crate::catalog;
use crate::core::Command;
use crate::event::PartitionIndex;
use crate::ingress::{Counts, Lasts, Left, Sequencer, Session};
use crate::log::log;
use crate::request::Asker;
use crate::ring::{HandOut, HandOutError, IngressRing};
use crate::spare::Spare;
use crate::stat::PublishersStat;
use crate::store::Store;

/// `Publishers` frames are no further apart, but for what a session's turn takes.
const STRIDE_MAX: u64 = 1_024 * BLOCK;
/// How soon a ring is asked for again that could not be had.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Rings of former sessions that a name's publishers may still map. One who has lost sight of the broker maps three: what it
/// sends again from, what it sends that into, and what it was given since.
const FORMER_MAX: usize = 3;
/// The connection of the broker itself: clients' begin with 1.
const OWN: ConnectionId = ConnectionId(0);

/// What the control thread knows of a partition's publishers.
#[derive(Debug)]
pub(crate) struct Many {
    declared: catalog::Many,
    /// What the journal said when this broker's life began.
    recorded: Known,
    /// Of those who have no session.
    lasts: Lasts,
    /// Who has one, by its number.
    sessions: BTreeMap<u16, Admitted>,
    /// Rings of sessions that are over, by publisher, for as long as somebody maps them.
    former: Vec<(u16, OwnedFd)>,
    counts: Arc<Counts>,
    /// Sessions that were not to be had, or ended for what their publisher wrote.
    refused: u64,
    /// Not before, a ring to own is asked for.
    not_before: Option<Instant>,
    /// Why the journal does not tell how far they were taken: nothing is taken then.
    unknown: Option<String>,
}

/// One who may hand in.
#[derive(Debug)]
struct Admitted {
    name: String,
    holder: Holder,
    /// Nothing more is taken than is there.
    leaving: bool,
    /// Who is told when that is done.
    closing: Option<Asker>,
    /// Tells by a lease whether its ring is mapped.
    ring: OwnedFd,
}

/// A session, as its publisher is given it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) publisher: u16,
    pub(crate) accepted: Accepted,
    /// The epoch that the last message accepted stands in.
    pub(crate) number_epoch: Epoch,
    /// Where the first frame goes.
    pub(crate) tail: Position,
    pub(crate) capacity_bytes: u64,
    pub(crate) message_bytes_max: usize,
    /// Of the partition's epoch.
    pub(crate) start: EpochStart,
    /// Data memory, its control page, that of the partition's epoch.
    pub(crate) given: [OwnedFd; 3],
}

/// What becomes of one who wants to hand in.
#[derive(Debug)]
pub(crate) enum Admission {
    Opened(Box<Opened>),
    NotNow(Refusal, Option<Holder>),
    NoSuchName,
    Failed(MemoryError),
}

impl Many {
    fn new(declared: catalog::Many, recorded: Known) -> Many {
        Many {
            declared,
            recorded,
            lasts: Lasts::new(),
            sessions: BTreeMap::new(),
            former: Vec::new(),
            counts: Arc::default(),
            refused: 0,
            not_before: None,
            unknown: None,
        }
    }

    /// The connections of all who have a session.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.sessions.values().map(|admitted| admitted.holder.connection)
    }

    /// Whether so many former rings of a publisher are still mapped; the kernel is asked only where it would be refused for it.
    fn has_too_many_rings(&mut self, publisher: u16) -> bool {
        let has = |former: &[(u16, OwnedFd)]| former.iter().filter(|(of, _)| *of == publisher).count() > FORMER_MAX;
        has(&self.former) && {
            self.let_go_of_rings();
            has(&self.former)
        }
    }

    fn let_go_of_rings(&mut self) {
        // Where the kernel does not tell, the ring counts as mapped.
        self.former.retain(|(_, ring)| !lease::nobody_writes(ring).unwrap_or(false));
    }

    /// How it stands.
    pub(crate) fn stat(&self) -> PublishersStat {
        let (connected, accepted) = (self.sessions.len() as u64, self.counts.accepted.load(Ordering::Relaxed));
        PublishersStat { connected, accepted, refused: self.refused }
    }
}

impl Partition {
    /// It has many publishers, and is recorded.
    pub(crate) fn has_many(&mut self, declared: &catalog::Many, folder: &Path) {
        let told = lasts::of_journal(folder);
        let (recorded, unknown) = told.map_or_else(|cause| (Known::default(), Some(cause)), |known| (known, None));
        self.many = Some(Many::new(declared.clone(), recorded));
        unknown.into_iter().for_each(|cause| self.take_nothing(cause));
    }

    /// Nobody can tell how far each publisher was taken, so nothing more is: a message could be there twice.
    pub(crate) fn take_nothing(&mut self, cause: String) {
        log(format_args!(
            "{}: nothing is taken, since its journal does not tell how far its publishers were, or there were too many: \
             {cause}; restore that range from a lane, or declare another topic",
            self.label()
        ));
        if let Some(many) = &mut self.many {
            many.unknown = Some(cause);
        }
    }

    /// Why the journal takes nothing more, or nothing is taken from publishers, if so.
    pub(crate) fn takes_nothing(&self) -> Option<&str> {
        self.failed.as_deref().or(self.many.as_ref()?.unknown.as_deref())
    }

    /// Whether the broker is to own it, and does not.
    pub(crate) fn wants_owner(&self, now: Instant) -> bool {
        let due = |many: &Many| many.not_before.is_none_or(|at| at <= now);
        self.many.as_ref().is_some_and(due) && self.takes_nothing().is_none() && self.is_vacant()
    }

    /// No ring could be had; it is tried again.
    pub(crate) fn own_later(&mut self, now: Instant) {
        if let Some(many) = &mut self.many {
            many.not_before = Some(now + ASK_AGAIN);
        }
    }

    /// The broker becomes the owner, on the core that wakes those who sleep here.
    pub(crate) fn own(&mut self, spare: Spare, store: &mut Store, now_ns: u64) -> Result<(), HandOutError> {
        let recorded = self.many.as_ref().map(|many| many.recorded.clone());
        let mut lasts = self.lasts_of_rings(recorded.unwrap_or_default()).map_err(HandOutError::Unknown)?;
        // What was taken in this life of the broker is known, though its rings may be gone.
        for (&publisher, last) in self.many.iter().flat_map(|many| &many.lasts) {
            let known = lasts.entry(publisher).or_insert(*last);
            *known = if last.origin > known.origin { *last } else { *known };
        }
        let declared = self.many.iter().flat_map(|many| many.declared.origins.values().copied());
        lasts::have_room(&lasts, declared).map_err(HandOutError::Unknown)?;
        let mut hand_out = HandOut::new(spare)?;
        let memory = hand_out.map_own()?;
        hand_out.seal()?;
        hand_out.lasts = Some(lasts.values().copied().collect());
        let (pid, uid) = (std::process::id(), rustix::process::geteuid().as_raw());
        let holder = Holder { connection: OWN, pid, uid, name: "the broker".to_owned() };
        let tail = self.grant(Warm { holder, correlation: 0, hand_out }, store, now_ns)?;
        let (epoch, capacity_bytes) = (self.newest(), self.capacity_bytes);
        let control = self.ring().map(|ring| ring.control.reader()).expect("it was granted");
        let writer = Writer::new(memory, capacity_bytes, control, epoch, tail);
        // Retention may leave no more than one segment that is full.
        let stride_bytes = STRIDE_MAX.min(capacity_bytes / 2).min(self.segment_bytes / 2);
        let many = self.many.as_mut().expect("it has many publishers");
        many.lasts.clone_from(&lasts);
        let counts = Arc::clone(&many.counts);
        let (commands, index) = self.waker.as_ref().expect("each partition has a core");
        let sequencer = Sequencer::new(*index, (writer, epoch), lasts, stride_bytes, counts);
        // The core outlives all partitions.
        let _ = commands.send(Command::Own(Box::new(sequencer)));
        Ok(())
    }

    /// The publisher of this name wants to hand in.
    pub(crate) fn admit(&mut self, name: &str, holder: Holder) -> Admission {
        let is_owned = matches!(self.owner, Owner::Owned(_));
        let Some(many) = &mut self.many else { return Admission::NoSuchName };
        let Some(&publisher) = many.declared.origins.get(name) else { return Admission::NoSuchName };
        let has_too_many_rings = many.has_too_many_rings(publisher);
        match many.sessions.get(&publisher) {
            Some(admitted) if admitted.leaving => {
                return Admission::NotNow(Refusal::Ending, Some(admitted.holder.clone()));
            }
            Some(admitted) => {
                many.refused += 1;
                return Admission::NotNow(Refusal::Taken, Some(admitted.holder.clone()));
            }
            None if !is_owned => return Admission::NotNow(Refusal::Preparing, None),
            None if has_too_many_rings => return Admission::NotNow(Refusal::Ending, None),
            None => {}
        }
        match self.open_session(publisher) {
            Err(error) => Admission::Failed(error),
            Ok((opened, ring)) => {
                let admitted = Admitted { name: name.to_owned(), holder, leaving: false, closing: None, ring };
                self.many.as_mut().map(|many| many.sessions.insert(publisher, admitted));
                Admission::Opened(Box::new(opened))
            }
        }
    }

    /// Makes the ring, and shows it the core; beside it what tells whether it is mapped.
    fn open_session(&mut self, publisher: u16) -> Result<(Opened, OwnedFd), MemoryError> {
        let (many, ring) = (self.many.as_ref().expect("admitted"), self.ring().expect("the broker owns it"));
        let (start, epoch_page) = (ring.start, memory::reopen(ring.readable()[1], Access::Read)?);
        let capacity_bytes = many.declared.ingress_bytes;
        let message_bytes_max = message_bytes_max(ring.name.capacity_bytes).min(message_bytes_max(capacity_bytes));
        let Tail { position, sequence, .. } = self.tail();
        let last = many.lasts.get(&publisher);
        let (number, number_epoch) = last.map_or((0, Epoch(0)), |last| (last.origin.number(), last.epoch));
        let accepted = Accepted { number, position, sequence };
        let IngressRing { data, lease, control_page, tail, reader, control } =
            IngressRing::new(capacity_bytes, Sequence(number + 1))?;
        let session = Session::new(publisher, reader, control, message_bytes_max, accepted);
        self.tell_core(|index| Command::Admit(index, Box::new(session)));
        let given = [data, control_page, epoch_page];
        let opened =
            Opened { publisher, accepted, number_epoch, tail, capacity_bytes, message_bytes_max, start, given };
        Ok((opened, lease))
    }

    /// The publisher of this name hands in no more; who asked is told when everything is taken. False: it has no session
    /// on that connection, or has asked before.
    pub(crate) fn close_session(&mut self, name: &str, asker: Asker) -> bool {
        let sessions = self.many.iter_mut().flat_map(|many| many.sessions.iter_mut());
        let mut own = sessions.filter(|(_, admitted)| {
            admitted.name == name && admitted.holder.connection == asker.id && admitted.closing.is_none()
        });
        let Some((&publisher, admitted)) = own.next() else { return false };
        (admitted.leaving, admitted.closing) = (true, Some(asker));
        self.tell_core(|index| Command::Dismiss(index, publisher));
        true
    }

    /// A connection is gone: what was handed in on it is still taken.
    pub(super) fn leave_sessions(&mut self, connection: ConnectionId) {
        let Some(many) = &mut self.many else { return };
        let of_connection = |(publisher, admitted): (&u16, &mut Admitted)| {
            let leaves = admitted.holder.connection == connection && !admitted.leaving;
            admitted.leaving |= leaves;
            leaves.then_some(*publisher)
        };
        let left: Vec<u16> = many.sessions.iter_mut().filter_map(of_connection).collect();
        left.into_iter().for_each(|publisher| self.tell_core(|index| Command::Dismiss(index, publisher)));
    }

    /// The core has taken all that a publisher handed in, or takes no more of it: its name is free. Who is to be told.
    pub(crate) fn session_left(&mut self, left: &Left) -> Option<(Asker, u64)> {
        let label = self.label();
        let many = self.many.as_mut()?;
        many.lasts.extend(left.last.map(|last| (left.publisher, last)));
        let Admitted { name, holder, closing, ring, .. } = many.sessions.remove(&left.publisher)?;
        many.former.push((left.publisher, ring));
        if let Some(broken) = &left.broken {
            many.refused += 1;
            log(format_args!(
                "{label}: session of `{name}` ended behind its message {}: {holder}: {broken}; repair the publisher and start it again",
                left.number()
            ));
        }
        closing.map(|asker| (asker, left.number()))
    }

    /// Lets go of the rings of former sessions that nobody maps any more.
    pub(crate) fn let_go_of_rings(&mut self) {
        self.many.iter_mut().for_each(Many::let_go_of_rings);
    }

    /// Whether something is still being taken of one who hands in no more.
    pub(crate) fn is_draining(&self) -> bool {
        self.many.iter().flat_map(|many| many.sessions.values()).any(|admitted| admitted.leaving)
    }

    /// The broker stops: nobody hands in any more, and what was handed in is taken to its end.
    pub(super) fn cede(&self) {
        if self.many.is_some() && matches!(self.owner, Owner::Owned(_)) {
            self.tell_core(Command::Cede);
        }
    }

    /// The core owns it no more, and has unmapped its ring.
    pub(crate) fn ceded(&mut self, now: Instant) {
        if let Owner::Owned(holder) = &self.owner {
            self.owner = Owner::Leaving(Leaving::new(Some(holder.clone()), None, now));
        }
    }

    fn tell_core(&self, command: impl FnOnce(PartitionIndex) -> Command) {
        if let Some((commands, index)) = &self.waker {
            // The core outlives all partitions.
            let _ = commands.send(command(*index));
        }
    }
}
