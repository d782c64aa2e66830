//! What a subscriber is given, and where it may start.

use oyez_ring::{Epoch, Origin, Position, Sequence};

/// How far a position has come. Only `Durable` may be called safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Durability {
    /// In shared memory: it outlives the publisher and the broker, not the machine.
    Published = 0,
    /// Taken by kernel or device, not flushed.
    Written = 1,
    /// Flushed and confirmed.
    Durable = 2,
}

impl std::fmt::Display for Durability {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Durability::Published => "published",
            Durability::Written => "written",
            Durability::Durable => "durable",
        })
    }
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the first message published after `open` returned, or shortly before.
    Live,
    /// With the oldest message that is still to be had whole: one that retention, or the writer, has cut is left out.
    Earliest,
    /// With this message. Older than retention: a `Gap` comes first. Not published yet, and not the very next: refused.
    Sequence(Sequence),
    /// With this message, as counted in that epoch: where a later epoch has taken it back, a `Rewound` comes first.
    Resume {
        /// The epoch of the last message that was taken.
        epoch: Epoch,
        /// The message wanted next.
        sequence: Sequence,
    },
    /// With the first message published at or after this time, ns since 1970 UTC.
    Time(u64),
}

/// Which of a subscriber's topics, and of its partitions: counts them from 0 in the order in which its builder named them,
/// those of `all_partitions` one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIndex(pub usize);

/// Something that happened in one partition of a topic. Within it events come in order; between two there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The topic.
    pub topic: TopicIndex,
    /// Its partition.
    pub partition: u16,
    /// What happened.
    pub kind: EventKind<'a>,
}

/// A message as it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The epoch it was published in. (epoch, sequence) names it for ever.
    pub epoch: Epoch,
    /// Its number in the partition.
    pub sequence: Sequence,
    /// The end of its last frame, as [`crate::Published::position`] is.
    pub position: Position,
    /// Publish time, ns since 1970 UTC; never less than the message's before it.
    pub time_ns: u64,
    /// Who handed it in, and that publisher's own number of it; `None` where the topic has one publisher at a time.
    pub origin: Option<Origin>,
    /// SBE message header and body: a copy of the subscriber's own, valid for the call.
    pub bytes: &'a [u8],
}

/// The kinds of events. Bounds are half-open: `from` is what was expected, `to` is what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A message.
    Message(Message<'a>),
    /// The next epoch begins: the one before was read to its end.
    Epoch {
        /// The epoch that begins.
        epoch: Epoch,
        /// The number of its first message.
        sequence: Sequence,
        /// Where it starts.
        position: Position,
    },
    /// The ring has gone past what was wanted. In a recorded topic nothing is lost: the journal is read from here on,
    /// until `CaughtUp`. In an unrecorded one a `Gap` follows.
    Lapped {
        /// The message wanted next.
        sequence: Sequence,
    },
    /// Reads live, from the ring; or all there is of a topic that has no owner now. Comes once after every start and
    /// once after every `Lapped`.
    CaughtUp {
        /// The message that comes next; after a start at a time that is still to come, not before this one.
        sequence: Sequence,
    },
    /// Messages `from <= n < to` are not to be had.
    Gap {
        /// The first one missing.
        from: Sequence,
        /// The message that comes next.
        to: Sequence,
        /// Why.
        cause: GapCause,
    },
    /// After a power cut the partition was rolled back to what had been written: messages `to <= n < from`, where they
    /// were seen, never happened, and their numbers are given again in a later epoch.
    Rewound {
        /// The message that was expected.
        from: Sequence,
        /// The message that comes next.
        to: Sequence,
    },
}

/// Why messages are not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapCause {
    /// Overwritten in the ring of an unrecorded topic.
    Lapped,
    /// Older than what the journal keeps.
    Retention,
    /// Damaged on disk; the broker's report names the remedy.
    Corrupt,
    /// Never recorded, or gone with the memory of an unrecorded epoch.
    Lost,
}
