//! What a subscriber is given, and where it may start.

use crate::argument::SizedStruct;
use crate::error::Failure;
use oyez::{Durability, Epoch, Event, EventKind, GapCause, Message, Sequence, Start, TopicIndex};

/// In shared memory: it outlives the publisher and the broker, not the machine.
pub const OYEZ_PUBLISHED: i32 = 0;
/// Taken by kernel or device, not flushed.
pub const OYEZ_WRITTEN: i32 = 1;
/// Flushed and confirmed. Only this may be called safe.
pub const OYEZ_DURABLE: i32 = 2;

/// With the first message published after the call returned, or shortly before.
pub const OYEZ_START_LIVE: i32 = 0;
/// With the oldest message that is still to be had.
pub const OYEZ_START_EARLIEST: i32 = 1;
/// With the message of that sequence. Older than retention: a gap comes first. Beyond the next one: OYEZ_ERR_AHEAD.
pub const OYEZ_START_SEQUENCE: i32 = 2;
/// With the message of that sequence as counted in that epoch, which is that of the last message taken: where a later
/// epoch has taken it back, OYEZ_EVENT_REWOUND comes first.
pub const OYEZ_START_RESUME: i32 = 3;
/// With the first message published at or after that time, ns since 1970 UTC.
pub const OYEZ_START_TIME: i32 = 4;

/// A message.
pub const OYEZ_EVENT_MESSAGE: i32 = 0;
/// The next epoch begins, with `sequence` at `position`; the one before was read to its end.
pub const OYEZ_EVENT_EPOCH: i32 = 1;
/// The ring has gone past `sequence`, which is wanted next. In a recorded topic nothing is lost: the journal is read from
/// here on, until OYEZ_EVENT_CAUGHT_UP. In another one a gap follows.
pub const OYEZ_EVENT_LAPPED: i32 = 2;
/// Reads live from here on, and `sequence` comes next. Once after every start, and once after every OYEZ_EVENT_LAPPED.
pub const OYEZ_EVENT_CAUGHT_UP: i32 = 3;
/// The messages from `sequence` up to, but not including, `to_sequence` are not to be had; `cause` says why.
pub const OYEZ_EVENT_GAP: i32 = 4;
/// After a power cut the partition was rolled back: the messages from `to_sequence` up to, but not including, `sequence`
/// never happened, where they were seen, and their numbers are given again.
pub const OYEZ_EVENT_REWOUND: i32 = 5;

/// Overwritten in the ring of a topic that is not recorded.
pub const OYEZ_GAP_LAPPED: i32 = 1;
/// Older than what the journal keeps.
pub const OYEZ_GAP_RETENTION: i32 = 2;
/// Damaged on disk; the broker's report names the remedy.
pub const OYEZ_GAP_CORRUPT: i32 = 3;
/// Never recorded, or gone with the memory of an epoch that was not recorded.
pub const OYEZ_GAP_LOST: i32 = 4;

/// Something that happened in one of a subscriber's topics. Within a topic events come in order, and every message comes
/// exactly once, or an event says with exact bounds what is missing; between topics there is no order. Fields that mean
/// nothing for a kind are 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_event {
    /// Bytes of this struct.
    pub struct_size: u32,
    /// One of OYEZ_EVENT_…; pass over what you do not know.
    pub kind: i32,
    /// Which subscription: counts those given to `oyez_subscriber_open`, from 0, OYEZ_ALL_PARTITIONS as many.
    pub topic: u32,
    /// The epoch of the message, or the one that begins. (epoch, sequence) names a message for ever.
    pub epoch: u32,
    /// The number of the message in its partition; else what was to come next.
    pub sequence: u64,
    /// The end of a gap, or where a rewound partition goes on.
    pub to_sequence: u64,
    /// The end of the message's frame, as `oyez_published` has it; or where the epoch starts.
    pub position: u64,
    /// Publish time, ns since 1970 UTC; never less than that of the message before.
    pub time_ns: u64,
    /// SBE message header and body, in memory of the subscriber's own.
    pub bytes: *const u8,
    /// How many bytes.
    pub len_bytes: usize,
    /// The partition.
    pub partition: u16,
    /// Schema id in the SBE message header.
    pub schema_id: u16,
    /// Template id in the SBE message header.
    pub template_id: u16,
    /// Schema version in the SBE message header.
    pub schema_version: u16,
    /// One of OYEZ_GAP_….
    pub cause: i32,
    /// 0.
    pub reserved: u32,
    /// Where the topic has many publishers, that publisher's own number of the message.
    pub number: u64,
    /// Where the topic has many publishers, the publisher's number in the catalog; else 0.
    pub publisher: u32,
    /// 0.
    pub reserved_2: u32,
}

