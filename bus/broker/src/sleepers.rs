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
    lookouts: BTreeMap<PartitionIndex, Lookout>,
    /// By key: what epoll and lookouts know them by.
    sleepers: Vec<Option<Sleeper>>,
    /// Gone, and not told yet.
    gone: Vec<Sleeper>,
}

impl Sleepers {
    pub(crate) fn new() -> std::io::Result<Sleepers> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Sleepers { epoll, lookouts: BTreeMap::new(), sleepers: Vec::new(), gone: Vec::new() })
    }

    /// The newest ring of a partition.
    pub(crate) fn watch(&mut self, partition: PartitionIndex, memory: Memory, control: Control, start: &EpochStart) {
        self.lookouts.entry(partition).or_default().watch(memory, control, start);
    }

    /// Nobody looks at this partition any more; what is to be unmapped elsewhere.
    pub(crate) fn retire(&mut self, partition: PartitionIndex) -> Option<Box<dyn Any + Send>> {
        Some(Box::new(self.lookouts.remove(&partition)?))
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
        self.lookouts.entry(sleeper.partition).or_default().join(key);
        match self.sleepers.get_mut(key) {
            Some(place) => *place = Some(sleeper),
            None => self.sleepers.push(Some(sleeper)),
        }
    }

    /// A connection is gone, and with it all its subscriptions.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        for key in 0..self.sleepers.len() {
            if self.sleepers[key].as_ref().is_some_and(|sleeper| sleeper.connection == connection) {
                self.remove(key);
            }
        }
    }

    fn remove(&mut self, key: usize) {
        let Some(sleeper) = self.sleepers.get_mut(key).and_then(Option::take) else { return };
        if let Some(lookout) = self.lookouts.get_mut(&sleeper.partition) {
            lookout.leave(key);
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
                && let Some(asleep) = sleeper.area.asleep()
                && let Some(lookout) = self.lookouts.get_mut(&sleeper.partition)
            {
                lookout.ask(key, asleep);
            }
        }
        heard.len()
    }

    /// Wakes those who have something to read; how much there was to do.
    pub(crate) fn look(&mut self) -> usize {
        let sleepers = &self.sleepers;
        let wake = |key: usize| {
            if let Some(sleeper) = &sleepers[key] {
                // Full means that it was woken many times and has not looked; gone, that nobody is there to be woken.
                let _ = rustix::net::send(&sleeper.bell, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            }
        };
        self.lookouts.values_mut().map(|lookout| lookout.look(wake)).sum()
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
