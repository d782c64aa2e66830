//! Publishing from the command line: waits where the bus holds it back, keeps the digest, ends durable.

use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use oyez::{Bus, Digest, Durability, Idle, Offer, Position, Publisher, Sequence};
use oyez_journal::hex;
use serde::Serialize;

use crate::failure::Failure;

/// How long the present owner may take to go, and a message to become durable.
const PATIENCE: Duration = Duration::from_secs(10);

/// A publisher that counts.
pub(crate) struct Publishing {
    publisher: Publisher,
    digest: Digest,
    messages: u64,
    first: Option<Sequence>,
    end: Position,
}

/// What was published.
#[derive(Serialize)]
pub(crate) struct Summary {
    topic: String,
    partition: u16,
    messages: u64,
    epoch: u32,
    first_sequence: Option<u64>,
    last_sequence: Option<u64>,
    durability: String,
    digest: String,
}

impl Publishing {
    /// Becomes the owner of a partition.
    pub(crate) fn open(bus: &Bus, topic: &str, partition: u16) -> Result<Publishing, Failure> {
        Ok(Publishing::new(bus.publisher(topic).partition(partition).wait(PATIENCE).open()?))
    }

    /// Becomes the owner of a partition when its turn has come, however long that takes.
    pub(crate) fn stand_by(bus: &Bus, topic: &str, partition: u16) -> Result<Publishing, Failure> {
        let mut standby = bus.publisher(topic).partition(partition).standby();
        loop {
            if let Some(publisher) = standby.wait(PATIENCE)? {
                return Ok(Publishing::new(publisher));
            }
        }
    }

    fn new(publisher: Publisher) -> Publishing {
        Publishing { publisher, digest: Digest::new(), messages: 0, first: None, end: Position(0) }
    }

    /// Publishes a message, as soon as the bus takes it.
    pub(crate) fn publish(&mut self, message: &[u8]) -> Result<(), Failure> {
        let mut idle = Idle::default();
        let published = loop {
            match self.publisher.offer(message)? {
                Offer::Published(published) => break published,
                Offer::BackPressured => idle.rest(0),
            }
        };
        self.digest.add(published.sequence, published.time_ns, message);
        self.messages += 1;
        self.first = self.first.or(Some(published.sequence));
        self.end = published.position;
        Ok(())
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Waits until everything is as durable as the topic keeps it, and lets the partition go.
    pub(crate) fn finish(mut self) -> Result<Summary, Failure> {
        let durability = self.publisher.durability();
        if durability > Durability::Published {
            self.publisher.wait(self.end, durability, PATIENCE)?;
        }
        let summary = Summary {
            topic: self.publisher.topic().to_owned(),
            partition: self.publisher.partition(),
            messages: self.messages,
            epoch: self.publisher.epoch().0,
            first_sequence: self.first.map(|first| first.0),
            last_sequence: self.first.map(|first| first.0 + self.messages - 1),
            durability: durability.to_string(),
            digest: hex(&self.digest.value()),
        };
        self.publisher.release()?;
        Ok(summary)
    }
}

impl Display for Summary {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Summary { topic, messages, epoch, durability, digest, .. } = self;
        write!(out, "{topic}: {} messages {durability}, epoch {epoch}", HumanCount(*messages))?;
        if let (Some(first), Some(last)) = (self.first_sequence, self.last_sequence) {
            write!(out, ", sequences {first} to {last}")?;
        }
        write!(out, ", digest {digest}")
    }
}

/// Keeps a rate: sleeps until the next message is due.
pub(crate) struct Pace {
    started: Instant,
    rate_messages_per_s: Option<u64>,
}

impl Pace {
    /// So many messages a second from now on; `None`: no pause ever.
    pub(crate) fn new(rate_messages_per_s: Option<u64>) -> Pace {
        Pace { started: Instant::now(), rate_messages_per_s }
    }

    /// Waits until message `number`, counted from 0, is due. Sleeps no less than a millisecond at a time, since a
    /// shorter sleep costs more than it gives: what falls due meanwhile goes out together.
    pub(crate) fn wait_for(&self, number: u64) {
        let Some(rate) = self.rate_messages_per_s else { return };
        let due = Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(rate)) as u64);
        if let Some(early) = due.checked_sub(self.started.elapsed()) {
            std::thread::sleep(early.max(Duration::from_millis(1)));
        }
    }
}
