//! Readers of topics. A subscriber is never seen by a publisher, nor by another subscriber.

use crate::cursor::{Cursor, CursorError, Held, newest_of};
use crate::partition::Attached;
use crate::sleep::Sleep;
use crate::{Bus, BusError, Durability, Event, EventKind, Start, SubscribeError, TopicIndex, TopicInfo};
use oyez_mem::clock::Clock;
use oyez_ring::{Epoch, Progress, Sequence};
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Latencies are counted of messages that were published so far apart, or further, in ns.
const SAMPLE_NS: u64 = 1_000_000;

/// Which topics to read, and from where: made by [`Bus::subscriber`].
#[must_use = "a subscriber is opened with `open`"]
pub struct SubscriberBuilder {
    bus: Bus,
    topics: Vec<(String, Partitions, Start)>,
    durability: Durability,
}

/// Of a topic.
#[derive(Clone, Copy)]
enum Partitions {
    One(u16),
    All,
}

impl SubscriberBuilder {
    pub(crate) fn new(bus: Bus) -> SubscriberBuilder {
        SubscriberBuilder { bus, topics: Vec::new(), durability: Durability::Published }
    }

    /// Reads partition 0 of this topic, too.
    pub fn topic(self, topic: &str, start: Start) -> SubscriberBuilder {
        self.partition(topic, 0, start)
    }

    /// Reads this partition of this topic, too.
    pub fn partition(mut self, topic: &str, partition: u16, start: Start) -> SubscriberBuilder {
        self.topics.push((topic.to_owned(), Partitions::One(partition), start));
        self
    }

    /// Reads these partitions of this topic, too, each from there.
    pub fn partitions(self, topic: &str, partitions: impl IntoIterator<Item = u16>, start: Start) -> SubscriberBuilder {
        partitions.into_iter().fold(self, |builder, partition| builder.partition(topic, partition, start))
    }

    /// Reads all partitions of this topic, too, in ascending order; no start at a sequence, which each counts for itself.
    pub fn all_partitions(mut self, topic: &str, start: Start) -> SubscriberBuilder {
        self.topics.push((topic.to_owned(), Partitions::All, start));
        self
    }

    /// Delivers nothing that has not come so far; `Published`, and so everything at once, unless said.
    pub fn until(mut self, durability: Durability) -> SubscriberBuilder {
        self.durability = durability;
        self
    }

    /// Finds the starts. What is published after this returns is delivered.
    ///
    /// # Errors
    /// [`SubscribeError`]: an unknown topic, no right to it, no answer, a start that never was.
    pub fn open(self) -> Result<Subscriber, SubscribeError> {
        if self.topics.is_empty() {
            return Err(SubscribeError::NoTopic);
        }
        let SubscriberBuilder { bus, topics: wanted, durability } = self;
        let mut topics = Vec::with_capacity(wanted.len());
        for (name, partitions, start) in wanted {
            for partition in range(&bus, &name, partitions, start)? {
                topics.push(Reading::open(&bus, name.clone(), partition, start, durability)?);
            }
        }
        let timeout = bus.timeout();
        Ok(Subscriber { topics, turn: 0, failed: None, timeout, sleep: None, is_asleep: false })
    }
}

/// The partitions that are meant.
fn range(bus: &Bus, topic: &str, partitions: Partitions, start: Start) -> Result<RangeInclusive<u16>, SubscribeError> {
    match partitions {
        Partitions::One(partition) => Ok(partition..=partition),
        Partitions::All => match (bus.describe(topic)?.partitions, start) {
            (partitions @ 2.., Start::Sequence(_) | Start::Resume { .. }) => {
                Err(SubscribeError::OneSequence { topic: topic.to_owned(), partitions })
            }
            (partitions, _) => Ok(0..=partitions.saturating_sub(1)),
        },
    }
}

/// Reads one topic or many, one partition of each or more, and each partition in order.
///
/// Poll from one thread at a time. A subscriber that is stopped, for as long as may be, goes on where it was: no
/// heartbeat keeps it alive.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use oyez::{Bus, EventKind, Start, Topic};
/// let bus = Bus::in_process(&[Topic::new("md")])?;
/// let mut subscriber = bus.subscriber().topic("md", Start::Live).open()?;
/// let mut publisher = bus.publisher("md").open()?;
/// let _ = publisher.offer(b"a message header and a body")?;
/// let mut messages = 0;
/// while messages == 0 {
///     subscriber.poll(16, |event| match event.kind {
///         EventKind::Message(message) => messages += message.bytes.len().min(1),
///         EventKind::Gap { from, to, cause } => panic!("lost {from} to {to}: {cause:?}"),
///         _ => {}
///     })?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Subscriber {
    topics: Vec<Reading>,
    /// Which topic the next poll begins with.
    turn: usize,
    /// The topic that could not be read on last.
    failed: Option<TopicIndex>,
    /// How long a start may be looked for.
    timeout: Duration,
    /// Made with the first sleep.
    sleep: Option<Sleep>,
    is_asleep: bool,
}

