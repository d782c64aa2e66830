//! A bus within one process, without a broker: for the unit tests of its users.
//!
//! The same rings, the same cursor, the same events; nothing is recorded, so a reader that is slower than its ring is
//! lapped and told so.

use crate::cursor::{Held, Ring};
use crate::partition::{Attached, Facts, Partition};
use crate::publisher::{Granted, News, Ownership, Reign};
use crate::{Binding, BusError, Durability, HeaderCheck, PublishError, Publisher, TopicInfo};
use oyez_ring::layout::RING_BYTES_MAX;
use oyez_ring::{
    BLOCK, Control, ControlMut, Epoch, EpochStart, Memory, Position, RegionMut, Sequence, State, Tail, Writer,
    write_head,
};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

/// Rings of ended epochs that are kept for readers that are not there yet.
const ENDED_RINGS_MAX: usize = 4;
const RING_BYTES: u64 = 1 << 20;
/// As in a catalog.
const PARTITIONS_MAX: u16 = 64;

/// A topic of an in-process bus.
#[derive(Clone, Debug)]
pub struct Topic {
    name: String,
    partitions: u16,
    ring_bytes: u64,
    binding: Option<Binding>,
}

impl Topic {
    /// A topic with one partition, a ring of 1 MiB, and any messages.
    pub fn new(name: &str) -> Topic {
        Topic { name: name.to_owned(), partitions: 1, ring_bytes: RING_BYTES, binding: None }
    }

    /// As many partitions, 1 to 64, each with a ring of its own.
    pub fn partitions(mut self, partitions: u16) -> Topic {
        self.partitions = partitions;
        self
    }

    /// Another size of the ring: a power of two, from 128 KiB to 1 GiB. A message may have a quarter of it.
    pub fn ring_bytes(mut self, ring_bytes: u64) -> Topic {
        self.ring_bytes = ring_bytes;
        self
    }

    /// Only messages that this allows; without it, any.
    pub fn binding(mut self, binding: Binding) -> Topic {
        self.binding = Some(binding);
        self
    }
}

/// All topics of an in-process bus.
pub(crate) struct InProcess {
    topics: Vec<Declared>,
}

struct Declared {
    info: TopicInfo,
    partitions: Vec<OnePartition>,
}

/// One partition: what its readers know, and its owner.
struct OnePartition {
    facts: Arc<Partition>,
    owned: Arc<Mutex<Owned>>,
}

/// Who owns, and where the next epoch begins.
struct Owned {
    control: Option<ControlMut>,
    next: EpochStart,
}

impl InProcess {
    pub(crate) fn new(topics: &[Topic]) -> Result<InProcess, BusError> {
        let mut declared: Vec<Declared> = Vec::with_capacity(topics.len());
        for topic in topics {
            let refuse = |what| Err(BusError::Declaration { topic: topic.name.clone(), what });
            if !topic.ring_bytes.is_power_of_two() || !(2 * BLOCK..=RING_BYTES_MAX).contains(&topic.ring_bytes) {
                return refuse("its ring is not a power of two between 128 KiB and 1 GiB; choose one");
            }
            if !(1..=PARTITIONS_MAX).contains(&topic.partitions) {
                return refuse("it has no partitions, or more than 64; choose 1 to 64");
            }
            if declared.iter().any(|other| other.info.name == topic.name) {
                return refuse("declared twice; name each topic once");
            }
            declared.push(Declared {
                info: TopicInfo::in_process(&topic.name, topic.partitions, topic.ring_bytes, topic.binding.clone()),
                partitions: (0..topic.partitions).map(|_| OnePartition::new()).collect(),
            });
        }
        Ok(InProcess { topics: declared })
    }

    pub(crate) fn topics(&self) -> Vec<TopicInfo> {
        self.topics.iter().map(|topic| topic.info.clone()).collect()
    }

    pub(crate) fn describe(&self, topic: &str, partition: u16) -> Result<TopicInfo, BusError> {
        Ok(self.find(topic, partition)?.0.clone())
    }

    pub(crate) fn attach(&self, topic: &str, partition: u16) -> Result<(TopicInfo, Attached), BusError> {
        let (info, OnePartition { facts, .. }) = self.find(topic, partition)?;
        Ok((info.clone(), Attached::new(Arc::clone(facts), None)))
    }

