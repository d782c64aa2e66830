//! The messages as values of their own, in the bytes of [`schema`].

use std::convert::Infallible;

use oyez_ring::{Epoch, EpochStart, Position, Sequence};
use oyez_sbe_runtime::Error;

use crate::schema::known::{self, Durability, FailureCode, Refusal};
use crate::{TEXT_BYTES_MAX, VERSION, schema};

/// Most entries in one `Epochs`.
pub const EPOCHS_MAX: usize = 1_500;

/// A message with the number that ties an answer to its request. Messages that answer nothing and want no answer carry 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Chosen by the client, echoed by the broker; or the other way round, from
    /// [`CORRELATION_OF_BROKER`](crate::CORRELATION_OF_BROKER) on.
    pub correlation: u64,
    /// What is said.
    pub message: Message,
}

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

/// Why some bytes are not a message of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end too early, are of another schema, or say what this build does not know.
    #[error(transparent)]
    Codec(#[from] Error),
    /// Bytes are left over in a message of our own version, behind its block or its end.
    #[error("{extra} bytes too many for template {template}; the sender is broken")]
    Trailing {
        /// Template id of the message.
        template: u16,
        /// Bytes too many.
        extra: usize,
    },
    /// A text is not UTF-8 or is longer than the limit.
    #[error("a text of {length} bytes is not UTF-8 or longer than {TEXT_BYTES_MAX} bytes; the sender is broken")]
    Text {
        /// Length in bytes.
        length: usize,
    },
}

/// `Name = module of the schema { fields } [group of its entries' field: type] (texts)`, as in the schema, but for
/// `correlation`. What is missing here or there, or has another primitive, does not compile.
macro_rules! messages {
    ($($name:ident = $module:ident { $($field:ident: $type:ty),* }
        $([$group:ident of $entry:ident: $entry_type:ty])? $(($($text:ident),+))?)+) => {
        /// Everything that can be said.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "the schema says what a field means")]
        pub enum Message {
            $(
                #[doc = concat!("Said of it in the schema: [`", stringify!($module), "`](schema::", stringify!($module), ")")]
                $name { $($field: $type,)* $($group: Vec<$entry_type>,)? $($($text: String,)+)? },
            )+
        }

        impl Message {
            /// The name in the schema.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Message::$name { .. } => stringify!($name),)+ }
            }

            fn encode(&self, correlation: u64) -> Result<Vec<u8>, Error> {
                match self { $(
                    Message::$name { $($field,)* $($group,)? $($($text,)+)? } => {
                        let length = schema::$module::MESSAGE_BYTES_MIN
                            $(+ $group.len() * schema::$module::$group::BLOCK_BYTES)? $($(+ cut($text).len())+)?;
                        let mut bytes = vec![0; length];
                        let fields = schema::$module::Fields { correlation, $($field: (*$field).into()),* };
                        let rest = schema::$module::encode(&mut bytes, &fields)?;
                        $(
                            let mut entries = rest.$group()?;
                            for $entry in $group {
                                entries = entries.push(&schema::$module::$group::Fields { $entry: (*$entry).into() })?;
                            }
                            let rest = entries.end()?;
                        )?
                        $($(let rest = rest.$text(cut($text))?;)+)?
                        let written: usize = rest;
                        debug_assert_eq!(written, bytes.len());
                        Ok(bytes)
                    }
                )+ }
            }
        }

        impl Packet {
            /// The packet of a message, and how many bytes are there that this build does not know.
            fn of(message: schema::Message<'_>, block_bytes: usize) -> Result<(Packet, usize), DecodeError> {
                match message { $(
                    schema::Message::$name(message) => {
                        let _rest = message;
                        $(
                            let entries = _rest.$group()?;
                            let $group = entries.into_iter().map(|entry| Ok(<$entry_type>::try_from(entry.$entry())?));
                            let $group = $group.collect::<Result<_, DecodeError>>()?;
                            let _rest = entries.end();
                        )?
                        $($(let ($text, _rest) = _rest.$text()?;)+)?
                        let later = block_bytes.saturating_sub(schema::$module::BLOCK_BYTES);
                        let extra = later + message.skip()?.rest().len();
                        let correlation = message.correlation();
                        let message = Message::$name {
                            $($field: message.$field().try_into()?,)* $($group,)? $($($text: text($text)?,)+)?
                        };
                        Ok((Packet { correlation, message }, extra))
                    }
                )+ }
            }
        }
    };
}

