//! What can go wrong, by operation: each text says the thing, the place and the remedy.

use crate::cursor::CursorError;
use crate::{Durability, Misfit};
use oyez_mem::memory::MemoryError;
use oyez_protocol::{ConnectionError, FailureCode};
use oyez_ring::{BadLength, Epoch, Position};

/// Why the bus could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Nobody listens, or the conversation broke.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The broker has not answered in time.
    #[error(
        "the broker at {socket} has not answered {request} within {timeout_ms} ms; see whether it is stopped or overloaded, or allow more with Connect::timeout"
    )]
    Timeout {
        /// What was asked.
        request: &'static str,
        /// Whom.
        socket: String,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// The broker went away before it answered; this connection goes on as soon as it is back.
    #[error("the broker at {socket} went away; it is connected again as soon as it is back: try again then")]
    Away {
        /// Where it listened.
        socket: String,
    },
    /// The broker says no.
    #[error("{text}")]
    Refused {
        /// For programs.
        code: FailureCode,
        /// For people, with the remedy.
        text: String,
    },
    /// The broker's answer does not belong to the request.
    #[error(
        "the broker answered {request} with {answer}; client and broker are of different builds: upgrade the older one"
    )]
    Answer {
        /// What was asked.
        request: &'static str,
        /// What came.
        answer: &'static str,
    },
    /// What was handed out cannot be trusted, or not be mapped.
    #[error("topic {topic}: {source}")]
    Memory {
        /// Whose memory.
        topic: String,
        /// What is wrong with it.
        source: MemoryError,
    },
    /// The broker serves a topic no longer that was being read.
    #[error("topic {topic} cannot be read any more: {why}")]
    Unreadable {
        /// The topic.
        topic: String,
        /// Why, and what to do.
        why: String,
    },
    /// The kernel refused a step.
    #[error("topic {topic}: cannot {step}: {source}; see the limits of this process (`ulimit -v`, `ulimit -n`)")]
    System {
        /// For which topic.
        topic: String,
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The in-process bus declares no such topic.
    #[error("topic {topic}: not declared on this in-process bus, which has {declared}; add it to Bus::in_process")]
    NotDeclared {
        /// The topic asked for.
        topic: String,
        /// Those there are.
        declared: String,
    },
    /// The in-process bus cannot have a topic like that.
    #[error("topic {topic}: {what}")]
    Declaration {
        /// The topic.
        topic: String,
        /// What is wrong, and what to do.
        what: &'static str,
    },
}

impl BusError {
    /// Whether the same call may succeed later, with nothing changed here.
    pub fn is_retriable(&self) -> bool {
        match self {
            BusError::Connection(error) => !matches!(error, ConnectionError::Decode(_) | ConnectionError::TooLong),
            BusError::Timeout { .. } | BusError::Away { .. } | BusError::System { .. } => true,
            BusError::Refused { code, .. } => matches!(
                code,
                FailureCode::Closing | FailureCode::NoMemory | FailureCode::NoDescriptor | FailureCode::TooManyRequests
            ),
            _ => false,
        }
    }

    /// The opposite of [`BusError::is_retriable`]: something must be changed first.
    pub fn is_fatal(&self) -> bool {
        !self.is_retriable()
    }
}

