//! The messages, as an enum, with encoding and decoding in the layout of `oyez-protocol.xml`.

use oyez_ring::{Epoch, EpochStart, Position, Sequence};

use crate::VERSION;
use crate::failure::FailureCode;
use crate::wire::{DecodeError, Field, HEADER_BYTES, Header, Input, Tail};

/// Which messages may be published to a topic, beside the ids of their templates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Binding {
    /// Id of the topic's schema; without one any message may be published. 65535 is SBE's null, and no id.
    pub schema_id: Option<u16>,
    /// Lowest version of the schema.
    pub version_min: u16,
    /// Highest version of the schema.
    pub version_max: u16,
}

/// A message with the number that ties an answer to its request. Messages that answer nothing carry 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Chosen by the client, echoed by the broker.
    pub correlation: u64,
    /// What is said.
    pub message: Message,
}

macro_rules! enumerations {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$value_doc:meta])+ $value:ident = $number:literal,)+ })+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$value_doc])+ $value = $number,)+ }

        impl Field for $name {
            const BYTES: u16 = 1;
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u8).put(out);
            }
            fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                match u8::take(input)? {
                    $($number => Ok($name::$value),)+
                    value => Err(DecodeError::Value { field: stringify!($name), value: value.into() }),
                }
            }
        }
    )+};
}

enumerations! {
    /// How far the recorder takes a topic's frames.
    Durability {
        /// Not recorded at all.
        Published = 0,
        /// Handed to kernel or device, not flushed.
        Written = 1,
        /// Flushed and confirmed.
        Durable = 2,
    }

    /// Why a partition was not granted now. Each of them passes: ask again.
    Refusal {
        /// Another publisher owns it; `pid`, `uid` and `holder` say who.
        Taken = 1,
        /// Its epoch is ending: the former owner's memory is not proven free yet.
        Ending = 2,
        /// The broker is still making a ring, or a segment, or is recovering the journal.
        Preparing = 3,
        /// Another publisher is being given it at this moment.
        Offered = 4,
    }
}