/// How far behind the newest message of a topic a subscriber is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// Messages published and not taken yet; those that are not to be had any more are among them.
    pub messages: u64,
    /// Publish time of the newest message, ns since 1970 UTC; 0 where its ring is gone. Less the time of the message taken
    /// last it is how late that one is.
    pub newest_ns: u64,
}

struct Reading {
    info: TopicInfo,
    partition: u16,
    cursor: Cursor<Attached>,
    /// Publish time of the message taken last; 0 at a start.
    time_ns: u64,
    /// Which area tells how far it has come; 0 where it has come further since.
    told_in: u64,
    /// Publish time of the message of which was told last how late it came.
    sampled_ns: u64,
    clock: Clock,
}

impl Subscriber {
    /// Gives up to `limit` events to `each`, of the topics in turn; how many it gave, 0 when nothing is there now. A message
    /// above [`crate::ONE_FRAME_BYTES_MAX`] is the last of its poll, and the next poll begins with the next topic: many of
    /// them keep the other topics waiting for no longer than one.
    ///
    /// Never waits for the broker. Allocates nothing and makes no system call while it reads from rings, but for blocks
    /// that it enters anew after an event, and for the first message above [`crate::ONE_FRAME_BYTES_MAX`] and each that is
    /// longer than all before; reading from the journal reads its files.
    ///
    /// # Errors
    /// [`SubscribeError::Cursor`], [`BusError::Unreadable`]: one topic, [`Subscriber::failed`], cannot be read on. Events may
    /// have been given before that was found, and the next poll begins with the topic after it: where others are busy, they
    /// go on, and each round of the topics finds the same error again, until [`Subscriber::seek`] mends it.
    #[inline]
    pub fn poll(&mut self, limit: usize, mut each: impl FnMut(Event<'_>)) -> Result<usize, SubscribeError> {
        if self.is_asleep {
            self.wake();
        }
        let mut given = 0;
        for _ in 0..self.topics.len() {
            if given >= limit {
                break;
            }
            let topic = TopicIndex(self.turn);
            self.turn = if self.turn + 1 == self.topics.len() { 0 } else { self.turn + 1 };
            let reading = &mut self.topics[topic.0];
            match reading.poll(limit - given, topic, &mut each) {
                Ok(more) => given += more,
                Err(error) => {
                    self.failed = Some(topic);
                    return Err(error);
                }
            }
            if reading.cursor.has_given_enough() {
                break;
            }
        }
        Ok(given)
    }

    /// Sleeps until a poll may bring something, at most so long; `false` where that time is over. Now and then a poll brings
    /// nothing all the same. The wake-up is late by at most `wake_max_us` of the broker's catalog; on an in-process bus, and
    /// while the broker is away, by a millisecond. Some system calls; the publisher makes none for it.
    ///
    /// Poll until nothing comes, then wait:
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use oyez::{Bus, Start, Topic};
    /// # let bus = Bus::in_process(&[Topic::new("md")])?;
    /// # let mut subscriber = bus.subscriber().topic("md", Start::Live).open()?;
    /// # let mut publisher = bus.publisher("md").open()?;
    /// # let _ = publisher.offer(b"a message header and a body")?;
    /// let mut seen = 0;
    /// while seen == 0 {
    ///     seen += subscriber.poll(256, |event| println!("{event:?}"))?;
    ///     if seen == 0 && !subscriber.wait(std::time::Duration::from_secs(1))? {
    ///         println!("quiet");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Subscriber::arm`].
    pub fn wait(&mut self, timeout: Duration) -> Result<bool, SubscribeError> {
        if self.arm()? {
            return Ok(true);
        }
        let rang = Subscriber::bed(&mut self.sleep, &self.topics)?.wait(timeout);
        self.wake();
        Ok(rang?)
    }

    /// Before each sleep in a loop of one's own (epoll, tokio, asyncio) on [`Subscriber::fd`]: silences it, and asks for it
    /// to become readable when a poll may bring something. `true`: poll now, and do not sleep. Some system calls.
    ///
    /// # Errors
    /// [`BusError::System`]: the kernel has no descriptors left for this.
    pub fn arm(&mut self) -> Result<bool, SubscribeError> {
        let sleep = Subscriber::bed(&mut self.sleep, &self.topics)?;
        sleep.begin()?;
        self.is_asleep = true;
        let mut all_ring = true;
        for (at, reading) in self.topics.iter_mut().enumerate() {
            reading.tell_if_due();
            let cursor = &reading.cursor;
            all_ring &= sleep.ask(at, cursor.source(), cursor.position(), cursor.durability())?;
        }
        if !all_ring {
            sleep.stand_in()?;
        }
        Ok(self.topics.iter().any(|reading| reading.cursor.source().has_news()))
    }

    /// One descriptor for all topics, the same for as long as the subscriber lives: readable when a poll may bring
    /// something, from one [`Subscriber::arm`] to the next. Poll it for reading and do nothing else with it.
    ///
    /// # Errors
    /// As [`Subscriber::arm`].
    pub fn fd(&mut self) -> Result<BorrowedFd<'_>, SubscribeError> {
        Ok(Subscriber::bed(&mut self.sleep, &self.topics)?.descriptor())
    }

