//! The owner of a partition. Publishing makes no system call, takes no lock and allocates nothing; it looks at one word
//! of its own process and one of the control page, both relaxed, and at the clock (which asks Linux, who answers without a
//! call: once a millisecond where that keeps time by the processor's counter, else each time). Only a claim of more than
//! [`ONE_FRAME_BYTES_MAX`] that is longer than all before it takes memory.

use crate::{BusError, Durability, HeaderCheck, Idle, Misfit, PublishError};
use oyez_mem::clock::Clock;
use oyez_ring::{
    BadLength, Control, Epoch, MESSAGE_BYTES_MIN, ONE_FRAME_BYTES_MAX, Position, Sequence, State, Tail, Writer,
};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A message that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The partition.
    pub partition: u16,
    /// The epoch it was published in. (partition, epoch, sequence) names it for ever.
    pub epoch: Epoch,
    /// Its number in the partition.
    pub sequence: Sequence,
    /// The end of its last frame: once `durable` has reached this, the message is safe.
    pub position: Position,
    /// Its publish time, ns since 1970 UTC.
    pub time_ns: u64,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that was back-pressured was not published"]
pub enum Offer {
    /// It is out.
    Published(Published),
    /// The recorder is a whole ring behind; nothing was published. Try again.
    BackPressured,
}

impl Offer {
    /// The message, if it is out.
    pub fn published(self) -> Option<Published> {
        match self {
            Offer::Published(published) => Some(published),
            Offer::BackPressured => None,
        }
    }
}

/// Writes one partition, alone, until it is dropped.
///
/// It goes on while the broker is away, as far as the ring is deep. One thread's at a time; dropping it ends the epoch.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = oyez::Bus::in_process(&[oyez::Topic::new("md")])?;
/// let mut publisher = bus.publisher("md").open()?;
/// let mut claim = publisher.claim(64)?;
/// claim.fill(7); // encode in place: this is the publisher's own memory
/// let published = claim.commit()?.published().expect("nothing holds back an unrecorded topic");
/// assert_eq!(published.sequence, oyez::Sequence(0));
/// # Ok(())
/// # }
/// ```
pub struct Publisher {
    grant: Grant,
    /// At first as much as one frame takes.
    scratch: Box<[u8]>,
}

/// What is known at the moment of the grant.
pub(crate) struct Granted {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: u16,
    pub(crate) epoch: Epoch,
    pub(crate) durability: Durability,
    pub(crate) check: HeaderCheck,
    pub(crate) writer: Writer,
    pub(crate) signal: Arc<AtomicU64>,
    pub(crate) ownership: Box<dyn Ownership>,
}

/// The slow half of owning, on the other side of `signal`.
pub(crate) trait Ownership: Send {
    /// What has changed since `signal` was raised.
    fn news(&mut self) -> Option<News>;

    /// Gives the epoch back, its memory being unmapped; waits for the answer where that is asked for.
    fn release(&mut self, tail: Tail, wait: bool) -> Result<(), BusError>;
}

/// What may happen to an owner.
pub(crate) enum News {
    /// The broker is back: its control page, and what its catalog allows.
    Back(Control, HeaderCheck),
    /// The broker is back: a new ring to hand in through, where the topic has many publishers.
    Session(Box<crate::ingress::Session>),
    /// The epoch is no longer owned, and why.
    Lost(String),
}

/// All of a publisher but its scratch memory, so that a claim can hold the two apart.
struct Grant {
    message_bytes_max: usize,
    topic: Arc<str>,
    partition: u16,
    epoch: Epoch,
    durability: Durability,
    check: HeaderCheck,
    clock: Clock,
    /// Gone once the epoch is: the broker grants nothing while the mapping lives.
    writer: Option<Writer>,
    /// Where the writer stood when it went.
    tail: Tail,
    control: Control,
    signal: Arc<AtomicU64>,
    heard: u64,
    /// How the epoch was lost, once it is.
    lost: Option<String>,
    ownership: Box<dyn Ownership>,
    released: bool,
}

