//! The conformance script by the Rust API, which is what the others are measured by.

use oyez::cursor::CursorError;
use oyez::{
    Bus, BusError, Durability, Epoch, Event, EventKind, Offer, Position, PublishError, Publisher, Sequence, Start,
    partition_of,
};
use oyez::{SubscribeError, Subscriber, TopicIndex};
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Driver<'a> {
    bus: Bus,
    /// Comes before each topic's name.
    prefix: &'a str,
    publishers: BTreeMap<String, Publishing>,
    subscribers: BTreeMap<String, Subscribing>,
}

struct Publishing {
    publisher: Publisher,
    claimed: Option<Vec<u8>>,
    position: Position,
    messages: u64,
    refused: u64,
}

struct Subscribing {
    subscriber: Subscriber,
    messages: u64,
    gaps: u64,
    missing: u64,
}

/// An answer, or the name of a code.
type Answer = Result<String, String>;

/// What the drivers write of the script.
pub(crate) fn run(bus: Bus, prefix: &str, script: &str) -> String {
    let mut driver = Driver { bus, prefix, publishers: BTreeMap::new(), subscribers: BTreeMap::new() };
    let mut out = String::new();
    for line in script.lines() {
        let told = line.split_once(" -> ").filter(|_| !line.starts_with('#'));
        let Some((step, _)) = told else {
            writeln!(out, "{line}").expect("a String takes all");
            continue;
        };
        let words: Vec<&str> = step.split(' ').collect();
        let answer = driver.step(&words).unwrap_or_else(|name| name);
        writeln!(out, "{step} -> {answer}").expect("a String takes all");
    }
    out
}

impl Driver<'_> {
    fn step(&mut self, words: &[&str]) -> Answer {
        match *words {
            ["describe", topic] => {
                let info = self.bus.describe(&self.named(topic)).map_err(bus_name)?;
                Ok(format!("OK partitions {} durability {}", info.partitions, info.durability as u8))
            }
            ["key", key, partitions] => Ok(format!("OK {}", partition_of(key.as_bytes(), number(partitions) as u16))),
            ["publisher", name, topic, partition] => {
                let builder = self.bus.publisher(&self.named(topic)).partition(number(partition) as u16);
                let publisher = builder.open().map_err(publish_name)?;
                let opened = Publishing { publisher, claimed: None, position: Position(0), messages: 0, refused: 0 };
                self.publishers.insert(name.to_owned(), opened);
                ok()
            }
            ["subscriber", name, durability, topics] => {
                let mut builder = self.bus.subscriber().until(durability_of(durability));
                for told in topics.split(',') {
                    let (place, start) = told.split_once('@').expect("a start");
                    let (topic, partition) = place.split_once('/').expect("a partition");
                    let (topic, start) = (self.named(topic), start_of(start));
                    builder = match partition {
                        "all" => builder.all_partitions(&topic, start),
                        partition => builder.partition(&topic, number(partition) as u16, start),
                    };
                }
                let subscriber = builder.open().map_err(subscribe_name)?;
                self.subscribers.insert(name.to_owned(), Subscribing { subscriber, messages: 0, gaps: 0, missing: 0 });
                ok()
            }
            ["close", name] => {
                self.subscribers.remove(name);
                self.publishers
                    .remove(name)
                    .map_or(Ok(()), |closed| closed.publisher.release())
                    .map_err(publish_name)?;
                ok()
            }
            [verb, name, ref rest @ ..] => match self.publishers.get_mut(name) {
                Some(publishing) => publishing.step(verb, rest),
                None => self.subscribers.get_mut(name).expect("a subscriber").step(verb, rest),
            },
            _ => Err("NO SUCH STEP".to_owned()),
        }
    }

    fn named(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }
}