macro_rules! messages {
    ($($(#[$doc:meta])+ $template:literal $name:ident
       { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)* }
       [ $($(#[$tail_doc:meta])+ $tail:ident: $tail_type:ty,)* ])+) => {
        /// Everything that can be said.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Message {
            $($(#[$doc])+ $name {
                $($(#[$field_doc])+ $field: $type,)*
                $($(#[$tail_doc])+ $tail: $tail_type,)*
            },)+
        }

        impl Message {
            /// The template id.
            #[must_use]
            pub fn template(&self) -> u16 {
                match self { $(Message::$name { .. } => $template,)+ }
            }

            /// The name in the schema.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Message::$name { .. } => stringify!($name),)+ }
            }

            fn block_length(&self) -> u16 {
                match self { $(Message::$name { .. } => u64::BYTES $(+ <$type>::BYTES)*,)+ }
            }

            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Message::$name { $($field,)* $($tail,)* } => {
                        $($field.put(out);)*
                        $($tail.put(out);)*
                    })+
                }
            }

            fn take(template: u16, block: &mut Input<'_>, rest: &mut Input<'_>) -> Result<Message, DecodeError> {
                // A message without tail does not touch `rest`.
                let _ = &rest;
                match template {
                    $($template => Ok(Message::$name {
                        $($field: <$type>::take(block)?,)*
                        $($tail: <$tail_type>::take(rest)?,)*
                    }),)+
                    found => Err(DecodeError::Template { found }),
                }
            }
        }
    };
}

messages! {
    /// Client: the first message on a connection. Answer: `Welcome`.
    1 Hello {
        /// Version of the conversation that the client speaks.
        version: u16,
    } [
        /// What the client calls itself, for logs.
        name: String,
    ]

    /// Client: wants to own a partition. Answer: `RingOffer`, `NotGranted` or `Failure`, at once.
    2 OpenPublisher {
        /// Which partition.
        partition: u16,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client, in answer to a `RingOffer` and with its correlation: the memory is mapped and its descriptor closed.
    /// Answer: `Granted` or `Failure`.
    3 Mapped {
        /// Which partition.
        partition: u16,
        /// The epoch offered.
        epoch: Epoch,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: gives its epoch back; it has unmapped the data memory before. Answer: `Released`, once the kernel has
    /// proven the memory free, or `Failure`.
    4 Release {
        /// Which partition.
        partition: u16,
        /// The epoch owned.
        epoch: Epoch,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client, on a new connection: it owned this epoch under the broker's former life and has its memory mapped still.
    /// Answer: `Reclaimed` or `Failure`.
    5 Reclaim {
        /// Which partition.
        partition: u16,
        /// The epoch owned.
        epoch: Epoch,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: wants to read a partition. Answer: `Subscribed` or `Failure`.
    6 OpenSubscriber {
        /// Which partition.
        partition: u16,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: wants the ring of an epoch, after `OpenSubscriber`. Answer: `EpochOpened`, `EpochClosed`, `EpochNotYet`
    /// or `Failure`.
    7 OpenEpoch {
        /// Which partition.
        partition: u16,
        /// Which epoch.
        epoch: Epoch,
        /// For an epoch that does not exist yet: answer when it does, instead of `EpochNotYet`.
        wait: bool,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: wants the segment that holds a position, after `OpenSubscriber`. Answer: `SegmentOpened` or `Failure`.
    8 OpenSegment {
        /// Which partition.
        partition: u16,
        /// Any position in the segment.
        position: Position,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: wants the starts of the epochs. Answer: `Epochs` or `Failure`.
    9 ListEpochs {
        /// Which partition.
        partition: u16,
        /// The lowest epoch wanted.
        from: Epoch,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: wants what the broker knows of a topic. Answer: `Topic` or `Failure`.
    10 DescribeTopic {
        /// Which partition's positions to tell.
        partition: u16,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Client: the same, by place in the catalog, from 0. Answer: `Topic`, which says how many there are, or `Failure`.
    11 DescribeTopicAt {
        /// Place in the catalog.
        index: u16,
    } []

    /// Client: wants the schema of a topic in one version. Answer: `SchemaOpened`, which says how many versions there
    /// are, or `Failure`.
    12 OpenSchema {
        /// Which version, from 0, the oldest first.
        index: u16,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Broker: what is wrong. Answers any request.
    32 Failure {
        /// For programs.
        code: FailureCode,
    } [
        /// For people: the code's own sentence, and what it was about.
        text: String,
    ]

    /// Broker: answers `Hello`.
    33 Welcome {
        /// Version of the conversation that the broker speaks.
        version: u16,
        /// The broker's process.
        pid: u32,
    } [
        /// Name of the broker in the catalog.
        broker: String,
        /// Version of its build.
        build: String,
    ]

    /// Broker: answers `OpenPublisher`. Descriptors: data memory to read and write, control page to read.
    34 RingOffer {
        /// Which partition.
        partition: u16,
        /// The epoch on offer.
        epoch: Epoch,
        /// Bytes of the ring; the data memory is one block longer.
        capacity: u64,
    } [
        /// Which topic.
        topic: String,
    ]

    /// Broker: answers `Mapped`. From here on the client owns the partition.
    35 Granted {
        /// The epoch owned.
        epoch: Epoch,
        /// Where the next frame goes.
        position: Position,
        /// Number of the next message.
        sequence: Sequence,
        /// Publish time of the frame before, ns since 1970; the next is not below it.
        time_ns: u64,
        /// How far the topic is recorded.
        durability: Durability,
        /// Which messages may be published.
        binding: Binding,
    } [
        /// Ids of the templates that may be published; empty: all of the schema.
        templates: Vec<u16>,
    ]

    /// Broker: answers `OpenPublisher`; ask again after a pause.
    36 NotGranted {
        /// Why.
        refusal: Refusal,
        /// Process of the owner, 0 if unknown.
        pid: u32,
        /// User of the owner.
        uid: u32,
    } [
        /// What the owner calls itself.
        holder: String,
    ]

    /// Broker: answers `Release`: the epoch has ended.
    37 Released {
        /// The epoch ended.
        epoch: Epoch,
        /// End of its last frame.
        end: Position,
        /// Number of the next message, in a later epoch.
        sequence: Sequence,
    } []

    /// Broker: answers `Reclaim`. Descriptor: the new control page, to read; the old one says nothing more.
    38 Reclaimed {
        /// The epoch that goes on.
        epoch: Epoch,
        /// Which messages may be published from now on.
        binding: Binding,
    } [
        /// Ids of the templates that may be published; empty: all of the schema.
        templates: Vec<u16>,
    ]

    /// Broker: answers `OpenSubscriber`.
    39 Subscribed {
        /// Newest epoch there is; 0 before the first.
        newest: Epoch,
        /// Bytes of the topic's rings.
        capacity: u64,
        /// How far the topic is recorded.
        durability: Durability,
        /// The journal's random number; 0 when not recorded.
        journal: u64,
        /// Bytes of data in a segment of the journal; 0 when not recorded.
        segment_bytes: u64,
        /// Lowest position the journal has; `u64::MAX` when not recorded.
        earliest: Position,
    } []

    /// Broker: answers `OpenEpoch`. Descriptors, both to read only: data memory, control page.
    40 EpochOpened {
        /// How the epoch began.
        start: EpochStart,
        /// Bytes of the ring; the data memory is one block longer.
        capacity: u64,
    } []

    /// Broker: answers `OpenEpoch`: the epoch has ended and its ring is gone. A recorded one is whole in the journal, as
    /// durable as the topic says, down to the retention limit; of an unrecorded one nothing is left.
    41 EpochClosed {
        /// How the epoch began.
        start: EpochStart,
        /// Where it ended.
        end: Position,
        /// Number of the next message after it.
        end_sequence: Sequence,
    } []

    /// Broker: answers `OpenEpoch` without `wait`: no such epoch yet.
    42 EpochNotYet {
        /// Newest epoch there is; 0 before the first.
        newest: Epoch,
    } []

    /// Broker: answers `OpenSegment`. Descriptor: the segment's file, to read only.
    43 SegmentOpened {
        /// Position of the segment's first byte.
        base: Position,
    } []

    /// Broker: answers `ListEpochs`, ascending, at most 1,500; ask again from the last one's number + 1 for more.
    44 Epochs {
        /// Newest epoch there is; 0 before the first.
        newest: Epoch,
        /// End of the newest; `u64::MAX` while it goes on.
        end: Position,
        /// Number of the next message after it; `u64::MAX` while it goes on.
        end_sequence: Sequence,
    } [
        /// Their starts.
        epochs: Vec<EpochStart>,
    ]

    /// Broker: answers `DescribeTopic` and `DescribeTopicAt`.
    45 Topic {
        /// Place in the catalog, from 0.
        index: u16,
        /// How many topics the catalog has.
        count: u16,
        /// How many partitions the topic has.
        partitions: u16,
        /// Which of them the rest speaks of.
        partition: u16,
        /// Bytes of a ring.
        capacity: u64,
        /// How far the topic is recorded.
        durability: Durability,
        /// Hours that the journal keeps.
        retention_h: u32,
        /// Whether this client may publish.
        may_publish: bool,
        /// Whether this client may subscribe.
        may_subscribe: bool,
        /// Newest epoch; 0 before the first.
        newest: Epoch,
        /// Process of the owner; 0 when there is none.
        owner_pid: u32,
        /// User of the owner.
        owner_uid: u32,
        /// Lowest position the journal has; `u64::MAX` when not recorded.
        earliest: Position,
        /// Written up to here; 0 when not recorded.
        written: Position,
        /// Durable up to here; 0 when not recorded.
        durable: Position,
        /// Which messages may be published.
        binding: Binding,
    } [
        /// Ids of the templates that may be published; empty: all of the schema.
        templates: Vec<u16>,
        /// Name of the topic.
        topic: String,
        /// Name of its schema in the catalog; empty without one.
        schema: String,
        /// What the owner calls itself.
        owner: String,
        /// One word on its state: `idle`, `owned`, `ending`, `broken`, `journal-failed`, `closing`.
        state: String,
    ]

    /// Broker: answers `OpenSchema`. Descriptor: the schema's file, to read only.
    46 SchemaOpened {
        /// Version of the schema in this file.
        version: u16,
        /// How many versions the catalog has.
        count: u16,
    } [
        /// Name of the schema in the catalog.
        schema: String,
    ]

    /// Broker, unasked: it is stopping. Owners release what they own.
    47 Closing {} []
}

/// Most entries in one `Epochs`.
pub const EPOCHS_MAX: usize = 1_500;

impl Message {
    /// How many descriptors travel with the message: no more, no fewer.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Message::RingOffer { .. } | Message::EpochOpened { .. } => 2,
            Message::Reclaimed { .. } | Message::SegmentOpened { .. } | Message::SchemaOpened { .. } => 1,
            _ => 0,
        }
    }

    /// A failure with the code's own sentence, and what it was about.
    #[must_use]
    pub fn failure(code: FailureCode, about: impl std::fmt::Display) -> Message {
        Message::Failure { code, text: format!("{about}: {code}") }
    }
}

impl Packet {
    /// The bytes of the message, header included. Texts longer than [`crate::TEXT_BYTES_MAX`] are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 256);
        let header =
            Header { block_length: self.message.block_length(), template: self.message.template(), version: VERSION };
        header.put(&mut out);
        self.correlation.put(&mut out);
        self.message.put(&mut out);
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not a whole message of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Packet, DecodeError> {
        let mut input = Input::new(bytes);
        let header = Header::take(&mut input)?;
        let mut block = input.block(header.block_length)?;
        let correlation = u64::take(&mut block)?;
        let message = Message::take(header.template, &mut block, &mut input)?;
        // A block of our own version has no room for anything else either.
        block.finish(header)?;
        input.finish(header)?;
        Ok(Packet { correlation, message })
    }
}
