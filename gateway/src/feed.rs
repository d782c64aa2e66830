//! The source of a lane: one topic, in order, and only what is durable.

use oyez::{
    Binding, Bus, Durability, EventKind, Sequence, Start, SubscribeError, Subscriber, TopicInfo, cursor::CursorError,
};

/// One message of the lane's topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The epoch it was published in.
    pub epoch: u32,
    /// Its sequence; dense within the partition.
    pub sequence: u64,
    /// Publish time, nanoseconds since 1970 UTC.
    pub publish_time_ns: u64,
    /// The SBE message: header and body, as published.
    pub bytes: &'a [u8],
}

/// What a feed gives, in the order of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedItem<'a> {
    /// The next message, and the position where its last frame ends: once durable has come there, the message is durable.
    Message(Message<'a>, u64),
    /// The sequences from `from` up to, but without, `to` are not in the journal.
    Gap {
        /// First missing sequence.
        from: u64,
        /// First sequence that follows the gap.
        to: u64,
    },
    /// The topic was rolled back: the sequences from `to` on are given out anew, by a later epoch.
    Rewound {
        /// The sequence the feed would have given next.
        from: u64,
        /// The sequence it goes on with; below `from`.
        to: u64,
    },
}

/// The source of a lane.
///
/// A feed never gives a message above *durable*: what Kafka holds, a power cut must not take from the bus.
pub trait Feed {
    /// Goes to `sequence`, which becomes the next to be given. What lies below the journal's retention is no error,
    /// but a `Gap`; neither is the very next message that will be published.
    ///
    /// # Errors
    /// [`FeedError`].
    fn seek(&mut self, sequence: u64) -> Result<(), FeedError>;

    /// Gives up to `items_max` items to `each` and returns how many were looked at; 0: nothing more is durable at the
    /// moment. Never blocks for longer than it takes to read what is there.
    ///
    /// # Errors
    /// [`FeedError`].
    fn poll(&mut self, items_max: usize, each: &mut dyn FnMut(FeedItem<'_>)) -> Result<usize, FeedError>;

    /// What the topic's messages may be, as the catalog has it now; `None`: anything. Asked after each seek, before
    /// each commit, and for a message that does not fit what was told last.
    ///
    /// # Errors
    /// [`FeedError`].
    fn binding(&mut self) -> Result<Option<Binding>, FeedError>;

    /// The longest message that the topic takes, in bytes. Asked once, when the lane begins.
    ///
    /// # Errors
    /// [`FeedError`].
    fn message_bytes_max(&mut self) -> Result<usize, FeedError>;

    /// Everything below this position is known to be durable. A lane commits nothing above it, so it is asked before
    /// each commit, and the best answer comes from elsewhere than from what bounds `poll`.
    fn durable_position(&mut self) -> u64;
}

/// Why the topic cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The sequence asked for lies beyond the next message to be published.
    #[error("the topic ends at sequence {end}")]
    Ahead {
        /// The next sequence to be published.
        end: u64,
    },
    /// Not now; the lane tries again. The text is the client's.
    #[error("{0}; the lane tries again")]
    Unavailable(String),
    /// Not until something is changed. The text, the client's, says what.
    #[error("{0}")]
    Failed(String),
}

/// A topic of the bus, partition 0, read through the client like by any subscriber: it can hold up no publisher.
pub struct BusFeed {
    bus: Bus,
    topic: String,
    subscriber: Option<Subscriber>,
    durable_position: u64,
}

impl BusFeed {
    /// The feed of `topic`. It is opened by the first [`Feed::seek`], which refuses a topic that is not kept durable.
    pub fn new(bus: Bus, topic: &str) -> BusFeed {
        BusFeed { bus, topic: topic.into(), subscriber: None, durable_position: 0 }
    }
}

impl Feed for BusFeed {
    fn seek(&mut self, sequence: u64) -> Result<(), FeedError> {
        let info = self.bus.describe(&self.topic).map_err(|error| failed(error.into()))?;
        one_partition(&info)?;
        let start = Start::Sequence(Sequence(sequence));
        let subscriber = self.bus.subscriber().topic(&self.topic, start).until(Durability::Durable).open();
        self.subscriber = Some(subscriber.map_err(failed)?);
        Ok(())
    }

    fn poll(&mut self, items_max: usize, each: &mut dyn FnMut(FeedItem<'_>)) -> Result<usize, FeedError> {
        let Some(subscriber) = &mut self.subscriber else { return Ok(0) };
        let polled = subscriber.poll(items_max, |event| match event.kind {
            EventKind::Message(message) => {
                let (epoch, sequence, publish_time_ns) = (message.epoch.0, message.sequence.0, message.time_ns);
                each(FeedItem::Message(
                    Message { epoch, sequence, publish_time_ns, bytes: message.bytes },
                    message.position.0,
                ));
            }
            EventKind::Gap { from, to, .. } => each(FeedItem::Gap { from: from.0, to: to.0 }),
            EventKind::Rewound { from, to } => each(FeedItem::Rewound { from: from.0, to: to.0 }),
            // The rest tells where the reading takes place, not what is read.
            _ => {}
        });
        polled.map_err(failed)
    }

    /// But for the lowest version, which is the publishers' alone: what the journal holds was allowed when it was published.
    fn binding(&mut self) -> Result<Option<Binding>, FeedError> {
        let info = self.bus.describe(&self.topic).map_err(|error| failed(error.into()))?;
        Ok(info.binding.map(|binding| Binding { version_min: 0, ..binding }))
    }

    fn message_bytes_max(&mut self) -> Result<usize, FeedError> {
        self.bus.describe(&self.topic).map(|info| info.message_bytes_max()).map_err(|error| failed(error.into()))
    }

    /// The broker's own word, which does not come by way of the subscriber's bound. Without the broker it stands still.
    fn durable_position(&mut self) -> u64 {
        if let Ok(info) = self.bus.describe(&self.topic) {
            self.durable_position = info.durable.0;
        }
        self.durable_position
    }
}

/// A lane is one order, so it carries one partition: of more it would silently carry the first.
fn one_partition(info: &TopicInfo) -> Result<(), FeedError> {
    let TopicInfo { name, partitions, .. } = info;
    if *partitions == 1 {
        return Ok(());
    }
    Err(FeedError::Failed(format!(
        "topic {name} has {partitions} partitions, a lane carries exactly one; declare a topic with one for the lane"
    )))
}

fn failed(error: SubscribeError) -> FeedError {
    match error {
        SubscribeError::Cursor { source: CursorError::Ahead { next, .. }, .. } => FeedError::Ahead { end: next.0 },
        error if error.is_retriable() => FeedError::Unavailable(error.to_string()),
        error => FeedError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_of_several_partitions_is_refused() {
        let bus = Bus::in_process(&[oyez::Topic::new("md")]).expect("a bus");
        let mut info = bus.describe("md").expect("is there");
        assert_eq!(one_partition(&info), Ok(()));
        info.partitions = 2;
        let told = one_partition(&info).expect_err("is refused").to_string();
        assert!(told.starts_with("topic md has 2 partitions, a lane carries exactly one; declare"), "{told}");
    }
}
