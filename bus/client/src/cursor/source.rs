//! What a cursor reads from: narrow enough that a model can stand for it.

use super::JournalFailure;
use crate::GapCause;
use oyez_journal::Epochs;
use oyez_ring::{Control, Epoch, Frame, Memory, Position, Sequence};

/// One partition, as far as it is known here and now. Nothing blocks on the broker: what is not known yet is said so,
/// is asked for behind the scenes, and [`Source::refresh`] tells when it has come.
pub trait Source {
    /// The way to the journal.
    type Journal: Journal;

    /// Takes over what has come since the last call; whether an answer may differ now. Asked with every poll: one
    /// relaxed load where nothing has come.
    fn refresh(&mut self) -> bool;

    /// Every epoch known.
    fn epochs(&self) -> &Epochs;

    /// What there is of an epoch.
    fn held(&mut self, epoch: Epoch) -> Held;

    /// The journal; `None` where the topic is not recorded.
    fn journal(&mut self) -> Option<&mut Self::Journal>;
}

/// The memory of an epoch's ring and its control page, both to be read.
#[derive(Clone, Debug)]
pub struct Ring {
    /// The ring.
    pub memory: Memory,
    /// What the broker says of it.
    pub control: Control,
}

/// What there is of an epoch beside the journal.
#[derive(Clone, Debug)]
pub enum Held {
    /// Not known yet.
    Unknown,
    /// Its ring.
    Ring(Ring),
    /// It ended, its ring is gone; where it was recorded, it is as durable as its topic is.
    Closed {
        /// The end of its last frame.
        end: Position,
        /// The number of the message after its last.
        sequence: Sequence,
    },
}

/// What to look for in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The oldest block.
    Earliest,
    /// The first block whose last sequence is not below this one.
    Sequence(Sequence),
    /// The first block whose last publish time is not below this one, ns since 1970 UTC.
    Time(u64),
}

/// An answer that may have to come from the broker first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Here it is.
    Ready(T),
    /// Asked for; ask again.
    Pending,
}

/// The journal of one partition, read forward.
pub trait Journal {
    /// The start of the block sought below `limit`, or of the last one where all are below what is sought; `None` where
    /// the journal is empty.
    ///
    /// # Errors
    /// The journal cannot be read.
    fn seek(&mut self, to: Seek, limit: Position) -> Result<Answer<Option<Position>>, JournalFailure>;

    /// Reads on from the start of this block of this epoch.
    fn enter(&mut self, epoch: Epoch, block: Position);

    /// The next message, or frame that is neither a block's opening nor padding, that ends at or below `limit`, up to which
    /// the journal is known to go. A message that is several frames comes as one, or not at all.
    ///
    /// # Errors
    /// The journal cannot be read.
    fn poll(&mut self, limit: Position) -> Result<JournalPoll<'_>, JournalFailure>;

    /// Up to where it has read, past padding and the openings of blocks, too; of a message of which only a part was there,
    /// where it begins.
    fn position(&self) -> Position;
}

/// What a journal found.
#[derive(Debug)]
pub enum JournalPoll<'a> {
    /// The next frame.
    Frame(Frame<'a>),
    /// Nothing more below the limit.
    Empty,
    /// Asked for; ask again.
    Pending,
    /// The journal does not have what stood here; it has something from `resume`, a block's start, on.
    Missing {
        /// Where it can be read again.
        resume: Position,
        /// Why.
        cause: GapCause,
    },
}
