//! Readers that sleep, and the core that wakes them.
//!
//! ```text
//!   reader                                     core
//!   its area says where it waits
//!   ask, an eventfd ────────────────────────►  wakes from its own sleep, one epoll over all asks; arms it
//!                                              each turn one look at the partition (`oyez_ring::Lookout`)
//!   wakes, polls  ◄──────────────────────────  bell, a byte in a socket
//! ```
//!
//! Nothing that a reader does holds the core up. Asks are edges: nobody reads their counters. The bell is no eventfd,
//! whose flags belong to all who have it: one that was made to block and filled would stop the core. It is a pair of
//! sockets, of which the core has an end to itself, shut for receiving, so that no descriptor can be sent to be closed
//! here; and that end hangs up when the reader is gone.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use oyez_mem::memory::{self, Access, MemoryError};
use oyez_ring::{Area, Control, EpochStart, Lookout, Memory};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec};
use rustix::net::{AddressFamily, SendFlags, Shutdown, SocketFlags, SocketType};

use crate::event::{Event, Events, PartitionIndex};
use crate::partition::ConnectionId;
use crate::spare;

/// Asks heard in one turn.
const ASKS_PER_TURN: usize = 16;
/// Sleepers woken in one turn, at all partitions, but for those of the last that was looked at: each is a system call.
const WAKES_PER_TURN: usize = 16;
/// Sleepers of connections that are gone, forgotten in one turn: each is two system calls.
const FORGOTTEN_PER_TURN: usize = 16;

/// A subscription, by its number since the broker's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SubscriptionId(pub(crate) u64);

/// A reader that may sleep: what the core has of it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) id: SubscriptionId,
    pub(crate) connection: ConnectionId,
    pub(crate) partition: PartitionIndex,
    pub(crate) area: Area,
    ask: OwnedFd,
    bell: OwnedFd,
}

/// What the reader gets: area, ask, bell, in the protocol's order.
#[derive(Debug)]
pub(crate) struct Given([OwnedFd; 3]);

impl Given {
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}

/// Makes both. The area cannot be shrunk under the broker's feet by whoever has it.
pub(crate) fn hand_out(
    id: SubscriptionId,
    connection: ConnectionId,
    partition: PartitionIndex,
) -> Result<(Sleeper, Given), MemoryError> {
    let refused = |step| move |error: rustix::io::Errno| MemoryError::from_map(step, &error.into());
    let original = memory::create("oyez-area", Area::LEN_BYTES as u64)?;
    let area = Area::new(spare::map(&memory::reopen(&original, Access::Read)?, Area::LEN_BYTES as u64)?);
    memory::seal_size(&original)?;
    let given = memory::reopen(&original, Access::Write)?;
    let ask = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(refused("oyez-ask"))?;
    let theirs = ask.try_clone().map_err(|error| MemoryError::from_map("oyez-ask", &error))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (bell, heard) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(refused("oyez-bell"))?;
    rustix::net::shutdown(&bell, Shutdown::Read).map_err(refused("oyez-bell"))?;
    let sleeper = Sleeper { id, connection, partition, area, ask, bell };
    Ok((sleeper, Given([given, theirs, heard])))
}

/// The sleepers of one core, and how it sleeps itself.
pub(crate) struct Sleepers {
    epoll: OwnedFd,
    /// In ascending order.
    lookouts: Vec<(PartitionIndex, Lookout)>,
    /// Which of them the next turn looks at first, so that none waits for all others.
    next: usize,
    /// By key: what epoll and lookouts know them by.
    sleepers: Vec<Option<Sleeper>>,
    /// The keys of a connection.
    connections: BTreeMap<ConnectionId, Vec<usize>>,
    /// Connections that are gone, with sleepers still to be forgotten.
    hung_up: Vec<ConnectionId>,
    /// Gone, and not told yet.
    gone: Vec<Sleeper>,
}

