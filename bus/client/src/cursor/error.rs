//! Why a cursor cannot go on.

use oyez_ring::{Epoch, Invalid, Position, Sequence};

/// What went wrong in the journal, in its own words.
pub type JournalFailure = Box<dyn std::error::Error + Send + Sync>;

/// Why a cursor cannot go on. Polling again finds the same again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The start asks for a message that nobody has published.
    #[error("message {wanted} was never published, the next one is {next}; start at {next} or below")]
    Ahead {
        /// The message asked for.
        wanted: Sequence,
        /// The message that comes next.
        next: Sequence,
    },
    /// The start names an epoch that never was.
    #[error(
        "epoch {wanted} never was, the newest is {newest}; it belongs to another journal: start at a sequence or a time"
    )]
    UnknownEpoch {
        /// The epoch asked for.
        wanted: Epoch,
        /// The newest one.
        newest: Epoch,
    },
    /// A frame that no honest writer makes, or of a kind that this build does not know.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The journal cannot be read.
    #[error("the journal cannot be read at position {position}: {source}")]
    Journal {
        /// Where.
        position: Position,
        /// Why, and what to do.
        source: JournalFailure,
    },
}
