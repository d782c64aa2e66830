//! One of many publishers of a topic: what it hands in goes through a ring of its own to the broker's core, which puts it in
//! order with what the others hand in. Handing in makes no system call, takes no lock and allocates nothing; what
//! follows a return of the broker does.
//!
//! Until a message is accepted, this process has the only copy that outlives the broker: its own mapping of the ring, of
//! which nothing is overwritten that was not accepted. After the broker's return what it does not have is sent again.

use crate::publisher::{News, Ownership};
use crate::{BusError, Durability, HeaderCheck, Idle, Misfit, PublishError};
use oyez_ring::layout::INGRESS_EPOCH;
use oyez_ring::{BadLength, Control, Epoch, Kind, Memory, Poll, Position, Reader, Sequence, State, Writer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that was back-pressured was not handed in"]
pub enum HandIn {
    /// It is on its way, with this number of the publisher's own; once [`Ingress::accepted`] has reached it, it is published.
    HandedIn(u64),
    /// As much is on its way as the ingress ring takes; nothing was handed in. Try again.
    BackPressured,
}

/// How far the broker has taken what a publisher handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The publisher's own number of the last message taken; 0 before the first. All up to it are published.
    pub number: u64,
    /// The epoch that it was published in; of a message taken before the broker's present life, that of the present one.
    pub epoch: Epoch,
    /// Its number in the partition; of a message taken before this publisher came, or came back, one above it.
    pub sequence: Sequence,
    /// Where it ends: once `durable` has reached this, it is safe. Of a message taken before, as above, a position at or above
    /// that, which may be where the present epoch begins.
    pub position: Position,
}

/// One of many publishers of a topic, under a name that the catalog gives a number.
///
/// It hands in while the broker is away, as far as its ring is deep. After the broker's return everything that was not
/// accepted is sent again, in order, by whichever call comes next; so a publisher that has nothing to hand in calls
/// [`Ingress::accepted`] now and then until all is. One thread's at a time. Dropping it leaves what was handed in to the
/// broker, if that lives; [`Ingress::close`] makes sure.
pub struct Ingress {
    topic: Arc<str>,
    partition: u16,
    origin: Arc<str>,
    session: Session,
    /// The number handed in last.
    handed_in: u64,
    accepted: Accepted,
    /// What the page of a former life of the broker said last, written and durable.
    recorded: [Position; 2],
    again: Option<Again>,
    signal: Arc<AtomicU64>,
    heard: u64,
    /// Why nothing is taken from it any more.
    lost: Option<String>,
    ownership: Box<dyn Ownership>,
}

/// What is given for one life of the broker, or less.
pub(crate) struct Session {
    pub(crate) writer: Writer,
    pub(crate) message_bytes_max: usize,
    /// What was accepted before it, in its partition's epoch as that stood then.
    pub(crate) accepted: Accepted,
    /// The epoch that this last message stands in.
    pub(crate) number_epoch: Epoch,
    /// Where the partition's epoch begins, and its control page.
    pub(crate) start: Position,
    pub(crate) partition: Control,
    pub(crate) durability: Durability,
    pub(crate) check: HeaderCheck,
}

/// What is being sent again, out of the mapping that it was handed in through.
struct Again {
    reader: Reader,
    /// The message that comes next, once it is read.
    message: Vec<u8>,
    next: Option<u64>,
}

impl Again {
    /// From the oldest block that is whole.
    fn new(memory: Memory) -> Again {
        let oldest = memory.window(Position(0)).0.next_block();
        Again { reader: Reader::at(memory, INGRESS_EPOCH, oldest), message: Vec::new(), next: None }
    }

    /// Makes the message the next one that has this number, or the oldest above it that there is.
    fn find(&mut self, number: u64) -> Option<u64> {
        while self.next.is_none_or(|next| next < number) {
            match self.reader.poll() {
                Ok(Poll::Frame(frame)) if frame.kind == Kind::Message => {
                    if frame.sequence.0 >= number {
                        self.message.clear();
                        self.message.extend_from_slice(frame.payload);
                    }
                    self.next = Some(frame.sequence.0);
                }
                Ok(Poll::Frame(_)) => {}
                // This process alone wrote it.
                Ok(Poll::Empty | Poll::Lapped) | Err(_) => return None,
            }
        }
        self.next
    }
}

impl Ingress {
    pub(crate) fn new(
        topic: &str,
        partition: u16,
        origin: &str,
        session: Session,
        signal: Arc<AtomicU64>,
        ownership: Box<dyn Ownership>,
    ) -> Ingress {
        let accepted = session.accepted;
        Ingress {
            topic: topic.into(),
            partition,
            origin: origin.into(),
            handed_in: accepted.number,
            accepted,
            recorded: [Position(0); 2],
            again: None,
            signal,
            heard: 0,
            lost: None,
            ownership,
            session,
        }
    }

