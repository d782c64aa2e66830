//! The owner of a partition. Publishing makes no system call, takes no lock and allocates nothing; it looks at two words
//! of its own process and one of the control page, all relaxed, and at the clock (which asks Linux, who answers without a
//! call: once a millisecond where that keeps time by the processor's counter, else each time). Only a claim of more than
//! [`ONE_FRAME_BYTES_MAX`] that is longer than all before it takes memory.

use crate::{BusError, Durability, HeaderCheck, Idle, Misfit, PublishError};
use oyez_mem::Seat;
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
    /// The recorder is a whole ring behind, or the epoch is being renewed, which takes milliseconds; nothing was published.
    /// Try again.
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
/// It goes on while the broker is away, as far as the ring is deep, and in the next epoch when the broker has it renew its own.
/// One thread's at a time; dropping it ends the epoch.
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
    pub(crate) reign: Reign,
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
    /// The epoch was renewed: here is the next one.
    Renewed(Box<Reign>),
    /// The epoch is no longer owned, and why.
    Lost(String),
}

/// One epoch, owned.
pub(crate) struct Reign {
    epoch: Epoch,
    durability: Durability,
    check: HeaderCheck,
    /// Gone once the epoch is: the broker grants nothing while the mapping lives. Where it is to be renewed, the connection's
    /// thread takes the writer out of its seat, and publishing is back-pressured until the next reign.
    seat: Option<Seat<Writer>>,
    /// Where the writer stands.
    tail: Tail,
    control: Control,
    message_bytes_max: usize,
}

/// All of a publisher but its scratch memory, so that a claim can hold the two apart.
struct Grant {
    topic: Arc<str>,
    partition: u16,
    reign: Reign,
    clock: Clock,
    signal: Arc<AtomicU64>,
    heard: u64,
    /// How the epoch was lost, once it is.
    lost: Option<String>,
    ownership: Box<dyn Ownership>,
    released: bool,
}

impl Publisher {
    pub(crate) fn new(granted: Granted) -> Publisher {
        let Granted { topic, partition, reign, signal, ownership } = granted;
        let grant = Grant {
            topic,
            partition,
            reign,
            clock: Clock::new(),
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
        self.grant.reign.message_bytes_max
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
            if self.grant.reign.control.state() == State::JournalFailed {
                return Err(self.grant.journal_failed());
            }
            if self.grant.lost.is_some() || self.grant.reign.control.end().is_some_and(|end| end < position) {
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
        let kept = self.grant.reign.durability;
        if durability > kept {
            return Err(PublishError::NotKept { topic: self.grant.topic.to_string(), asked: durability, kept });
        }
        self.grant.listen();
        Ok(match durability {
            Durability::Published => self.grant.reign.tail.position,
            Durability::Written => self.grant.reign.control.written(),
            Durability::Durable => self.grant.reign.control.durable(),
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

    /// The epoch that is owned. Where it is renewed, the next one from some publish on.
    pub fn epoch(&self) -> Epoch {
        self.grant.reign.epoch
    }

    /// The number that the next message gets.
    pub fn next_sequence(&self) -> Sequence {
        self.grant.reign.tail.sequence
    }

    /// The highest durability that the topic keeps.
    pub fn durability(&self) -> Durability {
        self.grant.reign.durability
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

impl Reign {
    /// `seat` is where the writer goes.
    pub(crate) fn new(
        epoch: Epoch,
        durability: Durability,
        check: HeaderCheck,
        writer: Writer,
        seat: impl FnOnce(Writer) -> Seat<Writer>,
    ) -> Reign {
        let (tail, control) = (writer.tail(), writer.control().clone());
        let message_bytes_max = writer.message_bytes_max();
        Reign { epoch, durability, check, seat: Some(seat(writer)), tail, control, message_bytes_max }
    }

    /// The same epoch in a new life of the broker.
    pub(crate) fn go_on(&mut self, control: Control, check: HeaderCheck) {
        self.check = check;
        self.control = control.clone();
        // Whose writer was taken is given up, and needs no page.
        if let Some(mut writer) = self.seat.as_mut().and_then(Seat::enter) {
            writer.set_control(control);
        }
    }
}

impl Grant {
    #[inline]
    fn publish(&mut self, message: &[u8]) -> Result<Offer, PublishError> {
        self.listen();
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
        let Reign { seat: Some(seat), check, .. } = &mut self.reign else { return Err(self.gone()) };
        // Without its ring it waits for the next one.
        let Some(mut writer) = seat.enter() else { return Ok(Offer::BackPressured) };
        if !writer.control().is_running() {
            drop(writer);
            return self.stopped();
        }
        if let Err(misfit) = check.check(message) {
            drop(writer);
            return Err(self.misfit(misfit));
        }
        let offered = writer.offer(message, self.clock.now_ns());
        drop(writer);
        match offered {
            Ok(oyez_ring::Offer::Published(published)) => {
                let oyez_ring::Published { position, sequence, time_ns } = published;
                self.reign.tail = Tail { position, sequence: Sequence(sequence.0 + 1), time_ns };
                let (partition, epoch) = (self.partition, self.reign.epoch);
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
            Some(News::Back(control, check)) => self.reign.go_on(control, check),
            Some(News::Renewed(reign)) => self.reign = *reign,
            Some(News::Lost(why)) => {
                self.lost = Some(why);
                self.unmap();
            }
            Some(News::Session(_)) | None => {}
        }
    }

    /// The broker wants the epoch to end.
    #[cold]
    fn stopped(&mut self) -> Result<Offer, PublishError> {
        if let State::Running | State::Renew = self.reign.control.state() {
            return Ok(Offer::BackPressured);
        }
        // Whatever the broker answers, it is over for this publisher.
        let _ = self.let_go(false);
        Err(self.gone())
    }

    #[cold]
    fn gone(&self) -> PublishError {
        let (topic, partition, epoch) = (self.topic.to_string(), self.partition, self.reign.epoch);
        match (&self.lost, self.reign.control.state()) {
            (Some(why), _) => self.lost(why.clone()),
            (None, State::Closing) => PublishError::Closing { topic, partition, epoch },
            (None, State::JournalFailed) => self.journal_failed(),
            (None, State::Broken) => self.lost("the broker found an invalid frame and ended the epoch".to_owned()),
            (None, _) => self.lost("the epoch has ended".to_owned()),
        }
    }

    fn lost(&self, why: String) -> PublishError {
        PublishError::Lost { topic: self.topic.to_string(), partition: self.partition, epoch: self.reign.epoch, why }
    }

    #[cold]
    fn journal_failed(&self) -> PublishError {
        let (topic, durable) = (self.topic.to_string(), self.reign.control.durable());
        PublishError::JournalFailed { topic, partition: self.partition, epoch: self.reign.epoch, durable }
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
        let source = BadLength { len_bytes, bytes_max: self.reign.message_bytes_max };
        PublishError::Length { topic: self.topic.to_string(), source }
    }

    fn unmap(&mut self) {
        self.reign.seat = None;
    }

    /// Unmaps first, the newest ring too: the broker ends the epoch when nobody can write any more.
    fn let_go(&mut self, wait: bool) -> Result<(), BusError> {
        self.listen();
        self.unmap();
        if std::mem::replace(&mut self.released, true) || self.lost.is_some() {
            return Ok(());
        }
        self.ownership.release(self.reign.tail, wait)
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
mod tests;
