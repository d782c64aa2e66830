//! What the connection's thread does for one partition that is read: learns its epochs, fetches rings and segments.

use super::attendant::passes;
use super::owned::map_ring;
use crate::cursor::{Held, Ring};
use crate::partition::Partition;
use crate::sleep::Berth;
use oyez_protocol::FailureCode::{Broker, NotInJournal, SubscriptionLimit};
use oyez_protocol::message::EPOCHS_MAX;
use oyez_protocol::{Message, Received};
use oyez_ring::{Epoch, EpochStart, Position};
use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long after a failure that passes it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// A partition that a cursor of this process reads. It lives as long as the cursor.
pub(super) struct Reading {
    topic: String,
    partition: u16,
    /// The journal's number: another journal would be another partition.
    journal: u64,
    known: Weak<Partition>,
    /// Whether this connection's broker knows of it: until then it answers nothing else.
    is_subscribed: bool,
    /// The newest epoch known.
    newest: Epoch,
    /// Starts of epochs that came, until the list is whole.
    starts: Vec<EpochStart>,
    /// What is to be said.
    wanted: Vec<(Message, Step)>,
    /// Epochs that were asked for and not answered yet: a ring is mapped once.
    opening: Vec<Epoch>,
    /// When all of it is tried again, after a failure that passes.
    again_at: Option<Instant>,
}

/// What an answer is for.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Subscribe,
    List,
    Open(Epoch),
    /// The next epoch, answered when it begins.
    Await,
    /// The segment that begins there.
    Segment(Position),
    /// How far back the journal goes, since it has no such segment.
    Earliest(Position),
}

impl Reading {
    /// Of a partition that this connection has subscribed to.
    pub(super) fn new(topic: &str, partition: u16, journal: u64, known: &Arc<Partition>) -> Reading {
        let mut reading = Reading {
            topic: topic.to_owned(),
            partition,
            journal,
            known: Arc::downgrade(known),
            is_subscribed: true,
            newest: Epoch(0),
            starts: Vec::new(),
            wanted: Vec::new(),
            opening: Vec::new(),
            again_at: None,
        };
        reading.want_list();
        reading
    }

    pub(super) fn is_read(&self) -> bool {
        self.known.strong_count() > 0
    }

    /// The broker came back, or a failure has passed: everything anew.
    pub(super) fn begin_again(&mut self) {
        (self.again_at, self.is_subscribed) = (None, false);
        self.starts.clear();
        self.opening.clear();
        self.wanted.clear();
        self.want(Step::Subscribe, Message::OpenSubscriber { partition: self.partition, topic: self.topic.clone() });
    }

    /// The broker is gone, and with it whoever would wake the reader.
    pub(super) fn hung_up(&self) {
        if let Some(known) = self.known.upgrade() {
            known.learn(|facts| facts.berth = None);
        }
    }

    /// How soon it must be looked after, without being woken.
    pub(super) fn pause(&self) -> Option<Duration> {
        Some(self.again_at?.saturating_duration_since(Instant::now()))
    }

    /// What is to be said next, by what was learnt and by what the cursor wants.
    pub(super) fn next_want(&mut self) -> Option<(Message, Step)> {
        if self.again_at.is_some_and(|at| at <= Instant::now()) {
            self.begin_again();
        }
        if let Some(known) = self.known.upgrade().filter(|_| self.is_subscribed) {
            let asked = known.take_asked();
            if let Some(epoch) = asked.epoch.filter(|_| asked.epoch_is_wanted) {
                self.want_epoch(epoch);
            }
            if let Some(position) = asked.segment {
                let (partition, topic) = (self.partition, self.topic.clone());
                self.want(Step::Segment(position), Message::OpenSegment { partition, position, topic });
            }
        }
        self.wanted.pop()
    }

    pub(super) fn answered(&mut self, step: Step, received: &Received) {
        let Some(known) = self.known.upgrade() else { return };
        if let Step::Open(epoch) = step {
            self.opening.retain(|opening| *opening != epoch);
        }
        let Received { packet, descriptors } = received;
        match (step, &packet.message) {
            (Step::Subscribe, Message::Subscribed { journal, earliest, .. }) => {
                match Berth::new(&self.topic, descriptors) {
                    Ok(berth) => self.subscribed_again(&known, *journal, *earliest, berth),
                    Err(error) => give_up(&known, error.to_string()),
                }
            }
            (Step::List, Message::Epochs { epochs, .. }) => self.listed(&known, epochs),
            (Step::Open(_) | Step::Await, Message::EpochOpened { start, capacity }) => {
                match map_ring(&self.topic, *capacity, descriptors) {
                    Ok((memory, control)) => self.learn_epoch(&known, *start, Held::Ring(Ring { memory, control })),
                    Err(error) => give_up(&known, error.to_string()),
                }
            }
            (Step::Open(_) | Step::Await, Message::EpochClosed { start, end, end_sequence }) => {
                self.learn_epoch(&known, *start, Held::Closed { end: *end, sequence: *end_sequence });
            }
            (Step::Segment(base), Message::SegmentOpened { .. }) => {
                let file = descriptors.first().map(|file| Ok(File::from(file.try_clone()?))).transpose();
                known.give_segment(base, file);
            }
            (Step::Segment(base), Message::Failure { code: NotInJournal, .. }) => {
                let (partition, topic) = (self.partition, self.topic.clone());
                self.want(Step::Earliest(base), Message::DescribeTopic { partition, topic });
            }
            (Step::Segment(base), Message::Failure { code, text }) if *code == Broker || !passes(*code) => {
                known.give_segment(base, Err(io::Error::other(text.clone())));
            }
            (Step::Earliest(base), Message::Topic { earliest, .. }) => {
                known.learn(|facts| facts.earliest = *earliest);
                known.give_segment(base, Ok(None));
            }
            // Its former life's subscriptions are gone, and there may be room again when others' are.
            (Step::Subscribe, Message::Failure { code: SubscriptionLimit, .. }) => {
                self.again_at = Some(Instant::now() + TRY_AGAIN);
            }
            (_, Message::Failure { code, .. }) if passes(*code) => self.again_at = Some(Instant::now() + TRY_AGAIN),
            (_, Message::Failure { text, .. }) => give_up(&known, text.clone()),
            (_, other) => give_up(&known, format!("the broker answered with {}; upgrade the older one", other.name())),
        }
    }

