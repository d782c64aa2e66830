//! What a broker that a test plays says of a topic.

use oyez_protocol::{Binding, Durability, Message};
use oyez_ring::{Epoch, Position};

/// Not recorded, of one partition, to be published and read by all; its first epoch has begun.
pub(crate) fn topic_of(topic: String, capacity: u64) -> Message {
    Message::Topic {
        index: 0,
        count: 1,
        partitions: 1,
        partition: 0,
        capacity,
        durability: Durability::Published,
        retention_h: 0,
        may_publish: true,
        may_subscribe: true,
        newest: Epoch(1),
        owner_pid: 0,
        owner_uid: 0,
        earliest: Position(0),
        written: Position(0),
        durable: Position(0),
        binding: Binding::default(),
        templates: Vec::new(),
        topic,
        schema: String::new(),
        owner: String::new(),
        state: "idle".to_owned(),
    }
}