    /// Hands in a copy of `message`: SBE message header and body, 8 to [`Ingress::message_bytes_max`] bytes; all of it, or
    /// nothing.
    ///
    /// # Errors
    /// [`PublishError`]: the message is refused for itself, or nothing is taken from this publisher any more.
    pub fn offer(&mut self, message: &[u8]) -> Result<HandIn, PublishError> {
        self.listen()?;
        if let Err(misfit) = self.session.check.check(message) {
            return Err(self.misfit(misfit));
        }
        let bytes_max = self.message_bytes_max();
        if message.len() > bytes_max {
            return Err(self.bad_length(message.len()));
        }
        if self.again.is_some() {
            return Ok(HandIn::BackPressured);
        }
        match self.session.writer.offer(message, 0) {
            Ok(oyez_ring::Offer::Published(published)) => {
                self.handed_in = published.sequence.0;
                Ok(HandIn::HandedIn(self.handed_in))
            }
            Ok(oyez_ring::Offer::BackPressured) => self.back_pressured(),
            Err(BadLength { len_bytes, .. }) => Err(self.bad_length(len_bytes)),
        }
    }

    /// The longest message that can be handed in, in bytes: a quarter of the smaller one of ingress ring and ring.
    pub fn message_bytes_max(&self) -> usize {
        self.session.message_bytes_max
    }

    /// How far the broker has taken what was handed in, in this life of this publisher or an earlier one. Right after
    /// opening: what to go on behind.
    ///
    /// # Errors
    /// Nothing is taken from this publisher any more.
    pub fn accepted(&mut self) -> Result<Accepted, PublishError> {
        self.listen()?;
        if let Some(oyez_ring::Accepted { number, position, sequence }) = self.session.writer.control().accepted() {
            self.accepted = Accepted { number, position, sequence, epoch: self.accepted.epoch };
        }
        Ok(self.accepted)
    }

    /// The number handed in last; 0 before the first.
    pub fn handed_in(&self) -> u64 {
        self.handed_in
    }