    fn bed<'a>(sleep: &'a mut Option<Sleep>, topics: &[Reading]) -> Result<&'a mut Sleep, SubscribeError> {
        if let Some(sleep) = sleep {
            return Ok(sleep);
        }
        let made = Sleep::new(topics.len())?;
        topics.iter().for_each(|reading| reading.cursor.source().wake_by(made.waker()));
        Ok(sleep.insert(made))
    }

    #[cold]
    fn wake(&mut self) {
        self.is_asleep = false;
        self.topics.iter().filter_map(|reading| reading.cursor.source().berth()).for_each(|berth| berth.area.wake());
    }

    /// Goes elsewhere in one topic, back or ahead, as if it were opened anew. After an error it is nowhere: seek again.
    ///
    /// # Errors
    /// As [`SubscriberBuilder::open`].
    ///
    /// # Panics
    /// Where there is no such topic, as in the methods below.
    pub fn seek(&mut self, topic: TopicIndex, start: Start) -> Result<(), SubscribeError> {
        self.failed.take_if(|failed| *failed == topic);
        self.topics[topic.0].seek(start, self.timeout)
    }

    /// The topic that the last error of a poll speaks of; `None` where there was none, or [`Subscriber::seek`] went elsewhere
    /// in that topic since.
    pub fn failed(&self) -> Option<TopicIndex> {
        self.failed
    }

    /// How far behind the topic's newest message it is. `None` where that is not known: the start was not reached yet, or
    /// the broker has not told of the newest epoch. Reads up to two blocks of the ring, 64 KiB each,
    /// and what is out of a message that goes on there: not for every message.
    pub fn lag(&self, topic: TopicIndex) -> Option<Lag> {
        let cursor = &self.topics[topic.0].cursor;
        let next = cursor.next_sequence()?;
        let (newest, held) = cursor.source().newest()?;
        let (sequence, newest_ns) = match &held {
            Held::Ring(ring) => newest_of(ring, newest)?,
            Held::Closed { sequence, .. } => (*sequence, 0),
            Held::Unknown => return None,
        };
        Some(Lag { messages: sequence.0.saturating_sub(next.0), newest_ns })
    }

    /// What the catalog said of a topic when the subscriber was opened.
    ///
    /// # Panics
    /// Where there is no such topic.
    pub fn topic(&self, topic: TopicIndex) -> &TopicInfo {
        &self.topics[topic.0].info
    }

    /// Which of its partitions it is.
    ///
    /// # Panics
    /// Where there is no such topic.
    pub fn partition(&self, topic: TopicIndex) -> u16 {
        self.topics[topic.0].partition
    }

    /// How many there are: topics, or of topics read in several partitions these.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// The message that is wanted next; unknown where a start was not reached yet.
    pub fn next_sequence(&self, topic: TopicIndex) -> Option<Sequence> {
        self.topics[topic.0].cursor.next_sequence()
    }

    /// The epoch that is being read; 0 before the first.
    pub fn epoch(&self, topic: TopicIndex) -> Epoch {
        self.topics[topic.0].cursor.epoch()
    }

    /// Whether the topic is being read from a ring. `false` while it is read from the journal, and between two places:
    /// before the first poll, after an event that made the subscriber look anew, and at the end of an epoch.
    pub fn reads_ring(&self, topic: TopicIndex) -> bool {
        self.topics[topic.0].cursor.reads_ring()
    }
}