messages! {
    Hello = hello { version: u16 } (name)
    OpenPublisher = open_publisher { partition: u16, standby: bool } (topic)
    Mapped = mapped { partition: u16 } (topic)
    Release = release { partition: u16, epoch: Epoch } (topic)
    Reclaim = reclaim { partition: u16, epoch: Epoch } (topic)
    OpenSubscriber = open_subscriber { partition: u16 } (topic)
    OpenEpoch = open_epoch { partition: u16, epoch: Epoch, wait: bool } (topic)
    OpenSegment = open_segment { partition: u16, position: Position } (topic)
    ListEpochs = list_epochs { partition: u16, from: Epoch } (topic)
    DescribeTopic = describe_topic { partition: u16 } (topic)
    DescribeTopicAt = describe_topic_at { index: u16 }
    OpenSchema = open_schema { index: u16 } (topic)
    OpenStat = open_stat {}
    PlanCatalog = plan_catalog { apply: bool } (path)
    Failure = failure { code: FailureCode } (text)
    Welcome = welcome { version: u16, pid: u32 } (broker, build)
    RingOffer = ring_offer { partition: u16, capacity: u64 } (topic)
    Granted = granted {
        epoch: Epoch, position: Position, sequence: Sequence, time_ns: u64, durability: Durability, binding: Binding
    } [templates of template: u16]
    NotGranted = not_granted { refusal: Refusal, pid: u32, uid: u32 } (holder)
    Released = released { epoch: Epoch, end: Position, sequence: Sequence }
    Reclaimed = reclaimed { epoch: Epoch, binding: Binding } [templates of template: u16]
    Subscribed = subscribed {
        newest: Epoch, capacity: u64, durability: Durability, journal: u64, segment_bytes: u64, earliest: Position
    }
    EpochOpened = epoch_opened { start: EpochStart, capacity: u64 }
    EpochClosed = epoch_closed { start: EpochStart, end: Position, end_sequence: Sequence }
    EpochNotYet = epoch_not_yet { newest: Epoch }
    SegmentOpened = segment_opened { base: Position }
    Epochs = epochs { newest: Epoch, end: Position, end_sequence: Sequence } [epochs of start: EpochStart]
    Topic = topic {
        index: u16, count: u16, partitions: u16, partition: u16, capacity: u64, durability: Durability, retention_h: u32,
        may_publish: bool, may_subscribe: bool, newest: Epoch, owner_pid: u32, owner_uid: u32, earliest: Position,
        written: Position, durable: Position, binding: Binding
    } [templates of template: u16] (topic, schema, owner, state)
    SchemaOpened = schema_opened { version: u16, count: u16 } (schema)
    StatOpened = stat_opened { bytes: u64 }
    CatalogPlanned = catalog_planned { bytes: u64 }
    Closing = closing {}
    Withdraw = withdraw { partition: u16 } (topic)
    TakeOver = take_over { partition: u16, epoch: Epoch } (topic)
    OwnerKilled = owner_killed { pid: u32, uid: u32 } (holder)
    OpenIngress = open_ingress { partition: u16 } (topic, origin)
    IngressOpened = ingress_opened {
        publisher: u16, number: u64, number_epoch: Epoch, capacity: u64, tail: Position, message_bytes_max: u64,
        epoch: Epoch, start: Position, position: Position, sequence: Sequence, durability: Durability, binding: Binding
    } [templates of template: u16]
    CloseIngress = close_ingress { partition: u16 } (topic, origin)
    IngressClosed = ingress_closed { number: u64 }
    Renew = renew { partition: u16 } (topic)
    Renewed = renewed { epoch: Epoch }
    HandOver = hand_over { epoch: Epoch }
}

