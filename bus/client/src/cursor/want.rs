//! What a cursor wants next, and what it owes: the same whether a frame comes from ring or journal.

use super::{CursorError, message};
use crate::{EventKind, GapCause};
use oyez_ring::{Epoch, Frame, Kind, ONE_FRAME_BYTES_MAX, Sequence};

pub(super) struct Want {
    /// The message wanted next; unknown until the first block is entered.
    pub(super) next: Option<Sequence>,
    /// Messages published before are passed over.
    pub(super) not_before_ns: u64,
    /// A `CaughtUp` is owed.
    pub(super) behind: bool,
    /// Why messages would be missing, if some turn out to be before the next one is given.
    pub(super) cause: GapCause,
    /// Whether `next` is only what the start asked for: nothing has shown yet that it can be had.
    pub(super) asked: Asked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Sequence,
    /// By somebody who had the message before it.
    Resume,
}

pub(super) enum Verdict {
    Skipped,
    Given,
    /// Given, and so long that it is the last of its poll.
    Enough,
    /// An event was given in the frame's stead: come back to the frame.
    EventFirst,
}

impl Default for Want {
    fn default() -> Want {
        Want { next: None, not_before_ns: 0, behind: true, cause: GapCause::Lost, asked: Asked::No }
    }
}

impl Want {
    /// Gives the frame's message, or the event that comes before it, or nothing.
    #[inline(always)]
    pub(super) fn give(
        &mut self,
        frame: &Frame<'_>,
        epoch: Epoch,
        live: bool,
        each: &mut impl FnMut(EventKind<'_>),
    ) -> Verdict {
        // What control frames say of an epoch its start has told already; how far publishers were taken is the broker's.
        if frame.kind != Kind::Message {
            return Verdict::Skipped;
        }
        let sequence = frame.sequence;
        if (self.next != Some(sequence) || self.behind || frame.time_ns < self.not_before_ns)
            && let Some(verdict) = self.not_yet(sequence, frame.time_ns, live, each)
        {
            return verdict;
        }
        (self.next, self.cause) = (Some(Sequence(sequence.0 + 1)), GapCause::Lost);
        each(EventKind::Message(message(frame, epoch)));
        if frame.payload.len() > ONE_FRAME_BYTES_MAX { Verdict::Enough } else { Verdict::Given }
    }

    /// What is to be done instead of giving the message of that sequence, if anything.
    #[inline(never)]
    fn not_yet(
        &mut self,
        sequence: Sequence,
        time_ns: u64,
        live: bool,
        each: &mut impl FnMut(EventKind<'_>),
    ) -> Option<Verdict> {
        if self.next.is_some_and(|next| sequence < next) {
            return Some(Verdict::Skipped);
        }
        if let Some(event) = self.gap_before(sequence) {
            each(event);
            return Some(Verdict::EventFirst);
        }
        self.asked = Asked::No;
        if time_ns < self.not_before_ns {
            (self.next, self.cause) = (Some(Sequence(sequence.0 + 1)), GapCause::Lost);
            return Some(Verdict::Skipped);
        }
        self.not_before_ns = 0;
        self.next = Some(sequence);
        if !live {
            return None;
        }
        each(self.caught_up(sequence)?);
        Some(Verdict::EventFirst)
    }

    /// Nothing more is there, and `sequence`, where it is known, comes next; for certain where the epoch is over.
    pub(super) fn at_tail(
        &mut self,
        sequence: Option<Sequence>,
        is_over: bool,
    ) -> Result<Option<EventKind<'static>>, CursorError> {
        let Some(sequence) = sequence else { return Ok(None) };
        if let Some(wanted) = self.next.filter(|next| *next > sequence) {
            return match (self.asked, is_over) {
                (Asked::Sequence, _) | (Asked::Resume, false) => Err(CursorError::Ahead { wanted, next: sequence }),
                (_, true) => Ok(self.rewound_to(sequence)),
                (Asked::No, false) => Ok(None),
            };
        }
        if let Some(event) = self.gap_before(sequence) {
            return Ok(Some(event));
        }
        (self.next, self.asked, self.cause) = (Some(sequence), Asked::No, GapCause::Lost);
        Ok(self.caught_up(sequence))
    }

    /// Nothing more has come as far as is asked; `sequence` comes next, but for what was asked and is still to come.
    pub(super) fn at_bound(&mut self, sequence: Option<Sequence>) -> Option<EventKind<'static>> {
        let sequence = sequence?;
        if let Some(event) = self.gap_before(sequence) {
            return Some(event);
        }
        if self.next > Some(sequence) {
            return None;
        }
        self.next = Some(sequence);
        self.caught_up(sequence)
    }

    /// An epoch begins with `sequence`.
    pub(super) fn at_start(&mut self, sequence: Sequence) -> Option<EventKind<'static>> {
        if self.asked == Asked::Sequence && self.next > Some(sequence) {
            return None;
        }
        let event = self.gap_before(sequence).or_else(|| self.rewound_to(sequence));
        (self.next, self.asked, self.cause) = (Some(sequence), Asked::No, GapCause::Lost);
        event
    }

    /// The ring has gone past.
    pub(super) fn lapped(&mut self) -> Option<EventKind<'static>> {
        let sequence = self.next.filter(|_| !self.behind)?;
        self.behind = true;
        Some(EventKind::Lapped { sequence })
    }

    fn caught_up(&mut self, sequence: Sequence) -> Option<EventKind<'static>> {
        std::mem::take(&mut self.behind).then_some(EventKind::CaughtUp { sequence })
    }

    fn gap_before(&mut self, to: Sequence) -> Option<EventKind<'static>> {
        let from = self.next.filter(|next| *next < to)?;
        (self.next, self.asked) = (Some(to), Asked::No);
        Some(EventKind::Gap { from, to, cause: std::mem::replace(&mut self.cause, GapCause::Lost) })
    }

    fn rewound_to(&mut self, to: Sequence) -> Option<EventKind<'static>> {
        let from = self.next.filter(|next| *next > to)?;
        (self.next, self.asked) = (Some(to), Asked::No);
        Some(EventKind::Rewound { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::Position;

    #[test]
    fn why_something_may_be_missing_is_forgotten_with_the_next_message() {
        let frame = |sequence| {
            let (kind, position, sequence) = (Kind::Message, Position(64), Sequence(sequence));
            Frame { position, end: position, kind, flags: 0, sequence, time_ns: 1, origin: None, payload: &[] }
        };
        let mut want = Want { next: Some(Sequence(5)), behind: false, cause: GapCause::Corrupt, ..Want::default() };
        let mut given = Vec::new();
        let mut each = |event: EventKind<'_>| given.push(format!("{event:?}"));
        // A damaged range that held no message.
        assert!(matches!(want.give(&frame(5), Epoch(1), false, &mut each), Verdict::Given));
        assert!(matches!(want.give(&frame(9), Epoch(1), false, &mut each), Verdict::EventFirst));
        assert!(given[1].contains("Gap") && given[1].contains("Lost"), "{given:?}");
    }
}