    /// Waits until the message of this number has come so far: accepted, which is `Published`, or more. Answers with how far
    /// the broker had taken everything when it had accepted that one. Looks again and again, ever more slowly, at least once
    /// in a millisecond.
    ///
    /// # Errors
    /// [`PublishError::NotAccepted`], [`PublishError::Timeout`]; [`PublishError::NotKept`]; or nothing is taken any more.
    pub fn wait(&mut self, number: u64, durability: Durability, timeout: Duration) -> Result<Accepted, PublishError> {
        let kept = self.session.durability;
        if durability > kept {
            return Err(PublishError::NotKept { topic: self.topic.to_string(), asked: durability, kept });
        }
        let (deadline, timeout_ms) = (Instant::now() + timeout, timeout.as_millis());
        let (mut idle, mut taken) = (Idle::back_off(), None);
        loop {
            // A broker that came back without its keeper may have lost what it had accepted.
            let accepted = self.accepted()?;
            taken = taken.filter(|_| accepted.number >= number).or((accepted.number >= number).then_some(accepted));
            let reached = self.recorded_to(durability);
            if let Some(taken) = taken.filter(|taken| durability == Durability::Published || taken.position <= reached)
            {
                return Ok(taken);
            }
            self.judge_state()?;
            if Instant::now() >= deadline {
                let topic = self.topic.to_string();
                return Err(match taken {
                    Some(Accepted { position, .. }) => PublishError::Timeout {
                        topic,
                        partition: self.partition,
                        position,
                        durability,
                        reached,
                        timeout_ms,
                    },
                    None => {
                        let (origin, accepted) = (self.origin.to_string(), accepted.number);
                        PublishError::NotAccepted { topic, origin, number, accepted, timeout_ms }
                    }
                });
            }
            idle.rest(0);
        }
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The partition that it hands in to.
    pub fn partition(&self) -> u16 {
        self.partition
    }

    /// The highest durability that the topic keeps.
    pub fn durability(&self) -> Durability {
        self.session.durability
    }

    /// The name in the catalog.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Waits until everything is accepted, and gives the name back.
    ///
    /// # Errors
    /// As [`Ingress::wait`]; and the broker is away, or has not answered in time.
    pub fn close(mut self, timeout: Duration) -> Result<Accepted, PublishError> {
        let accepted = self.wait(self.handed_in, Durability::Published, timeout)?;
        self.ownership.release(self.session.writer.tail(), true)?;
        Ok(accepted)
    }

    /// Everything below has come so far. The page of an epoch says nothing of the one before it, until it speaks of its own
    /// frames: those are recorded behind all of it.
    fn recorded_to(&mut self, durability: Durability) -> Position {
        let Session { partition, start, .. } = &self.session;
        let told = [partition.written(), partition.durable()];
        for (known, told) in self.recorded.iter_mut().zip(told) {
            *known = if told > *start { told } else { *known };
        }
        self.recorded[usize::from(durability == Durability::Durable)]
    }

    #[inline]
    fn listen(&mut self) -> Result<(), PublishError> {
        if self.signal.load(Ordering::Relaxed) != self.heard || self.again.is_some() || self.lost.is_some() {
            return self.hear();
        }
        Ok(())
    }

    #[cold]
    fn hear(&mut self) -> Result<(), PublishError> {
        self.heard = self.signal.load(Ordering::Acquire);
        match self.ownership.news() {
            Some(News::Session(session)) => self.come_back(*session),
            Some(News::Lost(why)) => self.lost = Some(why),
            Some(News::Back(..) | News::Renewed(_)) | None => {}
        }
        if let Some(why) = &self.lost {
            return Err(self.is_lost(why.clone()));
        }
        self.send_again()
    }

    /// The broker is back, with a new ring: what it does not have is sent again out of the one before. That was not begun
    /// to be written anew where it was being sent again itself.
    fn come_back(&mut self, session: Session) {
        self.recorded_to(Durability::Durable);
        let former = std::mem::replace(&mut self.session, session);
        self.accepted = self.session.accepted;
        let number = self.accepted.number;
        if self.has_another_handed_in(&former) {
            self.lost = Some(format!(
                "another process has handed in under this name since this one was out of the broker's sight, and the last \
                 message accepted is {number}: give each process a name of its own"
            ));
        }
        let memory = self.again.take().map_or_else(|| former.writer.memory(), |again| again.reader.memory().clone());
        self.again = (number < self.handed_in).then(|| Again::new(memory));
    }

    /// A session has its name to itself until its broker ends it, and then says for good how far it was taken; or until its
    /// broker dies, and with it the epoch. So what was accepted beyond, or in a later epoch, is another's.
    fn has_another_handed_in(&self, former: &Session) -> bool {
        let control = former.writer.control();
        let told = control.accepted().filter(|_| matches!(control.state(), State::Ended | State::Broken));
        let own = told.map_or(self.handed_in, |told| told.number);
        self.accepted.number > own || self.session.number_epoch > former.accepted.epoch
    }

    /// Sends again as much as there is room for.
    fn send_again(&mut self) -> Result<(), PublishError> {
        while let Some(again) = &mut self.again {
            let number = self.session.writer.tail().sequence.0;
            if number > self.handed_in {
                self.again = None;
                break;
            }
            if again.find(number) != Some(number) {
                return Err(self.lose(format!(
                    "the broker came back without messages that it had accepted: {number} is the first, and is not here any more"
                )));
            }
            let (len_bytes, bytes_max) = (again.message.len(), self.session.message_bytes_max);
            if len_bytes > bytes_max {
                return Err(self.lose(format!(
                    "message {number} was not accepted before the broker came back, and of its {len_bytes} bytes only \
                     {bytes_max} are taken now: raise `ingress_kib` or `ring_mib` again"
                )));
            }
            match self.session.writer.offer(&again.message, 0) {
                Ok(oyez_ring::Offer::Published(_)) => {}
                Ok(oyez_ring::Offer::BackPressured) => return self.back_pressured().map(|_| ()),
                Err(BadLength { len_bytes, .. }) => return Err(self.bad_length(len_bytes)),
            }
        }
        Ok(())
    }

    /// The ring is full, because the core has others to take from, or because it takes nothing more here.
    #[cold]
    fn back_pressured(&mut self) -> Result<HandIn, PublishError> {
        self.judge_state().map(|()| HandIn::BackPressured)
    }

    /// Whether anything is taken here still. A session that is closing or has ended comes back with the broker.
    fn judge_state(&mut self) -> Result<(), PublishError> {
        match self.session.writer.control().state() {
            State::Broken => {
                Err(self.lose("the broker found an invalid frame in its ingress ring and ended the session".to_owned()))
            }
            State::JournalFailed => Err(self.journal_failed()),
            _ => Ok(()),
        }
    }

    fn lose(&mut self, why: String) -> PublishError {
        self.lost = Some(why.clone());
        self.is_lost(why)
    }

    fn is_lost(&self, why: String) -> PublishError {
        PublishError::Lost { topic: self.topic.to_string(), partition: self.partition, epoch: self.accepted.epoch, why }
    }

    #[cold]
    fn journal_failed(&self) -> PublishError {
        let durable = self.session.partition.durable();
        PublishError::JournalFailed {
            topic: self.topic.to_string(),
            partition: self.partition,
            epoch: self.accepted.epoch,
            durable,
        }
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
        let source = BadLength { len_bytes, bytes_max: self.message_bytes_max() };
        PublishError::Length { topic: self.topic.to_string(), source }
    }
}

impl Drop for Ingress {
    fn drop(&mut self) {
        // Without an answer the name is free all the same, once the connection's thread has said so.
        let _: Result<(), BusError> = self.ownership.release(self.session.writer.tail(), false);
    }
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Ingress({} as {}, handed in {})", self.topic, self.origin, self.handed_in)
    }
}

#[cfg(test)]
mod tests;