impl Message {
    /// How many descriptors travel with the message: no more, no fewer.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Message::Subscribed { .. } | Message::IngressOpened { .. } => 3,
            Message::RingOffer { .. } | Message::EpochOpened { .. } => 2,
            Message::Reclaimed { .. }
            | Message::SegmentOpened { .. }
            | Message::SchemaOpened { .. }
            | Message::StatOpened { .. }
            | Message::CatalogPlanned { .. } => 1,
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
    /// The bytes of the message, header included. Texts longer than [`TEXT_BYTES_MAX`] are cut.
    ///
    /// # Panics
    /// A group has more than 65,535 entries, which is beyond any packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.message.encode(self.correlation).expect("the buffer has the message's length")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The bytes are not a whole message of this protocol.
    pub fn decode(bytes: &[u8]) -> Result<Packet, DecodeError> {
        let (header, _) = schema::header(bytes)?;
        let (packet, extra) = Packet::of(schema::Message::decode(bytes)?, header.block_length.into())?;
        match extra {
            0 => Ok(packet),
            // A later version may say more, in a longer block or at the end; our own says nothing that is not known.
            _ if header.version > VERSION => Ok(packet),
            _ => Err(DecodeError::Trailing { template: header.template_id, extra }),
        }
    }
}

/// As much of a text as is sent.
fn cut(text: &str) -> &[u8] {
    let fits = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|&length| text.is_char_boundary(length));
    &text.as_bytes()[..fits.unwrap_or(0)]
}

/// A text that was received.
fn text(bytes: &[u8]) -> Result<String, DecodeError> {
    match str::from_utf8(bytes) {
        Ok(text) if bytes.len() <= TEXT_BYTES_MAX => Ok(text.to_owned()),
        _ => Err(DecodeError::Text { length: bytes.len() }),
    }
}

/// A number is what it is on the wire.
impl From<Infallible> for DecodeError {
    fn from(never: Infallible) -> DecodeError {
        match never {}
    }
}

impl From<bool> for schema::Boolean {
    fn from(yes: bool) -> schema::Boolean {
        if yes { schema::Boolean::YES } else { schema::Boolean::NO }
    }
}

impl TryFrom<schema::Boolean> for bool {
    type Error = Error;

    fn try_from(value: schema::Boolean) -> Result<bool, Error> {
        Ok(known::Boolean::try_from(value)? == known::Boolean::Yes)
    }
}

impl From<EpochStart> for schema::EpochStart {
    fn from(start: EpochStart) -> schema::EpochStart {
        schema::EpochStart {
            epoch: start.epoch.into(),
            position: start.position.into(),
            sequence: start.sequence.into(),
            time_ns: start.time_ns,
            previous_end: start.previous_end.into(),
        }
    }
}

impl From<schema::EpochStart> for EpochStart {
    fn from(start: schema::EpochStart) -> EpochStart {
        EpochStart {
            epoch: start.epoch.into(),
            position: start.position.into(),
            sequence: start.sequence.into(),
            time_ns: start.time_ns,
            previous_end: start.previous_end.into(),
        }
    }
}

impl From<Binding> for schema::Binding {
    fn from(binding: Binding) -> schema::Binding {
        let Binding { schema_id, version_min, version_max } = binding;
        schema::Binding { schema_id, version_min, version_max }
    }
}

impl From<schema::Binding> for Binding {
    fn from(binding: schema::Binding) -> Binding {
        let schema::Binding { schema_id, version_min, version_max } = binding;
        Binding { schema_id, version_min, version_max }
    }
}
