//! How a subscriber sleeps until there is something to poll.
//!
//! Each partition that it reads has a *berth* from the broker: an area, whose words say where the reader waits; *ask*, to
//! ask the broker for a wake-up; *bell*, which the broker rings. All bells are in one epoll of the subscriber's own, and
//! with them a waker that the connection's thread rings when it has learnt something, and a timer that stands in where
//! nobody would ring: while the broker is away, and on an in-process bus.
//!
//! No wake-up is lost. The broker looks at the partition after it has heard the ask; what the connection's thread learns is
//! counted before it rings, and that count is looked at after the waker was silenced.

use crate::connection::Wake;
use crate::partition::Attached;
use crate::{BusError, Durability};
use oyez_mem::memory::{MemoryError, check_size};
use oyez_ring::{Area, AreaMut, Asleep, Position, RegionMut};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon a subscriber looks again where nobody rings.
const STAND_IN: Duration = Duration::from_millis(1);

/// What the broker gave for one subscription. It belongs to one life of the broker.
pub(crate) struct Berth {
    pub(crate) area: AreaMut,
    ask: OwnedFd,
    bell: OwnedFd,
}

impl Berth {
    /// Of the descriptors that come with `Subscribed`.
    pub(crate) fn new(topic: &str, descriptors: &[OwnedFd]) -> Result<Berth, BusError> {
        let refused = |source: MemoryError| BusError::Memory { topic: topic.to_owned(), source };
        let [area, ask, bell] = descriptors else {
            return Err(BusError::Answer { request: "OpenSubscriber", answer: "Subscribed without an area" });
        };
        check_size(area, Area::LEN_BYTES as u64).map_err(refused)?;
        let region = RegionMut::map(area, Area::LEN_BYTES);
        let region = region.map_err(|error| refused(MemoryError::from_map("oyez-area", &error)))?;
        let own = |fd: &OwnedFd| fd.try_clone().map_err(system("keep what wakes its subscriber"));
        Ok(Berth { area: AreaMut::new(region), ask: own(ask)?, bell: own(bell)? })
    }

    /// Silences the bell; `false` where the broker that would ring it is gone.
    fn silence(&self) -> bool {
        let mut bytes = [0_u8; 64];
        loop {
            match rustix::net::recv(&self.bell, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return error == Errno::AGAIN,
            }
        }
    }

    fn ask(&self, asleep: Asleep) -> bool {
        self.area.sleep(asleep);
        // Full means that nobody has heard 2^64 asks: that broker would not hear this one either.
        rustix::io::write(&self.ask, &1_u64.to_ne_bytes()).is_ok()
    }
}

/// One subscriber's bed: made with its first sleep.
pub(crate) struct Sleep {
    epoll: OwnedFd,
    waker: Arc<Wake>,
    timer: OwnedFd,
    timer_is_set: bool,
    /// By topic: whose bell is in the epoll.
    berths: Vec<Option<Arc<Berth>>>,
}

impl Sleep {
    pub(crate) fn new(topics: usize) -> Result<Sleep, BusError> {
        let made = || -> std::io::Result<Sleep> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let waker = Wake::new()?;
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            for source in [waker.as_fd(), timer.as_fd()] {
                epoll::add(&epoll, source, EventData::new_u64(0), EventFlags::IN)?;
            }
            Ok(Sleep { epoll, waker, timer, timer_is_set: false, berths: (0..topics).map(|_| None).collect() })
        };
        made().map_err(system("make what wakes its subscriber"))
    }

    pub(crate) fn waker(&self) -> &Arc<Wake> {
        &self.waker
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Before anything is asked for.
    pub(crate) fn begin(&mut self) -> Result<(), BusError> {
        self.waker.drain();
        if std::mem::take(&mut self.timer_is_set) {
            self.set_timer(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Asks the broker to ring when something stands at `position`; `false` where there is nobody to be asked.
    pub(crate) fn ask(
        &mut self,
        topic: usize,
        source: &Attached,
        position: Position,
        durability: Durability,
    ) -> Result<bool, BusError> {
        let berth = source.berth();
        if self.berths[topic].as_ref().map(Arc::as_ptr) != berth.map(Arc::as_ptr) {
            // The last one's bell leaves the epoll by being closed.
            self.berths[topic] = None;
            if let Some(berth) = berth {
                epoll::add(&self.epoll, &berth.bell, EventData::new_u64(0), EventFlags::IN)
                    .map_err(|errno| system("wait for its broker's bell")(errno.into()))?;
                self.berths[topic] = Some(Arc::clone(berth));
            }
        }
        let Some(berth) = berth else { return Ok(false) };
        if !berth.silence() {
            // It would ring for ever; a new one comes with the broker's return.
            let _ = epoll::delete(&self.epoll, &berth.bell);
            return Ok(false);
        }
        // What the connection's thread is asking for comes with its ring, not the broker's.
        Ok(source.is_asking() || berth.ask(Asleep { position, durability: durability as u64 }))
    }

    /// Looks again after a while: nobody would ring.
    pub(crate) fn stand_in(&mut self) -> Result<(), BusError> {
        self.timer_is_set = true;
        self.set_timer(STAND_IN)
    }

    /// Until something rings, or so long; whether it rang.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<bool, BusError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], left.as_ref()) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(system("sleep")(errno.into())),
                Ok(ready) => return Ok(ready > 0),
            }
        }
    }

    fn set_timer(&self, after: Duration) -> Result<(), BusError> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec { tv_sec: 0, tv_nsec: after.as_nanos() as _ };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value })
            .map(drop)
            .map_err(|errno| system("set its timer")(errno.into()))
    }
}

fn system(step: &'static str) -> impl Fn(std::io::Error) -> BusError {
    move |source| BusError::System { topic: "(subscriber)".to_owned(), step, source }
}