impl Publisher {
    pub(crate) fn new(granted: Granted) -> Publisher {
        let Granted { topic, partition, epoch, durability, check, writer, signal, ownership } = granted;
        let grant = Grant {
            message_bytes_max: writer.message_bytes_max(),
            topic,
            partition,
            epoch,
            durability,
            check,
            clock: Clock::new(),
            tail: writer.tail(),
            control: writer.control().clone(),
            writer: Some(writer),
            // What was told since the grant is news, too.
            heard: 0,
            signal,
            lost: None,
            ownership,
            released: false,
        };
        Publisher { grant, scratch: vec![0; ONE_FRAME_BYTES_MAX].into() }
    }

    /// Publishes a copy of `message`: SBE message header and body, 8 to [`Publisher::message_bytes_max`] bytes. All of it
    /// is out, or nothing: where there is no room for the whole, [`Offer::BackPressured`].
    ///
    /// # Errors
    /// [`PublishError`]: the message is refused for itself, or the epoch is over.
    #[inline]
    pub fn offer(&mut self, message: &[u8]) -> Result<Offer, PublishError> {
        self.grant.publish(message)
    }

    /// The publisher's own memory for a message of `len_bytes`, to be filled and then committed. Dropping it costs
    /// nothing and leaves nothing. Its bytes are those of the last claim: after [`Offer::BackPressured`] claim again as
    /// many, and commit. The first claim above [`ONE_FRAME_BYTES_MAX`], and each that is longer than all before, takes new
    /// memory, at most [`Publisher::message_bytes_max`], which is kept.
    ///
    /// # Errors
    /// [`PublishError::Length`].
    #[inline]
    pub fn claim(&mut self, len_bytes: usize) -> Result<Claim<'_>, PublishError> {
        if len_bytes > self.scratch.len() {
            return self.claim_more(len_bytes);
        }
        Ok(Claim { grant: &mut self.grant, bytes: &mut self.scratch[..len_bytes] })
    }

    #[cold]
    fn claim_more(&mut self, len_bytes: usize) -> Result<Claim<'_>, PublishError> {
        let bytes_max = self.message_bytes_max();
        if len_bytes > bytes_max {
            return Err(self.grant.bad_length(len_bytes));
        }
        self.scratch = vec![0; len_bytes.next_power_of_two().min(bytes_max)].into();
        Ok(Claim { grant: &mut self.grant, bytes: &mut self.scratch[..len_bytes] })
    }

    /// The longest message that can be published here, in bytes: a quarter of the ring.
    pub fn message_bytes_max(&self) -> usize {
        self.grant.message_bytes_max
    }

    /// Waits until everything below `position` has come so far. [`Published::position`] is such a position.
    /// Looks again and again, ever more slowly, at least once in a millisecond.
    ///
    /// # Errors
    /// [`PublishError::Timeout`]; [`PublishError::NotKept`]; or the epoch is over and will never come so far.
    pub fn wait(&mut self, position: Position, durability: Durability, timeout: Duration) -> Result<(), PublishError> {
        let deadline = Instant::now() + timeout;
        let mut idle = Idle::back_off();
        loop {
            let reached = self.position(durability)?;
            if reached >= position {
                return Ok(());
            }
            if self.grant.control.state() == State::JournalFailed {
                return Err(self.grant.journal_failed());
            }
            if self.grant.lost.is_some() || self.grant.control.end().is_some_and(|end| end < position) {
                return Err(self.grant.gone());
            }
            if Instant::now() >= deadline {
                let Grant { partition, .. } = self.grant;
                let (topic, timeout_ms) = (self.grant.topic.to_string(), timeout.as_millis());
                return Err(PublishError::Timeout { topic, partition, position, durability, reached, timeout_ms });
            }
            idle.rest(0);
        }
    }

    /// Everything below has come so far: the end of the last frame published, the last written, the last made durable.
    ///
    /// # Errors
    /// [`PublishError::NotKept`].
    pub fn position(&mut self, durability: Durability) -> Result<Position, PublishError> {
        let Grant { durability: kept, .. } = self.grant;
        if durability > kept {
            return Err(PublishError::NotKept { topic: self.grant.topic.to_string(), asked: durability, kept });
        }
        self.grant.listen();
        Ok(match durability {
            Durability::Published => self.grant.tail().position,
            Durability::Written => self.grant.control.written(),
            Durability::Durable => self.grant.control.durable(),
        })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.grant.topic
    }

    /// The partition that is owned.
    pub fn partition(&self) -> u16 {
        self.grant.partition
    }

    /// The epoch that is owned.
    pub fn epoch(&self) -> Epoch {
        self.grant.epoch
    }

    /// The number that the next message gets.
    pub fn next_sequence(&self) -> Sequence {
        self.grant.tail().sequence
    }

    /// The highest durability that the topic keeps.
    pub fn durability(&self) -> Durability {
        self.grant.durability
    }

    /// Ends the epoch and waits until the broker has said so. Dropping the publisher does the same without waiting.
    ///
    /// # Errors
    /// The broker is away, or has not answered in time; the epoch ends all the same, as soon as it can.
    pub fn release(mut self) -> Result<(), PublishError> {
        Ok(self.grant.let_go(true)?)
    }
}