/// Why a message was not published, a durability not reached, or a publisher not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The partition has an owner, or will be free in a moment.
    #[error("topic {topic}, partition {partition}: {why}; try again, or wait for it with `.wait(..)`")]
    NotGranted {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// Who owns it, or what it is waiting for.
        why: String,
    },
    /// The key's partition is not among those that a keyed publisher owns.
    #[error(
        "topic {topic}, partition {partition}: not owned here; hand messages of such keys to its owner, or open it too with `.partitions(..)`"
    )]
    NotOwned {
        /// The topic.
        topic: String,
        /// The partition of the key.
        partition: u16,
    },
    /// The bus could not be asked, or said no.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Too short or too long.
    #[error("topic {topic}: {source}")]
    Length {
        /// The topic.
        topic: String,
        /// How long, and what fits.
        source: BadLength,
    },
    /// The catalog does not allow that message here.
    #[error("topic {topic}: {misfit}; publish what is allowed, or allow it in the catalog")]
    Misfit {
        /// The topic.
        topic: String,
        /// What was found, and what is allowed.
        misfit: Misfit,
    },
    /// The broker is stopping, or another catalog takes the right to publish away; the partition was released.
    #[error(
        "topic {topic}, partition {partition}, epoch {epoch}: the broker is stopping, or its catalog no longer lets this user publish; see its log, and open a publisher again"
    )]
    Closing {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// The epoch that was released.
        epoch: Epoch,
    },
    /// The epoch is no longer this publisher's.
    #[error(
        "topic {topic}, partition {partition}, epoch {epoch}: {why}; open a publisher again, it goes on in a new epoch"
    )]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// The epoch that was owned.
        epoch: Epoch,
        /// How it was lost.
        why: String,
    },
    /// A write or a flush of the journal failed: nothing above `durable` is safe.
    #[error(
        "topic {topic}, partition {partition}, epoch {epoch}: the journal failed, only what lies below position {durable} is safe; see the broker's report, and open a publisher again once it is repaired"
    )]
    JournalFailed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// The epoch that ended with it.
        epoch: Epoch,
        /// Everything below is safe.
        durable: Position,
    },
    /// The position has not come so far in time; it may yet.
    #[error(
        "topic {topic}, partition {partition}: position {position} is not {durability} after {timeout_ms} ms, only {reached} is; wait again, or see whether the broker's disk keeps up"
    )]
    Timeout {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// What was waited for.
        position: Position,
        /// How far it should have come.
        durability: Durability,
        /// Everything below has come so far.
        reached: Position,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// The broker has not taken what was handed in in time; it may yet.
    #[error(
        "topic {topic}, origin {origin}: message {number} is not accepted after {timeout_ms} ms, only {accepted} is; wait again, or see whether the broker runs and its disk keeps up"
    )]
    NotAccepted {
        /// The topic.
        topic: String,
        /// The name that it was handed in under.
        origin: String,
        /// The publisher's own number of what was waited for.
        number: u64,
        /// That of the last message accepted.
        accepted: u64,
        /// How long it was waited for.
        timeout_ms: u128,
    },
    /// The topic keeps no such durability.
    #[error(
        "topic {topic} keeps messages {kept}, not {asked}; ask for less, or declare `recorded` and `durability` in the catalog"
    )]
    NotKept {
        /// The topic.
        topic: String,
        /// What was asked for.
        asked: Durability,
        /// The highest that it keeps.
        kept: Durability,
    },
}

impl PublishError {
    /// Whether the same call may succeed later, with nothing changed here.
    pub fn is_retriable(&self) -> bool {
        match self {
            PublishError::NotGranted { .. } | PublishError::Timeout { .. } | PublishError::NotAccepted { .. } => true,
            PublishError::Bus(error) => error.is_retriable(),
            _ => false,
        }
    }

    /// Whether this publisher is of no more use: drop it and open another. A message that is refused for itself is
    /// neither fatal nor retriable: the next one may go out.
    pub fn is_fatal(&self) -> bool {
        match self {
            PublishError::Closing { .. } | PublishError::Lost { .. } | PublishError::JournalFailed { .. } => true,
            PublishError::Bus(error) => error.is_fatal(),
            _ => false,
        }
    }
}

/// Why a subscription was not opened, or cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The bus could not be asked, or said no.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// No topic was named.
    #[error("a subscriber without a topic; name at least one with `.topic(..)`")]
    NoTopic,
    /// One sequence for all partitions of a topic, where each counts its own.
    #[error(
        "topic {topic}: a sequence counts within one of its {partitions} partitions; name each with its own start, by `.partition(..)`"
    )]
    OneSequence {
        /// The topic.
        topic: String,
        /// How many it has.
        partitions: u16,
    },
    /// The topic keeps no such durability.
    #[error(
        "topic {topic} keeps messages {kept}, not {asked}; ask for less, or declare `recorded` and `durability` in the catalog"
    )]
    NotKept {
        /// The topic.
        topic: String,
        /// What was asked for.
        asked: Durability,
        /// The highest that it keeps.
        kept: Durability,
    },
    /// The start was not found in time.
    #[error(
        "topic {topic}: the start was not found within {timeout_ms} ms; see whether the broker is stopped or overloaded, or allow more with Connect::timeout"
    )]
    Timeout {
        /// The topic.
        topic: String,
        /// How long it was looked for.
        timeout_ms: u128,
    },
    /// One topic cannot be read on; polling finds the same again, and goes on with the others.
    #[error("topic {topic}, partition {partition}: {source}")]
    Cursor {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u16,
        /// What is wrong.
        source: CursorError,
    },
}

impl SubscribeError {
    /// Whether the same call may succeed later, with nothing changed here.
    pub fn is_retriable(&self) -> bool {
        match self {
            SubscribeError::Timeout { .. } => true,
            SubscribeError::Bus(error) => error.is_retriable(),
            // An epoch whose writer is broken ends; a disk may be mended.
            SubscribeError::Cursor { source, .. } => {
                matches!(source, CursorError::Invalid(_) | CursorError::Journal { .. })
            }
            _ => false,
        }
    }

    /// The opposite of [`SubscribeError::is_retriable`]: something must be changed first.
    pub fn is_fatal(&self) -> bool {
        !self.is_retriable()
    }
}

#[cfg(test)]
mod tests;
