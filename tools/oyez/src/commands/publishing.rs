//! Publishing from the command line: waits where the bus holds it back, keeps the digest, ends durable.

use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use oyez::{Bus, Digest, Durability, HandIn, Idle, Ingress, Offer, Position, Publisher, Sequence};
use oyez_journal::hex;
use serde::Serialize;

use crate::failure::Failure;

/// How long the present owner may take to go, and a message to become durable.
const PATIENCE: Duration = Duration::from_secs(10);

/// A publisher that counts.
pub(crate) struct Publishing {
    way: Way,
    messages: u64,
}

/// How messages go out.
#[expect(clippy::large_enum_variant, reason = "one a run")]
enum Way {
    /// As the owner of a partition.
    Alone { publisher: Publisher, digest: Digest, first: Option<Sequence>, end: Position },
    /// As one of many publishers.
    Among(Ingress),
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
    /// Of one of many publishers, its name, and its own number of its last message; where that is in the partition, and the
    /// digest, only readers know.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_number: Option<u64>,
    durability: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
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

    /// Hands in under a name of the catalog's.
    pub(crate) fn among(bus: &Bus, topic: &str, partition: u16, origin: &str) -> Result<Publishing, Failure> {
        let ingress = bus.publisher(topic).partition(partition).wait(PATIENCE).origin(origin).open()?;
        Ok(Publishing { way: Way::Among(ingress), messages: 0 })
    }

    fn new(publisher: Publisher) -> Publishing {
        let way = Way::Alone { publisher, digest: Digest::new(), first: None, end: Position(0) };
        Publishing { way, messages: 0 }
    }

    /// Publishes a message, as soon as the bus takes it.
    pub(crate) fn publish(&mut self, message: &[u8]) -> Result<(), Failure> {
        let mut idle = Idle::default();
        while !self.way.offer(message)? {
            idle.rest(0);
        }
        self.messages += 1;
        Ok(())
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// What has become of a message that the bus has taken.
    pub(crate) fn taken(&self) -> &'static str {
        match self.way {
            Way::Alone { .. } => "published",
            Way::Among(_) => "handed in",
        }
    }

    /// Waits until everything is as durable as the topic keeps it, and lets the partition, or the name, go.
    pub(crate) fn finish(self) -> Result<Summary, Failure> {
        match self.way {
            Way::Alone { publisher, digest, first, end } => finish_alone(publisher, digest, self.messages, first, end),
            Way::Among(ingress) => finish_among(ingress, self.messages),
        }
    }
}

impl Way {
    /// Whether the message is out, or on its way.
    fn offer(&mut self, message: &[u8]) -> Result<bool, Failure> {
        match self {
            Way::Among(ingress) => Ok(matches!(ingress.offer(message)?, HandIn::HandedIn(_))),
            Way::Alone { publisher, digest, first, end } => {
                let Offer::Published(published) = publisher.offer(message)? else { return Ok(false) };
                digest.add(published.sequence, published.time_ns, message);
                *first = first.or(Some(published.sequence));
                *end = published.position;
                Ok(true)
            }
        }
    }
}

fn finish_alone(
    mut publisher: Publisher,
    digest: Digest,
    messages: u64,
    first: Option<Sequence>,
    end: Position,
) -> Result<Summary, Failure> {
    let durability = publisher.durability();
    if durability > Durability::Published {
        publisher.wait(end, durability, PATIENCE)?;
    }
    let summary = Summary {
        topic: publisher.topic().to_owned(),
        partition: publisher.partition(),
        messages,
        epoch: publisher.epoch().0,
        first_sequence: first.map(|first| first.0),
        last_sequence: first.map(|first| first.0 + messages - 1),
        origin: None,
        last_number: None,
        durability: durability.to_string(),
        digest: Some(hex(&digest.value())),
    };
    publisher.release()?;
    Ok(summary)
}

fn finish_among(mut ingress: Ingress, messages: u64) -> Result<Summary, Failure> {
    let durability = ingress.durability();
    let accepted = ingress.wait(ingress.handed_in(), durability, PATIENCE)?;
    let summary = Summary {
        topic: ingress.topic().to_owned(),
        partition: ingress.partition(),
        messages,
        epoch: accepted.epoch.0,
        first_sequence: None,
        last_sequence: None,
        origin: Some(ingress.origin().to_owned()),
        last_number: Some(accepted.number),
        durability: durability.to_string(),
        digest: None,
    };
    ingress.close(PATIENCE)?;
    Ok(summary)
}

impl Display for Summary {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Summary { topic, messages, epoch, durability, .. } = self;
        write!(out, "{topic}: {} messages {durability}, epoch {epoch}", HumanCount(*messages))?;
        if let (Some(first), Some(last)) = (self.first_sequence, self.last_sequence) {
            write!(out, ", sequences {first} to {last}")?;
        }
        if let (Some(origin), Some(last)) = (&self.origin, self.last_number) {
            write!(out, ", {origin}'s up to {last}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(out, ", digest {digest}"))
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