impl Reading {
    fn open(
        bus: &Bus,
        topic: String,
        partition: u16,
        start: Start,
        durability: Durability,
    ) -> Result<Reading, SubscribeError> {
        let (info, attached) = bus.attach(&topic, partition)?;
        if durability > info.durability {
            return Err(SubscribeError::NotKept { topic, asked: durability, kept: info.durability });
        }
        let (cursor, clock) = (Cursor::new(attached, durability), Clock::new());
        let mut reading = Reading { info, partition, cursor, time_ns: 0, told_in: 0, sampled_ns: 0, clock };
        reading.seek(start, bus.timeout())?;
        Ok(reading)
    }

    fn seek(&mut self, start: Start, timeout: Duration) -> Result<(), SubscribeError> {
        self.tell_if_due();
        let deadline = Instant::now() + timeout;
        loop {
            if self.cursor.source().is_complete() && self.cursor.seek(start).map_err(|source| self.stuck(source))? {
                self.time_ns = 0;
                self.tell();
                return Ok(());
            }
            self.failure()?;
            if !self.cursor.source().wait(deadline) {
                let topic = self.info.name.clone();
                return Err(SubscribeError::Timeout { topic, timeout_ms: timeout.as_millis() });
            }
            self.cursor.learn();
        }
    }

    #[inline]
    fn poll(
        &mut self,
        limit: usize,
        topic: TopicIndex,
        each: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, SubscribeError> {
        self.tell_if_due();
        let (partition, begins_in_ring) = (self.partition, self.cursor.reads_ring());
        let (mut first_ns, mut last_ns) = (0, 0);
        let given = self.cursor.poll(limit, |kind| {
            if let EventKind::Message(message) = &kind {
                last_ns = message.time_ns;
                first_ns = if first_ns == 0 { last_ns } else { first_ns };
            }
            each(Event { topic, partition, kind });
        });
        if last_ns != 0 {
            (self.time_ns, self.told_in) = (last_ns, 0);
            if first_ns.abs_diff(self.sampled_ns) >= SAMPLE_NS && begins_in_ring && self.cursor.reads_ring() {
                self.sample(first_ns);
            }
        }
        match given {
            Ok(0) => self.failure().map(|()| 0),
            given => given.map_err(|source| self.stuck(source)),
        }
    }

    /// What a poll brought is told with this topic's next poll, or before a sleep: whoever answers a message has not waited for
    /// it. A broker that is back has a new area, and is told anew.
    #[inline]
    fn tell_if_due(&mut self) {
        if self.told_in != self.cursor.source().area_number() {
            self.tell();
        }
    }

    /// Tells the broker, for whoever looks, how far this has come.
    fn tell(&mut self) {
        let source = self.cursor.source();
        self.told_in = source.area_number();
        let Some(berth) = source.berth() else { return };
        let (epoch, position) = (self.cursor.epoch(), self.cursor.position());
        let sequence = self.cursor.next_sequence().unwrap_or_default();
        berth.area.tell(Progress { epoch, position, sequence, time_ns: self.time_ns });
    }

    /// Tells how late a poll's first message came; not of those out of the journal, which are late by intent.
    #[cold]
    fn sample(&mut self, first_ns: u64) {
        self.sampled_ns = first_ns;
        if let Some(berth) = self.cursor.source().berth() {
            berth.area.record(self.clock.now_ns().saturating_sub(first_ns));
        }
    }

    fn stuck(&self, source: CursorError) -> SubscribeError {
        SubscribeError::Cursor { topic: self.info.name.clone(), partition: self.partition, source }
    }

    /// Why the broker no longer serves this partition, if it said so.
    #[inline]
    fn failure(&mut self) -> Result<(), SubscribeError> {
        match self.cursor.source().unreadable() {
            None => Ok(()),
            Some(why) => Err(BusError::Unreadable { topic: self.info.name.clone(), why: why.to_owned() }.into()),
        }
    }
}

impl std::fmt::Debug for Subscriber {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = |reading: &Reading| format!("{}/{}", reading.info.name, reading.partition);
        let topics = self.topics.iter().map(|reading| (place(reading), reading.cursor.next_sequence()));
        out.debug_map().entries(topics).finish()
    }
}