    pub(crate) fn publisher(&self, topic: &str, partition: u16) -> Result<Publisher, PublishError> {
        let (info, OnePartition { facts, owned }) = self.find(topic, partition)?;
        let mut owned_now = owned.lock().unwrap_or_else(PoisonError::into_inner);
        if owned_now.control.is_some() {
            let why = "another publisher of this process owns it".to_owned();
            return Err(PublishError::NotGranted { topic: topic.to_owned(), partition, why });
        }
        let start = owned_now.next;
        let memory = RegionMut::heap(Memory::len_bytes(info.ring_bytes) as usize);
        let tail = write_head(&memory, info.ring_bytes, &start, oyez_mem::clock::now_ns());
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), start.position, Position(u64::MAX));
        let ring = Ring { memory: Memory::new(memory.reader(), info.ring_bytes), control: control.reader() };
        let writer = Writer::new(memory, info.ring_bytes, control.reader(), start.epoch, tail);
        owned_now.control = Some(control);
        facts.learn(|facts| {
            facts.epochs.push(start);
            facts.held.insert(start.epoch, Held::Ring(ring));
        });
        Ok(Publisher::new(Granted {
            topic: topic.into(),
            partition,
            // Nobody renews an epoch here.
            reign: Reign::new(
                start.epoch,
                Durability::Published,
                HeaderCheck::new(info.binding.clone()),
                writer,
                |writer| oyez_mem::seat(writer).0,
            ),
            signal: Arc::new(AtomicU64::new(0)),
            ownership: Box::new(Given { owned: Arc::clone(owned), partition: Arc::clone(facts) }),
        }))
    }

    fn find(&self, topic: &str, partition: u16) -> Result<(&TopicInfo, &OnePartition), BusError> {
        let declared = self.topics.iter().find(|declared| declared.info.name == topic);
        let found =
            declared.and_then(|declared| Some((&declared.info, declared.partitions.get(usize::from(partition))?)));
        found.ok_or_else(|| {
            let names: Vec<_> = self.topics.iter().map(|declared| declared.info.name.as_str()).collect();
            let topic = if partition == 0 { topic.to_owned() } else { format!("{topic}, partition {partition}") };
            BusError::NotDeclared { topic, declared: format!("{names:?}") }
        })
    }
}

impl OnePartition {
    /// Without an owner, at its beginning.
    fn new() -> OnePartition {
        let next = EpochStart {
            epoch: Epoch(1),
            position: Position(0),
            sequence: Sequence(0),
            time_ns: 0,
            previous_end: Position(0),
        };
        OnePartition {
            facts: Partition::new(Facts { is_complete: true, ..Facts::default() }, None),
            owned: Arc::new(Mutex::new(Owned { control: None, next })),
        }
    }
}

/// What an in-process publisher gives back.
struct Given {
    owned: Arc<Mutex<Owned>>,
    partition: Arc<Partition>,
}

impl Ownership for Given {
    fn news(&mut self) -> Option<News> {
        None
    }

    fn release(&mut self, tail: Tail, _: bool) -> Result<(), BusError> {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(control) = owned.control.take() else { return Ok(()) };
        control.set_end(tail.position);
        control.set_state(State::Ended);
        owned.next = EpochStart {
            epoch: Epoch(owned.next.epoch.0 + 1),
            position: tail.position.next_block(),
            sequence: tail.sequence,
            time_ns: tail.time_ns,
            previous_end: tail.position,
        };
        self.partition.learn(|facts| close_oldest(facts, tail.sequence));
        Ok(())
    }
}

/// Lets go of the rings that are one too many; `sequence` comes after the newest epoch.
fn close_oldest(facts: &mut Facts, sequence: Sequence) {
    let closed = facts.epochs.iter().len().saturating_sub(ENDED_RINGS_MAX);
    for start in facts.epochs.iter().take(closed) {
        let next = facts.epochs.ended_by(start.epoch);
        let (end, sequence) = next.map_or((start.position, sequence), |next| (next.previous_end, next.sequence));
        facts.held.insert(start.epoch, Held::Closed { end, sequence });
    }
}
