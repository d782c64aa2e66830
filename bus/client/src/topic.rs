//! What the catalog says of a topic, as far as a client needs it.

use crate::{Binding, Durability, binding};
use oyez_protocol::Message as Said;
use oyez_ring::{Position, message_bytes_max};

/// A topic as it is declared, and as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: u16,
    /// The highest durability it keeps: `Published` where it is not recorded.
    pub durability: Durability,
    /// Bytes of a ring.
    pub ring_bytes: u64,
    /// Hours that the journal keeps; 0 where it is not recorded.
    pub retention_h: u32,
    /// What may be published; without a schema anything.
    pub binding: Option<Binding>,
    /// Name of the schema in the catalog; empty without one.
    pub schema: String,
    /// Whether this process may publish.
    pub may_publish: bool,
    /// Whether this process may subscribe.
    pub may_subscribe: bool,
    /// One word on the partition asked for, 0 unless said: `idle`, `owned`, `ending`, `broken`, `journal-failed`, `closing`.
    pub state: String,
    /// Who owns that partition.
    pub owner: Option<Owner>,
    /// Of that partition, the lowest position that the journal has; 0 where there is none.
    pub earliest: Position,
    /// Of that partition, everything below is written.
    pub written: Position,
    /// Of that partition, everything below is durable.
    pub durable: Position,
}

/// The owner of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What it calls itself.
    pub name: String,
}

impl TopicInfo {
    /// The longest message that can be published, in bytes: a quarter of a ring.
    pub fn message_bytes_max(&self) -> usize {
        message_bytes_max(self.ring_bytes)
    }

    /// A topic of an in-process bus.
    pub(crate) fn in_process(name: &str, partitions: u16, ring_bytes: u64, binding: Option<Binding>) -> TopicInfo {
        TopicInfo {
            name: name.to_owned(),
            partitions,
            durability: Durability::Published,
            ring_bytes,
            retention_h: 0,
            binding,
            schema: String::new(),
            may_publish: true,
            may_subscribe: true,
            state: "idle".to_owned(),
            owner: None,
            earliest: Position(0),
            written: Position(0),
            durable: Position(0),
        }
    }

    /// What the broker says, and how many topics there are; `None` where it says something else.
    pub(crate) fn told(said: Said) -> Option<(TopicInfo, u16)> {
        let Said::Topic {
            count,
            partitions,
            capacity,
            durability,
            retention_h,
            may_publish,
            may_subscribe,
            owner_pid,
            owner_uid,
            earliest,
            written,
            durable,
            binding,
            templates,
            topic,
            schema,
            owner,
            state,
            ..
        } = said
        else {
            return None;
        };
        let info = TopicInfo {
            name: topic,
            partitions,
            durability: durability.into(),
            ring_bytes: capacity,
            retention_h,
            binding: binding::told(binding, templates),
            schema,
            may_publish,
            may_subscribe,
            state,
            owner: (owner_pid != 0).then_some(Owner { pid: owner_pid, uid: owner_uid, name: owner }),
            earliest: if earliest == Position(u64::MAX) { Position(0) } else { earliest },
            written,
            durable,
        };
        Some((info, count))
    }
}

impl From<oyez_protocol::Durability> for Durability {
    fn from(said: oyez_protocol::Durability) -> Durability {
        match said {
            oyez_protocol::Durability::Published => Durability::Published,
            oyez_protocol::Durability::Written => Durability::Written,
            oyez_protocol::Durability::Durable => Durability::Durable,
        }
    }
}
