//! The bus as its users have it: publisher and subscriber of crate `oyez`, connected to a broker.

use super::{Broken, Link};
use crate::failure::Failure;
use crate::fanout;
use oyez::{Connect, Durability, EventKind, Offer, Publisher, Start, Subscriber};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a grant may take: each epoch needs a ring, which the broker makes one after the other.
const GRANT_MAX: Duration = Duration::from_secs(30);
/// How long the recorder may hold a publisher back.
const BACK_PRESSURE_MAX: Duration = Duration::from_secs(20);

/// How long a subscriber that slept may look for what was published.
const WAKE_MAX: Duration = Duration::from_secs(5);

/// One end.
pub(crate) struct Bus {
    publisher: Publisher,
    subscriber: Subscriber,
}

impl Bus {
    /// Publishes one topic and reads the other.
    ///
    /// # Errors
    /// [`Failure::Bus`].
    pub(crate) fn open(bus: &oyez::Bus, out: &str, into: &str) -> Result<Bus, Failure> {
        let publisher = bus.publisher(out).wait(GRANT_MAX).open().map_err(Failure::bus("publish"))?;
        let subscriber = bus.subscriber().topic(into, Start::Live).open().map_err(Failure::bus("subscribe"))?;
        Ok(Bus { publisher, subscriber })
    }

    /// Publishes, and spins until the message is durable.
    pub(crate) fn send_durably(&mut self, message: &[u8]) -> Result<Duration, Broken> {
        let start = Instant::now();
        let Offer::Published(published) = self.publisher.offer(message).map_err(failed)? else {
            return Err(Broken::Failed("back-pressured while nothing is under way".to_owned()));
        };
        while self.publisher.position(Durability::Durable).map_err(failed)? < published.position {
            if start.elapsed() > BACK_PRESSURE_MAX {
                return Err(Broken::Failed("a message did not become durable".to_owned()));
            }
            std::hint::spin_loop();
        }
        Ok(start.elapsed())
    }

    #[cold]
    fn send_again(&mut self, message: &[u8]) -> Result<u64, Broken> {
        let deadline = Instant::now() + BACK_PRESSURE_MAX;
        while Instant::now() < deadline {
            if let Offer::Published(published) = self.publisher.offer(message).map_err(failed)? {
                return Ok(published.time_ns);
            }
            std::hint::spin_loop();
        }
        Err(Broken::Failed("back-pressured for too long".to_owned()))
    }
}

/// A subscriber with a connection of its own that never polls.
pub(crate) struct Sleeper(Subscriber);

impl Sleeper {
    /// # Errors
    /// [`Failure::Bus`].
    pub(crate) fn open(socket: &Path, topic: &str) -> Result<Sleeper, Failure> {
        let bus = oyez::Bus::connect(Connect::new(socket)).map_err(Failure::bus("connect to the broker"))?;
        let subscriber = bus.subscriber().topic(topic, Start::Live).open();
        Ok(Sleeper(subscriber.map_err(Failure::bus("subscribe"))?))
    }
}

impl fanout::Sleeper for Sleeper {
    fn wake(&mut self) -> Result<bool, Failure> {
        let deadline = Instant::now() + WAKE_MAX;
        let mut found = false;
        while !found && Instant::now() < deadline {
            let published = |event: oyez::Event<'_>| {
                found |= matches!(event.kind, EventKind::Message(_) | EventKind::Gap { .. });
            };
            self.0.poll(256, published).map_err(Failure::bus("read"))?;
        }
        Ok(found)
    }
}

impl Link for Bus {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        match self.publisher.offer(message).map_err(failed)? {
            Offer::Published(published) => Ok(published.time_ns),
            Offer::BackPressured => self.send_again(message),
        }
    }

    #[inline(always)]
    fn poll(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let (mut brought, mut lost) = (0, false);
        let take = |event: oyez::Event<'_>| match event.kind {
            EventKind::Message(message) => {
                each(message.bytes);
                brought += 1;
            }
            EventKind::Gap { .. } | EventKind::Rewound { .. } => lost = true,
            _ => {}
        };
        self.subscriber.poll(limit, take).map_err(failed)?;
        if lost { Err(Broken::Lapped) } else { Ok(brought) }
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        while self.subscriber.poll(256, |_| {}).map_err(failed)? != 0 {}
        Ok(())
    }
}

#[cold]
fn failed(error: impl std::fmt::Display) -> Broken {
    Broken::Failed(error.to_string())
}
