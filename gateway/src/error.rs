//! Why a lane stops, and what it has to say while it goes on.

use crate::FeedError;
use crate::sink::{Limit, SinkError};
use oyez::Misfit;

/// Why a lane stopped. Nothing but a new start, after the remedy, makes it go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The bus no longer has what comes next.
    #[error(
        "gap: the target goes on at sequence {from}, but the bus goes on at {to}; restore [{from}, {to}) into the \
         journal, or make a new target and begin it with `--origin {to}`"
    )]
    Gap {
        /// First missing sequence.
        from: u64,
        /// First sequence that the bus has.
        to: u64,
    },
    /// The bus no longer has the origin of a lane that has not begun.
    #[error("the lane begins at sequence {origin}, but the journal begins at {earliest}; say `--origin {earliest}`")]
    OriginGone {
        /// The sequence asked for.
        origin: u64,
        /// First sequence that the bus has.
        earliest: u64,
    },
    /// The bus has not come to the origin of a lane that has not begun.
    #[error("the lane begins at sequence {origin}, but the topic ends at {end}; say `--origin {end}` or less")]
    OriginAhead {
        /// The sequence asked for.
        origin: u64,
        /// The next sequence to be published.
        end: u64,
    },
    /// The target holds what the bus does not.
    #[error(
        "the target is ahead: it holds sequence {committed}, the bus ends below it{}; this is another topic's target, \
         or the journal lost durable messages: restore them from the target",
        end.map_or(String::new(), |end| format!(" (at {end})"))
    )]
    Ahead {
        /// Last sequence committed to the target.
        committed: u64,
        /// First sequence the bus does not have, where it is known.
        end: Option<u64>,
    },
    /// Bus and target have different messages under one sequence, or epochs that run backwards.
    #[error(
        "another stream: at sequence {sequence} the target holds epoch {target_epoch}, the bus another message of \
         epoch {bus_epoch}; this journal was made anew or this target belongs to another topic: take a new target"
    )]
    OtherStream {
        /// The sequence looked at.
        sequence: u64,
        /// The target's epoch there.
        target_epoch: u32,
        /// The bus's epoch there.
        bus_epoch: u32,
    },
    /// The topic's binding does not allow a message that is in the topic.
    #[error(
        "message {sequence}: {misfit}; allow it in the catalog, restart the broker and start the lane again, or make a new \
         target and begin it with `--origin {}`", sequence + 1
    )]
    Misfit {
        /// Its sequence.
        sequence: u64,
        /// What was found, and what is allowed.
        misfit: Misfit,
    },
    /// A message is longer than the target takes.
    #[error(
        "message {sequence} has {len_bytes} bytes, and the target takes {} at most; raise {}, then start the lane again",
        limit.message_bytes_max, limit.setting
    )]
    TooLarge {
        /// Its sequence.
        sequence: u64,
        /// Its length.
        len_bytes: usize,
        /// What the target takes.
        limit: Limit,
    },
    /// The target is empty and new, though the lane had committed to it.
    #[error(
        "the target was made anew: sequence {committed} was committed to it, and it never held anything; delete the \
         lane's progress (its consumer group) to fill it from the origin"
    )]
    TargetReplaced {
        /// Last sequence committed, by the lane's progress.
        committed: u64,
    },
    /// The target held records once, and nothing tells which.
    #[error(
        "the target is empty, but was not always, and the lane's progress is gone; say where it goes on: `--origin N`"
    )]
    NoPast,
    /// One transaction after the other failed, though the fence before it went through.
    #[error("{transactions} transactions in a row failed; mend the cause and start the lane again. The last: {cause}")]
    KeepsFailing {
        /// How many.
        transactions: u32,
        /// What became of the last one.
        cause: String,
    },
    /// The topic cannot be read.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The target failed for good.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// What an operator should know while the lane goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The target is allowed, but unwise.
    Unwise(String),
    /// The topic may bring a message that the target does not take.
    Narrow {
        /// The longest message of the topic, in bytes.
        topic_bytes_max: usize,
        /// The longest that the target takes.
        limit: Limit,
    },
    /// The lane goes on at this sequence.
    Resumed {
        /// The next sequence to be put.
        next: u64,
    },
    /// The target had committed `[from, to)` and lost it; the lane fills it again.
    TargetLost {
        /// First lost sequence.
        from: u64,
        /// First sequence that was not committed before.
        to: u64,
    },
    /// Retention took the target's last message from the journal, so the two could not be compared.
    Unverified {
        /// The sequence in question.
        sequence: u64,
    },
    /// A transaction or an instance failed; the lane tries again.
    Retrying {
        /// What failed.
        cause: LaneError,
        /// How long the lane waits first.
        wait_ms: u64,
    },
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Notice::Unwise(text) => write!(f, "warning: {text}"),
            Notice::Narrow { topic_bytes_max, limit: Limit { message_bytes_max, setting } } => write!(
                f,
                "warning: the topic takes messages of up to {topic_bytes_max} bytes, the target {message_bytes_max}: a \
                 longer one stops the lane; raise {setting}, unless none will come"
            ),
            Notice::Resumed { next } => write!(f, "goes on at sequence {next}"),
            Notice::TargetLost { from, to } => {
                write!(f, "ALARM: the target lost committed messages [{from}, {to}); they are filled in again")
            }
            Notice::Unverified { sequence } => {
                write!(
                    f,
                    "warning: the journal no longer holds sequence {sequence}, so the target's tail is not compared"
                )
            }
            Notice::Retrying { cause, wait_ms } => write!(f, "{cause} (in {wait_ms} ms)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_to_stop_names_thing_place_and_remedy() {
        let texts = [
            (
                LaneError::Gap { from: 5, to: 9 },
                "gap: the target goes on at sequence 5, but the bus goes on at 9; restore [5, 9) into the journal, or make \
                 a new target and begin it with `--origin 9`",
            ),
            (
                LaneError::OriginGone { origin: 0, earliest: 9 },
                "the lane begins at sequence 0, but the journal begins at 9; say `--origin 9`",
            ),
            (
                LaneError::OriginAhead { origin: 9, end: 5 },
                "the lane begins at sequence 9, but the topic ends at 5; say `--origin 5` or less",
            ),
            (
                LaneError::KeepsFailing { transactions: 3, cause: "T: put failed".into() },
                "3 transactions in a row failed; mend the cause and start the lane again. The last: T: put failed",
            ),
            (
                LaneError::Ahead { committed: 9, end: Some(5) },
                "the target is ahead: it holds sequence 9, the bus ends below it (at 5); this is another topic's target, \
                 or the journal lost durable messages: restore them from the target",
            ),
            (
                LaneError::OtherStream { sequence: 9, target_epoch: 2, bus_epoch: 1 },
                "another stream: at sequence 9 the target holds epoch 2, the bus another message of epoch 1; this journal \
                 was made anew or this target belongs to another topic: take a new target",
            ),
            (
                LaneError::TooLarge {
                    sequence: 9,
                    len_bytes: 20_000_000,
                    limit: Limit { message_bytes_max: 1_000_000, setting: "max.message.bytes" },
                },
                "message 9 has 20000000 bytes, and the target takes 1000000 at most; raise max.message.bytes, then start \
                 the lane again",
            ),
            (
                LaneError::TargetReplaced { committed: 9 },
                "the target was made anew: sequence 9 was committed to it, and it never held anything; delete the lane's \
                 progress (its consumer group) to fill it from the origin",
            ),
            (
                LaneError::Misfit { sequence: 9, misfit: Misfit::Schema { found: 8, allowed: 7 } },
                "message 9: a message of schema 8, where 7 is allowed (`schema`); allow it in the catalog, restart the broker \
                 and start the lane again, or make a new target and begin it with `--origin 10`",
            ),
            (
                LaneError::NoPast,
                "the target is empty, but was not always, and the lane's progress is gone; say where it goes on: \
                 `--origin N`",
            ),
            (FeedError::Failed("topic md: unknown".into()).into(), "topic md: unknown"),
            (FeedError::Unavailable("broker away".into()).into(), "broker away; the lane tries again"),
            (
                SinkError::Fenced { target: "T".into(), action: "commit" }.into(),
                "T: another gateway has taken this lane over (seen at commit), or this one stood still too long; keep one of \
                 the two, or start this one again",
            ),
            (
                SinkError::Unknown { target: "T".into(), action: "commit", reason: "timed out".into() }.into(),
                "T: commit has no known outcome: timed out; the lane fences and reads the target's tail again",
            ),
            (
                SinkError::Abortable { target: "T".into(), action: "put", reason: "expired".into() }.into(),
                "T: put failed: expired; the lane aborts the transaction and repeats it",
            ),
            (
                SinkError::Refused { target: "T".into(), reason: "is full; empty it".into() }.into(),
                "T: is full; empty it",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(LaneError::to_string(&error), text);
        }
    }
}