impl Publishing {
    fn step(&mut self, verb: &str, rest: &[&str]) -> Answer {
        match (verb, rest) {
            ("next", []) => Ok(format!("OK {}", self.publisher.next_sequence())),
            ("offer", [told]) => self.offer(&message_of(told)),
            ("offerv", [told, more]) => self.offer(&[&message_of(told)[..], more.as_bytes()].concat()),
            ("claim", [told]) => {
                self.claimed = Some(message_of(told));
                ok()
            }
            // Rust's own claim is used up by its commit: a second one does not compile.
            ("commit", []) => {
                let message = self.claimed.take().ok_or("NO_CLAIM")?;
                let mut claim = self.publisher.claim(message.len()).map_err(publish_name)?;
                claim.copy_from_slice(&message);
                let offer = claim.commit();
                self.told(offer)
            }
            ("abort", []) => self.claimed.take().map(|_| "OK".to_owned()).ok_or("NO_CLAIM".to_owned()),
            ("wait", [durability]) => {
                self.publisher.wait(self.position, durability_of(durability), PATIENCE).map_err(publish_name)?;
                ok()
            }
            ("stats", []) => Ok(format!("OK messages {} refused {}", self.messages, self.refused)),
            _ => Err("NO SUCH STEP".to_owned()),
        }
    }

    fn offer(&mut self, message: &[u8]) -> Answer {
        let offer = self.publisher.offer(message);
        self.told(offer)
    }

    fn told(&mut self, offer: Result<Offer, PublishError>) -> Answer {
        self.refused += u64::from(offer.is_err());
        let published = offer.map_err(publish_name)?.published().ok_or("BACK_PRESSURED")?;
        (self.position, self.messages) = (published.position, self.messages + 1);
        Ok(format!("OK {}", published.sequence))
    }
}

impl Subscribing {
    fn step(&mut self, verb: &str, rest: &[&str]) -> Answer {
        match (verb, rest) {
            ("take" | "batch", [wanted]) => self.receive(number(wanted) as usize),
            ("break", []) => self.receive(1),
            // What is wanted again is kept.
            ("again", []) => self.receive(1).map(|told| format!("{told}; {told}")),
            ("idle", []) => match self.subscriber.poll(1, |_| ()).map_err(subscribe_name)? {
                0 => ok(),
                _ => Err("SOMETHING CAME".to_owned()),
            },
            ("sleep", []) => Ok(woken(self.subscriber.wait(PATIENCE).map_err(subscribe_name)?)),
            ("doze", []) => {
                let now = self.subscriber.arm().map_err(subscribe_name)?;
                let fd = self.subscriber.fd().map_err(subscribe_name)?;
                let mut source = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
                Ok(woken(now || poll(&mut source, None).is_ok()))
            }
            ("seek", [topic, start]) => {
                self.subscriber.seek(TopicIndex(number(topic) as usize), start_of(start)).map_err(subscribe_name)?;
                ok()
            }
            ("progress", [topic]) => {
                let topic = TopicIndex(number(topic) as usize);
                let next = self.subscriber.next_sequence(topic).map_or("?".to_owned(), |next| next.to_string());
                Ok(format!("OK epoch {} next {next}", self.subscriber.epoch(topic)))
            }
            ("lag", [topic]) => {
                let lag = self.subscriber.lag(TopicIndex(number(topic) as usize));
                Ok(format!("OK messages {}", lag.map_or("?".to_owned(), |lag| lag.messages.to_string())))
            }
            ("stats", []) => Ok(format!("OK messages {} gaps {} missing {}", self.messages, self.gaps, self.missing)),
            _ => Err("NO SUCH STEP".to_owned()),
        }
    }

    fn receive(&mut self, wanted: usize) -> Answer {
        let mut came = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while came.len() < wanted {
            let limit = wanted - came.len();
            let polled = self.subscriber.poll(limit, |event| {
                self.messages += u64::from(matches!(event.kind, EventKind::Message(_)));
                if let EventKind::Gap { from, to, .. } = event.kind {
                    (self.gaps, self.missing) = (self.gaps + 1, self.missing + to.0 - from.0);
                }
                came.push((event.topic, text_of(&event)));
            });
            polled.map_err(subscribe_name)?;
            if Instant::now() > deadline {
                return Err(format!("NOTHING MORE CAME AFTER {came:?}"));
            }
        }
        came.sort_by_key(|(topic, _)| *topic);
        let texts: Vec<String> = came.into_iter().map(|(_, text)| text).collect();
        Ok(texts.join("; "))
    }
}

