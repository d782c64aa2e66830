//! The target of a lane, as narrow as exactly-once needs it.
//!
//! The order of calls is, again and again, `check`, `fence`, `tail`, `progress`, and any number of transactions: `begin`,
//! `put`…, `put_progress`, then `commit` or `abort`. After an error only `abort` or `check` may follow.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod loopback;

use crate::{Mark, Message};

/// Where a lane goes. One instance serves one lane; all calls come from one thread and may block.
pub trait Sink {
    /// The target's name for people: kind and place. What is not Kafka says so here.
    fn target(&self) -> String;

    /// Proves that the target can hold an exactly-once lane; the answer lists what is allowed but unwise.
    ///
    /// # Errors
    /// [`SinkError::Refused`], with the remedy; [`SinkError::Unknown`] where the target cannot be reached.
    fn check(&mut self) -> Result<Vec<String>, SinkError>;

    /// The longest message that it takes, as the last [`Sink::check`] found.
    fn limit(&self) -> Limit;

    /// Throws any earlier instance of this lane out, this one's own included: transactions it left open are over when
    /// this returns (aborted, or committed if that had been decided), and whatever it still sends is refused.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn fence(&mut self) -> Result<(), SinkError>;

    /// The last committed message. Asked after [`Sink::fence`].
    ///
    /// # Errors
    /// See [`SinkError`]; a record that is not of the lane is [`SinkError::Refused`], and so is an end that is not visible.
    fn tail(&mut self) -> Result<Tail, SinkError>;

    /// The mark committed last by [`Sink::put_progress`]; it outlives the records it tells of.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn progress(&mut self) -> Result<Option<Mark>, SinkError>;

    /// Opens a transaction.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn begin(&mut self) -> Result<(), SinkError>;

    /// Adds a message to the open transaction; nobody sees it before the commit.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn put(&mut self, message: &Message<'_>) -> Result<(), SinkError>;

    /// Adds the lane's progress to the open transaction: its last message.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn put_progress(&mut self, mark: &Mark) -> Result<(), SinkError>;

    /// Commits the transaction: after `Ok` it is visible to readers as a whole.
    ///
    /// # Errors
    /// See [`SinkError`]; where it cannot be told whether the commit took place, [`SinkError::Unknown`].
    fn commit(&mut self) -> Result<(), SinkError>;

    /// Aborts the transaction: after `Ok` no reader will ever see any of it.
    ///
    /// # Errors
    /// See [`SinkError`].
    fn abort(&mut self) -> Result<(), SinkError>;
}

/// The longest message that a target takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its length in bytes.
    pub message_bytes_max: usize,
    /// What has to be raised where it is to take more.
    pub setting: &'static str,
}

/// A message as a target holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The epoch it was published in.
    pub epoch: u32,
    /// Its sequence.
    pub sequence: u64,
    /// Publish time, nanoseconds since 1970 UTC.
    pub publish_time_ns: u64,
    /// The SBE message: header and body.
    pub bytes: Vec<u8>,
}

impl Record {
    /// The same message, borrowed.
    pub fn message(&self) -> Message<'_> {
        let Record { epoch, sequence, publish_time_ns, ref bytes } = *self;
        Message { epoch, sequence, publish_time_ns, bytes }
    }
}

impl From<&Message<'_>> for Record {
    fn from(message: &Message<'_>) -> Record {
        let Message { epoch, sequence, publish_time_ns, bytes } = *message;
        Record { epoch, sequence, publish_time_ns, bytes: bytes.to_vec() }
    }
}

/// The committed end of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// The target never held anything: it is new, or was made anew.
    New,
    /// The target held records, and retention removed them all.
    Removed,
    /// The last committed message.
    Last(Record),
}

/// Why a sink could not do as told; the variants differ in what the lane does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The transaction cannot be committed, but aborted. The lane aborts it and repeats its messages.
    #[error("{target}: {action} failed: {reason}; the lane aborts the transaction and repeats it")]
    Abortable {
        /// The target's name.
        target: String,
        /// What was being done.
        action: &'static str,
        /// The target's own words.
        reason: String,
    },
    /// What became of the call, or of the instance, is not known. The lane fences and reads the tail again.
    #[error("{target}: {action} has no known outcome: {reason}; the lane fences and reads the target's tail again")]
    Unknown {
        /// The target's name.
        target: String,
        /// What was being done.
        action: &'static str,
        /// The target's own words.
        reason: String,
    },
    /// Another instance fenced this one, or the target gave it up. The lane stops: two that fence each other in turn
    /// would help nobody.
    #[error(
        "{target}: another gateway has taken this lane over (seen at {action}), or this one stood still too long; \
         keep one of the two, or start this one again"
    )]
    Fenced {
        /// The target's name.
        target: String,
        /// What was being done.
        action: &'static str,
    },
    /// The target cannot serve as it is. The lane stops.
    #[error("{target}: {reason}")]
    Refused {
        /// The target's name.
        target: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
}