// SAFETY: as the trait asks: numbers, and a pointer that nobody follows unasked, behind a size.
unsafe impl SizedStruct for oyez_event {
    const NAME: &'static str = "oyez_event";
    const BYTES_MIN: usize = 80;
}

impl oyez_event {
    /// Of no kind, with nothing in it.
    pub(crate) const EMPTY: oyez_event = oyez_event {
        struct_size: size_of::<oyez_event>() as u32,
        kind: OYEZ_EVENT_MESSAGE,
        topic: 0,
        epoch: 0,
        sequence: 0,
        to_sequence: 0,
        position: 0,
        time_ns: 0,
        bytes: std::ptr::null(),
        len_bytes: 0,
        partition: 0,
        schema_id: 0,
        template_id: 0,
        schema_version: 0,
        cause: 0,
        reserved: 0,
        number: 0,
        publisher: 0,
        reserved_2: 0,
    };

    /// Becomes this message, having been another one or nothing.
    #[inline]
    pub(crate) fn set(&mut self, topic: TopicIndex, partition: u16, message: &Message<'_>) {
        let header = message.bytes.first_chunk().copied().map_or(0, u64::from_le_bytes);
        (self.topic, self.epoch, self.partition) = (topic.0 as u32, message.epoch.0, partition);
        (self.sequence, self.position, self.time_ns) = (message.sequence.0, message.position.0, message.time_ns);
        (self.bytes, self.len_bytes) = (message.bytes.as_ptr(), message.bytes.len());
        (self.template_id, self.schema_id) = ((header >> 16) as u16, (header >> 32) as u16);
        self.schema_version = (header >> 48) as u16;
        let (publisher, number) = message.origin.map_or((0, 0), |of| (of.publisher(), of.number()));
        (self.publisher, self.number) = (publisher.into(), number);
    }

    /// Anything that is no message.
    #[cold]
    pub(crate) fn other(event: &Event<'_>) -> oyez_event {
        let mut other = oyez_event { topic: event.topic.0 as u32, partition: event.partition, ..oyez_event::EMPTY };
        other.control(&event.kind);
        other
    }

    fn control(&mut self, kind: &EventKind<'_>) {
        match *kind {
            EventKind::Epoch { epoch, sequence, position } => {
                (self.kind, self.epoch) = (OYEZ_EVENT_EPOCH, epoch.0);
                (self.sequence, self.position) = (sequence.0, position.0);
            }
            EventKind::Lapped { sequence } => (self.kind, self.sequence) = (OYEZ_EVENT_LAPPED, sequence.0),
            EventKind::CaughtUp { sequence } => (self.kind, self.sequence) = (OYEZ_EVENT_CAUGHT_UP, sequence.0),
            EventKind::Gap { from, to, cause } => {
                (self.kind, self.cause) = (OYEZ_EVENT_GAP, cause_of(cause));
                (self.sequence, self.to_sequence) = (from.0, to.0);
            }
            EventKind::Rewound { from, to } => {
                (self.kind, self.sequence, self.to_sequence) = (OYEZ_EVENT_REWOUND, from.0, to.0);
            }
            // A kind that the ABI has no number for yet.
            _ => self.kind = -1,
        }
    }
}

fn cause_of(cause: GapCause) -> i32 {
    match cause {
        GapCause::Lapped => OYEZ_GAP_LAPPED,
        GapCause::Retention => OYEZ_GAP_RETENTION,
        GapCause::Corrupt => OYEZ_GAP_CORRUPT,
        _ => OYEZ_GAP_LOST,
    }
}

pub(crate) fn durability_of(durability: i32) -> Result<Durability, Failure> {
    match durability {
        OYEZ_PUBLISHED => Ok(Durability::Published),
        OYEZ_WRITTEN => Ok(Durability::Written),
        OYEZ_DURABLE => Ok(Durability::Durable),
        other => Err(Failure::argument(format!("{other} is no durability; take one of OYEZ_PUBLISHED … OYEZ_DURABLE"))),
    }
}

/// `at` is a sequence or a time, as the kind of start has it.
pub(crate) fn start_of(start: i32, epoch: u32, at: u64) -> Result<Start, Failure> {
    match start {
        OYEZ_START_LIVE => Ok(Start::Live),
        OYEZ_START_EARLIEST => Ok(Start::Earliest),
        OYEZ_START_SEQUENCE => Ok(Start::Sequence(Sequence(at))),
        OYEZ_START_RESUME => Ok(Start::Resume { epoch: Epoch(epoch), sequence: Sequence(at) }),
        OYEZ_START_TIME => Ok(Start::Time(at)),
        other => Err(Failure::argument(format!("{other} is no start; take one of OYEZ_START_LIVE … OYEZ_START_TIME"))),
    }
}
