//! What a cursor wants next, and what it owes: the same whether a frame comes from ring or journal.

use super::{CursorError, message};
use crate::{EventKind, GapCause};
use oyez_ring::{Epoch, Frame, Kind, Sequence};

pub(super) struct Want {
    /// The message wanted next; unknown until the first block is entered.
    pub(super) next: Option<Sequence>,
    /// Messages published before are passed over.
    pub(super) not_before_ns: u64,
    /// A `CaughtUp` is owed.
    pub(super) behind: bool,
    /// Why messages would be missing, if some turn out to be.
    pub(super) cause: GapCause,
}

pub(super) enum Verdict {
    Skipped,
    Given,
    /// An event was given in the frame's stead: come back to the frame.
    EventFirst,
}

impl Default for Want {
    fn default() -> Want {
        Want { next: None, not_before_ns: 0, behind: true, cause: GapCause::Lost }
    }
}

impl Want {
    /// Gives the frame's message, or the event that comes before it, or nothing.
    #[inline]
    pub(super) fn give(
        &mut self,
        frame: &Frame<'_>,
        epoch: Epoch,
        live: bool,
        each: &mut impl FnMut(EventKind<'_>),
    ) -> Result<Verdict, CursorError> {
        if frame.kind != Kind::Message {
            return no_message(frame);
        }
        let sequence = frame.sequence;
        if self.next != Some(sequence) || self.behind || frame.time_ns < self.not_before_ns {
            if self.next.is_some_and(|next| sequence < next) {
                return Ok(Verdict::Skipped);
            }
            if let Some(event) = self.gap_before(sequence) {
                each(event);
                return Ok(Verdict::EventFirst);
            }
            if frame.time_ns < self.not_before_ns {
                self.next = Some(Sequence(sequence.0 + 1));
                return Ok(Verdict::Skipped);
            }
            self.not_before_ns = 0;
            self.next = Some(sequence);
            if self.behind && live {
                self.behind = false;
                each(EventKind::CaughtUp { sequence });
                return Ok(Verdict::EventFirst);
            }
        }
        self.next = Some(Sequence(sequence.0 + 1));
        each(EventKind::Message(message(frame, epoch)));
        Ok(Verdict::Given)
    }

    /// Nothing more is there, and `sequence`, where it is known, comes next.
    pub(super) fn at_tail(&mut self, sequence: Option<Sequence>) -> Result<Option<EventKind<'static>>, CursorError> {
        let Some(sequence) = sequence else { return Ok(None) };
        if let Some(wanted) = self.next.filter(|next| *next > sequence) {
            return Err(CursorError::Ahead { wanted, next: sequence });
        }
        if let Some(event) = self.gap_before(sequence) {
            return Ok(Some(event));
        }
        self.next = Some(sequence);
        if !self.behind || self.not_before_ns != 0 {
            return Ok(None);
        }
        self.behind = false;
        Ok(Some(EventKind::CaughtUp { sequence }))
    }

    /// An epoch begins with `sequence`.
    pub(super) fn at_start(&mut self, sequence: Sequence) -> Option<EventKind<'static>> {
        let event = self.gap_before(sequence);
        if let Some(from) = self.next.filter(|next| *next > sequence) {
            self.next = Some(sequence);
            return Some(EventKind::Rewound { from, to: sequence });
        }
        self.next = Some(sequence);
        event
    }

    /// The ring has gone past.
    pub(super) fn lapped(&mut self) -> Option<EventKind<'static>> {
        let sequence = self.next.filter(|_| !self.behind)?;
        self.behind = true;
        Some(EventKind::Lapped { sequence })
    }

    fn gap_before(&mut self, to: Sequence) -> Option<EventKind<'static>> {
        let from = self.next.filter(|next| *next < to)?;
        self.next = Some(to);
        Some(EventKind::Gap { from, to, cause: std::mem::replace(&mut self.cause, GapCause::Lost) })
    }
}

/// Control frames stand at the head of an epoch, and what they say of it the epoch's start has told already.
#[cold]
fn no_message(frame: &Frame<'_>) -> Result<Verdict, CursorError> {
    match frame.kind {
        Kind::Fragment => Err(CursorError::Fragment { position: frame.position }),
        _ => Ok(Verdict::Skipped),
    }
}
