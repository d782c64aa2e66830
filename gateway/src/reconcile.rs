//! Where a lane resumes: its target's tail and progress against the bus. One row of the table, one arm here.
//!
//! | tail    | progress | meaning                              | decision                                        |
//! |---------|----------|--------------------------------------|-------------------------------------------------|
//! | N       | N        | normal                               | N + 1, if the bus's message N is the tail's     |
//! | new     | none     | first start                          | the origin                                      |
//! | removed | N        | retention removed everything         | N + 1, if the bus's message N has N's digest    |
//! | M < N   | N        | the target lost committed messages   | M + 1 from the journal, and say so              |
//! | M > N   | N, none  | progress expired or was reset        | M + 1                                           |
//! | new     | N        | the target was made anew             | stop                                            |
//! | removed | none     | nothing tells where the lane was     | stop, unless an origin is given                 |
//!
//! Progress is committed anew after each fence, as soon as there is nothing else to commit.
//! What only the bus can tell is decided while its first message is looked at, in `lane.rs`.

use crate::sink::Tail;
use crate::{LaneError, Message};
use sha2::{Digest, Sha256};

/// What identifies one message of a stream, also when its record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The message's epoch.
    pub epoch: u32,
    /// The message's sequence.
    pub sequence: u64,
    /// SHA-256 over the message as a run digest takes it: sequence, publish time, length, bytes.
    pub digest: [u8; 32],
}

impl Mark {
    /// The mark of `message`.
    pub fn of(message: &Message<'_>) -> Mark {
        let length = u32::try_from(message.bytes.len()).expect("a message is shorter than 4 GiB");
        let mut digest = Sha256::new();
        digest.update(message.sequence.to_le_bytes());
        digest.update(message.publish_time_ns.to_le_bytes());
        digest.update(length.to_le_bytes());
        digest.update(message.bytes);
        Mark { epoch: message.epoch, sequence: message.sequence, digest: digest.finalize().into() }
    }
}

/// How a lane resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The next sequence to put into the target.
    pub(crate) next: u64,
    /// The message before it, which the bus must agree with.
    pub(crate) verify: Option<Mark>,
    /// Sequences `[from, to)` that the target had committed and lost.
    pub(crate) lost: Option<(u64, u64)>,
}

/// Decides by the table above. `origin` is where a lane without a past begins: `None` means 0, where nothing hints at
/// a past.
pub(crate) fn reconcile(tail: &Tail, progress: Option<Mark>, origin: Option<u64>) -> Result<Plan, LaneError> {
    let begin_at = |next| Plan { next, verify: None, lost: None };
    let resume_after = |mark: Mark| Plan { next: mark.sequence + 1, verify: Some(mark), lost: None };
    match (tail, progress) {
        (Tail::Last(record), progress) => {
            let plan = resume_after(Mark::of(&record.message()));
            let ahead = progress.map(|mark| mark.sequence + 1).filter(|&end| end > plan.next);
            Ok(Plan { lost: ahead.map(|end| (plan.next, end)), ..plan })
        }
        (Tail::Removed, Some(mark)) => Ok(resume_after(mark)),
        (Tail::New, None) => Ok(begin_at(origin.unwrap_or(0))),
        (Tail::Removed, None) => origin.map(begin_at).ok_or(LaneError::NoPast),
        (Tail::New, Some(mark)) => Err(LaneError::TargetReplaced { committed: mark.sequence }),
    }
}