fn woken(is_woken: bool) -> String {
    if is_woken { "OK woken" } else { "OK quiet" }.to_owned()
}

fn ok() -> Answer {
    Ok("OK".to_owned())
}

fn number(told: &str) -> u64 {
    told.parse().expect("a number")
}

fn durability_of(told: &str) -> Durability {
    [Durability::Published, Durability::Written, Durability::Durable][number(told) as usize]
}

/// SBE message header of schema 7, and the body: TEMPLATE:BODY, or ~N.
fn message_of(told: &str) -> Vec<u8> {
    let (template_id, body) = match told.strip_prefix('~') {
        Some(len_bytes) => (1, "x".repeat(number(len_bytes) as usize)),
        None => told.split_once(':').map(|(id, body)| (number(id), body.to_owned())).expect("TEMPLATE:BODY"),
    };
    let header = [body.len() as u16, template_id as u16, 7, 0].map(u16::to_le_bytes);
    [header.as_flattened(), body.as_bytes()].concat()
}

/// live, earliest, sequence:N, resume:EPOCH:N, time:NS
fn start_of(told: &str) -> Start {
    match told.split(':').collect::<Vec<_>>()[..] {
        ["live"] => Start::Live,
        ["earliest"] => Start::Earliest,
        ["sequence", at] => Start::Sequence(Sequence(number(at))),
        ["resume", epoch, at] => Start::Resume { epoch: Epoch(number(epoch) as u32), sequence: Sequence(number(at)) },
        ["time", at] => Start::Time(number(at)),
        _ => panic!("{told}: no start"),
    }
}

fn text_of(event: &Event<'_>) -> String {
    match event.kind {
        EventKind::Message(message) => {
            let template_id = u16::from_le_bytes([message.bytes[2], message.bytes[3]]);
            let body = match &message.bytes[8..] {
                long if long.len() > 40 && long.iter().all(|letter| *letter == b'x') => format!("~{}", long.len()),
                body => std::str::from_utf8(body).expect("text").to_owned(),
            };
            format!("message {} {template_id}:{body}", message.sequence)
        }
        EventKind::Epoch { epoch, sequence, .. } => format!("epoch {epoch} from {sequence}"),
        EventKind::CaughtUp { sequence } => format!("caught-up {sequence}"),
        other => format!("{other:?}"),
    }
}

/// The names of the C header, of what the script provokes.
fn bus_name(error: BusError) -> String {
    match error {
        BusError::Refused { code, .. } => {
            let name = format!("{code:?}");
            let snake =
                name.chars().flat_map(|letter| letter.is_uppercase().then_some('_').into_iter().chain([letter]));
            snake.skip(1).collect::<String>().to_uppercase()
        }
        other => other.to_string(),
    }
}

fn publish_name(error: PublishError) -> String {
    match error {
        PublishError::Bus(error) => bus_name(error),
        PublishError::NotGranted { .. } => "NOT_GRANTED".to_owned(),
        PublishError::Length { .. } => "LENGTH".to_owned(),
        PublishError::Misfit { .. } => "MISFIT".to_owned(),
        PublishError::NotKept { .. } => "NOT_KEPT".to_owned(),
        other => other.to_string(),
    }
}

fn subscribe_name(error: SubscribeError) -> String {
    match error {
        SubscribeError::Bus(error) => bus_name(error),
        SubscribeError::OneSequence { .. } => "ARGUMENT".to_owned(),
        SubscribeError::NotKept { .. } => "NOT_KEPT".to_owned(),
        SubscribeError::Cursor { source: CursorError::Ahead { .. }, .. } => "AHEAD".to_owned(),
        SubscribeError::Cursor { source: CursorError::UnknownEpoch { .. }, .. } => "UNKNOWN_EPOCH".to_owned(),
        other => other.to_string(),
    }
}