impl Sleepers {
    pub(crate) fn new() -> std::io::Result<Sleepers> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (lookouts, sleepers, connections) = (Vec::new(), Vec::new(), BTreeMap::new());
        Ok(Sleepers { epoll, lookouts, next: 0, sleepers, connections, hung_up: Vec::new(), gone: Vec::new() })
    }

    /// The newest ring of a partition.
    pub(crate) fn watch(&mut self, partition: PartitionIndex, memory: Memory, control: Control, start: &EpochStart) {
        self.lookout_or_new(partition).watch(memory, control, start);
    }

    /// Nobody looks at this partition any more; what is to be unmapped elsewhere.
    pub(crate) fn retire(&mut self, partition: PartitionIndex) -> Option<Box<dyn Any + Send>> {
        let at = self.place_of(partition).ok()?;
        self.next = 0;
        Some(Box::new(self.lookouts.remove(at)))
    }

    /// A reader that may ask from now on.
    pub(crate) fn join(&mut self, sleeper: Sleeper) {
        let key = self.sleepers.iter().position(Option::is_none).unwrap_or(self.sleepers.len());
        let added =
            epoll::add(&self.epoll, &sleeper.ask, EventData::new_u64(2 * key as u64), EventFlags::IN | EventFlags::ET);
        // A hang-up is told without being asked for.
        let data = EventData::new_u64(2 * key as u64 + 1);
        let added = added.and_then(|()| epoll::add(&self.epoll, &sleeper.bell, data, EventFlags::ET));
        if added.is_err() {
            // Out of watches: its bell is closed, so it goes on without being woken, and asks again elsewhere.
            return self.gone.push(sleeper);
        }
        self.lookout_or_new(sleeper.partition).join(key);
        self.connections.entry(sleeper.connection).or_default().push(key);
        match self.sleepers.get_mut(key) {
            Some(place) => *place = Some(sleeper),
            None => self.sleepers.push(Some(sleeper)),
        }
    }

    /// A connection is gone, and with it all its subscriptions, some each turn.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        self.hung_up.push(connection);
    }

    fn forget_some(&mut self) -> usize {
        let Some(&connection) = self.hung_up.last() else { return 0 };
        for _ in 0..FORGOTTEN_PER_TURN {
            let Some(&key) = self.connections.get(&connection).and_then(|keys| keys.last()) else {
                self.connections.remove(&connection);
                self.hung_up.pop();
                break;
            };
            self.remove(key);
        }
        1
    }

    fn remove(&mut self, key: usize) {
        let Some(sleeper) = self.sleepers.get_mut(key).and_then(Option::take) else { return };
        if let Some(lookout) = self.lookout(sleeper.partition) {
            lookout.leave(key);
        }
        if let Some(keys) = self.connections.get_mut(&sleeper.connection) {
            keys.retain(|kept| *kept != key);
        }
        // Both are open here, so the kernel has no reason to refuse; the reader may keep its ends for ever.
        let _ = epoll::delete(&self.epoll, &sleeper.ask);
        let _ = epoll::delete(&self.epoll, &sleeper.bell);
        self.gone.push(sleeper);
    }

    /// Sleeps until somebody asks, at most so long; how many did, or hung up.
    pub(crate) fn wait(&mut self, at_most: Duration) -> usize {
        let mut space = [MaybeUninit::uninit(); ASKS_PER_TURN];
        let timeout = Timespec::try_from(at_most).ok();
        // Interrupted is as good as woken: the turn looks at everything anyway.
        let Ok((heard, _)) = epoll::wait(&self.epoll, &mut space, timeout.as_ref()) else { return 0 };
        for event in &*heard {
            let data = event.data.u64();
            let key = (data / 2) as usize;
            if data % 2 == 1 {
                self.remove(key);
            } else if let Some(sleeper) = self.sleepers.get(key).and_then(Option::as_ref)
                && let (partition, Some(asleep)) = (sleeper.partition, sleeper.area.asleep())
                && let Some(lookout) = self.lookout(partition)
            {
                lookout.ask(key, asleep);
            }
        }
        heard.len()
    }

    /// Wakes some of those who have something to read; how much there was to do.
    pub(crate) fn look(&mut self) -> usize {
        let mut work = self.forget_some();
        let (sleepers, woken) = (&self.sleepers, Cell::new(0));
        let wake = |key: usize| {
            woken.set(woken.get() + 1);
            if let Some(sleeper) = &sleepers[key] {
                // Full means that it was woken many times and has not looked; gone, that nobody is there to be woken.
                let _ = rustix::net::send(&sleeper.bell, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            }
        };
        let (before, from) = self.lookouts.split_at_mut(self.next);
        for (_, lookout) in from.iter_mut().chain(before) {
            work += lookout.look(wake);
            self.next += 1;
            if woken.get() >= WAKES_PER_TURN {
                break;
            }
        }
        self.next %= self.lookouts.len().max(1);
        work
    }

    /// What looks at a partition; of one that is declared no more, nothing.
    fn lookout(&mut self, partition: PartitionIndex) -> Option<&mut Lookout> {
        let at = self.place_of(partition).ok()?;
        Some(&mut self.lookouts[at].1)
    }

    fn lookout_or_new(&mut self, partition: PartitionIndex) -> &mut Lookout {
        let at = self.place_of(partition).unwrap_or_else(|at| {
            self.lookouts.insert(at, (partition, Lookout::default()));
            at
        });
        &mut self.lookouts[at].1
    }

    /// Where it is, or would be.
    fn place_of(&self, partition: PartitionIndex) -> Result<usize, usize> {
        self.lookouts.binary_search_by_key(&partition, |(known, _)| *known)
    }

    /// Has the control thread close what belongs to nobody any more.
    pub(crate) fn report(&mut self, events: &Events) -> usize {
        let mut told = 0;
        while let Some(sleeper) = self.gone.pop() {
            match events.offer(Event::Left(Box::new(sleeper))) {
                Ok(()) => told += 1,
                Err(Event::Left(sleeper)) => {
                    self.gone.push(*sleeper);
                    break;
                }
                Err(_) => unreachable!("what was offered comes back"),
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::{Asleep, ControlMut, Epoch, Position, RegionMut, Sequence, State};

    const EACH: usize = 40;

    /// Three partitions with sleepers, all on one connection; of each partition its control page, and the readers' ends.
    fn three() -> (Sleepers, Vec<ControlMut>, Vec<Given>) {
        let mut sleepers = Sleepers::new().expect("an epoll");
        let (mut controls, mut given) = (Vec::new(), Vec::new());
        let position = Position(0);
        let start = EpochStart { epoch: Epoch(1), position, sequence: Sequence(0), time_ns: 0, previous_end: position };
        for partition in (0..3).map(PartitionIndex) {
            let memory = Memory::new(RegionMut::heap(Memory::len_bytes(1 << 21) as usize).reader(), 1 << 21);
            let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, position);
            sleepers.watch(partition, memory, control.reader(), &start);
            controls.push(control);
            for _ in 0..EACH {
                let key = sleepers.sleepers.len();
                let (sleeper, ends) = hand_out(SubscriptionId(key as u64), ConnectionId(1), partition).expect("memory");
                sleepers.join(sleeper);
                given.push(ends);
                sleepers.lookout(partition).expect("watched").ask(key, Asleep { position, durability: 0 });
            }
        }
        (sleepers, controls, given)
    }

    #[test]
    fn one_turn_wakes_few_at_all_partitions_and_none_waits_for_all_others() {
        let (mut sleepers, controls, given) = three();
        while sleepers.look() > 0 {}
        controls.iter().for_each(|control| control.set_state(State::Ended));
        let woken = |partition: usize| {
            let rings =
                |ends: &&Given| rustix::net::recv(&ends.0[2], &mut [0; 1], rustix::net::RecvFlags::PEEK).is_ok();
            given[partition * EACH..][..EACH].iter().filter(rings).count()
        };
        for turn in 1..=3 {
            sleepers.look();
            assert_eq!([woken(0), woken(1), woken(2)], [0, 1, 2].map(|at| if at < turn { 16 } else { 0 }));
        }
        while sleepers.look() > 0 {}
        assert_eq!([woken(0), woken(1), woken(2)], [EACH; 3]);
    }

    #[test]
    fn a_connection_that_is_gone_is_forgotten_a_few_sleepers_each_turn() {
        let (mut sleepers, ..) = three();
        while sleepers.look() > 0 {}
        sleepers.forget(ConnectionId(1));
        assert!(sleepers.look() > 0 && sleepers.gone.len() == FORGOTTEN_PER_TURN, "{}", sleepers.gone.len());
        while sleepers.look() > 0 {}
        assert_eq!((sleepers.gone.len(), sleepers.connections.len(), sleepers.hung_up.len()), (3 * EACH, 0, 0));
    }
}