    fn subscribed_again(&mut self, known: &Partition, journal: u64, earliest: Position, berth: Berth) {
        if journal == self.journal {
            self.is_subscribed = true;
            known.learn(|facts| {
                facts.earliest = earliest;
                facts.berth = Some(Arc::new(berth));
                facts.held.clear();
                // An answer that was still to come is lost: the cursor asks again.
                facts.segment = None;
            });
            self.want_list();
        } else {
            let former = self.journal;
            give_up(known, format!("its journal is {journal:016x} now and was {former:016x}; open a new subscriber"));
        }
    }

    /// Parts of the list, until it is whole: then the rings of the newest and of the one that is read, and the epoch
    /// that comes next.
    fn listed(&mut self, known: &Partition, epochs: &[EpochStart]) {
        let is_whole = epochs.len() < EPOCHS_MAX;
        self.starts.extend(epochs);
        if !is_whole {
            return self.want_list();
        }
        let starts = std::mem::take(&mut self.starts);
        let newest = starts.last().map_or(self.newest, |start| start.epoch);
        let news = starts.into_iter().filter(|start| start.epoch > self.newest);
        let read = known.learn(|facts| {
            news.for_each(|start| facts.epochs.push(start));
            facts.is_complete = true;
            facts.asked.epoch
        });
        self.newest = newest;
        self.want_next();
        if let Some(epoch) = read.filter(|epoch| *epoch != newest) {
            self.want_epoch(epoch);
        }
        self.want_epoch(newest);
    }

    /// Only the rings of the newest epoch and of the one that is read are kept mapped.
    fn learn_epoch(&mut self, known: &Partition, start: EpochStart, held: Held) {
        let is_new = start.epoch > self.newest;
        self.newest = self.newest.max(start.epoch);
        let newest = self.newest;
        known.learn(|facts| {
            if is_new {
                facts.epochs.push(start);
            }
            let read = facts.asked.epoch;
            let is_kept = |epoch: &Epoch, held: &Held| match held {
                Held::Ring(_) => *epoch == newest || Some(*epoch) == read,
                _ => true,
            };
            facts.held.retain(|epoch, held| is_kept(epoch, held));
            facts.held.insert(start.epoch, held);
        });
        if is_new {
            self.want_next();
        }
    }

    fn want(&mut self, step: Step, message: Message) {
        self.wanted.push((message, step));
    }

    fn want_list(&mut self) {
        let from = Epoch(self.starts.last().map_or(self.newest, |start| start.epoch).0 + 1);
        self.want(Step::List, Message::ListEpochs { partition: self.partition, from, topic: self.topic.clone() });
    }

    fn want_epoch(&mut self, epoch: Epoch) {
        if epoch > Epoch(0) && !self.opening.contains(&epoch) {
            self.opening.push(epoch);
            let (partition, topic) = (self.partition, self.topic.clone());
            self.want(Step::Open(epoch), Message::OpenEpoch { partition, epoch, wait: false, topic });
        }
    }

    fn want_next(&mut self) {
        let (partition, epoch, topic) = (self.partition, Epoch(self.newest.0 + 1), self.topic.clone());
        self.want(Step::Await, Message::OpenEpoch { partition, epoch, wait: true, topic });
    }
}

fn give_up(known: &Partition, why: String) {
    known.learn(|facts| facts.unreadable = Some(why));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::Facts;

    #[test]
    fn what_a_reader_wants_while_the_broker_is_away_is_asked_for_once_it_is_subscribed_again() {
        let known = Partition::new(Facts::default(), None);
        let mut reading = Reading::new("md", 0, 7, &known);
        while reading.next_want().is_some() {}
        assert!(known.take_segment(Position(0)).is_err(), "it would block");
        reading.begin_again();
        assert!(matches!(reading.next_want(), Some((Message::OpenSubscriber { .. }, Step::Subscribe))));
        assert!(reading.next_want().is_none(), "the broker does not know of it yet");
        reading.is_subscribed = true;
        assert!(matches!(reading.next_want(), Some((Message::OpenSegment { .. }, _))));
    }
}