/// Memory of the publisher's own for one message.
pub struct Claim<'a> {
    grant: &'a mut Grant,
    bytes: &'a mut [u8],
}

impl Claim<'_> {
    /// Publishes what was claimed.
    ///
    /// # Errors
    /// As [`Publisher::offer`].
    #[inline]
    pub fn commit(self) -> Result<Offer, PublishError> {
        self.grant.publish(self.bytes)
    }
}

impl Deref for Claim<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl DerefMut for Claim<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

impl Grant {
    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<Offer, PublishError> {
        self.listen();
        let Some(writer) = &self.writer else { return Err(self.gone()) };
        if !writer.control().is_running() {
            return self.stopped();
        }
        if let Err(misfit) = self.check.check(message) {
            return Err(self.misfit(misfit));
        }
        if (MESSAGE_BYTES_MIN..=ONE_FRAME_BYTES_MAX).contains(&message.len()) {
            self.write(message)
        } else {
            self.write_fragments(message)
        }
    }

    /// By itself, so that what becomes of one frame stays in registers: moved through memory it costs as much as the frame.
    #[cold]
    fn write_fragments(&mut self, message: &[u8]) -> Result<Offer, PublishError> {
        self.write(message)
    }

    #[inline(always)]
    fn write(&mut self, message: &[u8]) -> Result<Offer, PublishError> {
        let Some(writer) = &mut self.writer else { return Err(self.gone()) };
        match writer.offer(message, self.clock.now_ns()) {
            Ok(oyez_ring::Offer::Published(published)) => {
                let oyez_ring::Published { position, sequence, time_ns } = published;
                let (partition, epoch) = (self.partition, self.epoch);
                Ok(Offer::Published(Published { partition, epoch, sequence, position, time_ns }))
            }
            Ok(oyez_ring::Offer::BackPressured) => Ok(Offer::BackPressured),
            Err(BadLength { len_bytes, .. }) => Err(self.bad_length(len_bytes)),
        }
    }

    #[inline]
    fn listen(&mut self) {
        if self.signal.load(Ordering::Relaxed) != self.heard {
            self.hear();
        }
    }

    #[cold]
    fn hear(&mut self) {
        self.heard = self.signal.load(Ordering::Acquire);
        match self.ownership.news() {
            Some(News::Back(control, check)) => {
                self.check = check;
                self.control = control.clone();
                if let Some(writer) = &mut self.writer {
                    writer.set_control(control);
                }
            }
            Some(News::Lost(why)) => {
                self.lost = Some(why);
                self.unmap();
            }
            Some(News::Session(_)) | None => {}
        }
    }

    /// The broker wants something of the owner.
    #[cold]
    fn stopped(&mut self) -> Result<Offer, PublishError> {
        match self.control.state() {
            // Asked for the ring in order to begin a new epoch: until that is here, nothing can be published.
            State::Running | State::Renew => Ok(Offer::BackPressured),
            _ => {
                // Whatever the broker answers, the epoch is over for this publisher.
                let _ = self.let_go(false);
                Err(self.gone())
            }
        }
    }

    #[cold]
    fn gone(&self) -> PublishError {
        let (topic, partition, epoch) = (self.topic.to_string(), self.partition, self.epoch);
        match (&self.lost, self.control.state()) {
            (Some(why), _) => self.lost(why.clone()),
            (None, State::Closing) => PublishError::Closing { topic, partition, epoch },
            (None, State::JournalFailed) => self.journal_failed(),
            (None, State::Broken) => self.lost("the broker found an invalid frame and ended the epoch".to_owned()),
            (None, _) => self.lost("the epoch has ended".to_owned()),
        }
    }

    fn lost(&self, why: String) -> PublishError {
        PublishError::Lost { topic: self.topic.to_string(), partition: self.partition, epoch: self.epoch, why }
    }

    #[cold]
    fn journal_failed(&self) -> PublishError {
        let (topic, durable) = (self.topic.to_string(), self.control.durable());
        PublishError::JournalFailed { topic, partition: self.partition, epoch: self.epoch, durable }
    }

    #[cold]
    fn misfit(&self, misfit: Misfit) -> PublishError {
        if let Misfit::Header { len_bytes } = misfit {
            return self.bad_length(len_bytes);
        }
        PublishError::Misfit { topic: self.topic.to_string(), misfit }
    }

    #[cold]
    fn bad_length(&self, len_bytes: usize) -> PublishError {
        let source = BadLength { len_bytes, bytes_max: self.message_bytes_max };
        PublishError::Length { topic: self.topic.to_string(), source }
    }

    fn tail(&self) -> Tail {
        self.writer.as_ref().map_or(self.tail, Writer::tail)
    }

    fn unmap(&mut self) {
        self.tail = self.tail();
        self.writer = None;
    }

    /// Unmaps first: the broker ends the epoch when nobody can write any more.
    fn let_go(&mut self, wait: bool) -> Result<(), BusError> {
        self.unmap();
        if std::mem::replace(&mut self.released, true) || self.lost.is_some() {
            return Ok(());
        }
        self.ownership.release(self.tail, wait)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        // Without an answer the epoch ends all the same: nobody maps its memory any more.
        let _ = self.let_go(false);
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (topic, partition, epoch) = (self.topic(), self.partition(), self.epoch());
        write!(out, "Publisher({topic}, partition {partition}, epoch {epoch}, next {})", self.next_sequence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::{BLOCK, ControlMut, EpochStart, Memory, RegionMut, write_head};

    struct Nobody;

    struct Losing;

    impl Ownership for Losing {
        fn news(&mut self) -> Option<News> {
            Some(News::Lost("taken over".to_owned()))
        }

        fn release(&mut self, _: Tail, _: bool) -> Result<(), BusError> {
            Ok(())
        }
    }

    impl Ownership for Nobody {
        fn news(&mut self) -> Option<News> {
            None
        }

        fn release(&mut self, _: Tail, _: bool) -> Result<(), BusError> {
            Ok(())
        }
    }

    fn owned(ownership: Box<dyn Ownership>, signal: u64) -> (Publisher, ControlMut) {
        let (epoch, none, capacity) = (Epoch(1), Position(0), 2 * BLOCK);
        let start = EpochStart { epoch, position: none, sequence: Sequence(0), time_ns: 0, previous_end: none };
        let memory = RegionMut::heap(Memory::len_bytes(capacity) as usize);
        let tail = write_head(&memory, capacity, &start, 1);
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), none, Position(capacity));
        let publisher = Publisher::new(Granted {
            topic: "md".into(),
            partition: 0,
            epoch,
            durability: Durability::Durable,
            check: HeaderCheck::new(None),
            writer: Writer::new(memory, capacity, control.reader(), epoch, tail),
            signal: Arc::new(AtomicU64::new(signal)),
            ownership,
        });
        (publisher, control)
    }

    #[test]
    fn nobody_waits_for_what_an_ended_epoch_will_never_have() {
        let (mut publisher, control) = owned(Box::new(Nobody), 0);
        let mut publish = || publisher.offer(&[1; 64]).expect("an owner").published().expect("there is room");
        let (first, second) = (publish().position, publish().position);
        control.set_end(first);
        control.set_durable(first);
        let mut wait = |position| publisher.wait(position, Durability::Durable, Duration::from_secs(60));
        wait(first).expect("it has come so far");
        assert!(matches!(wait(second), Err(PublishError::Lost { .. })));
    }

    #[test]
    fn what_was_told_before_the_publisher_was_there_is_heard() {
        let (mut publisher, _control) = owned(Box::new(Losing), 1);
        assert!(matches!(publisher.offer(&[1; 64]), Err(PublishError::Lost { .. })));
    }
}
