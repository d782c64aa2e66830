//! A recorder on its core, and what the control thread has been told of it.

use std::time::Instant;

use oyez_io::Io;
use oyez_journal::{Recorder, RecorderState, Segment};
use oyez_ring::{Epoch, Position};

use super::{Attach, NOTE_MAX};
use crate::event::{Event, Events, PartitionIndex};
use crate::partition::Judged;

/// A recorder, and what the control thread has been told of it.
pub(crate) struct Slot {
    partition: PartitionIndex,
    pub(super) recorder: Recorder,
    /// What to record next, with its end if that is known: begun when nothing of the last epoch is under way.
    pub(super) next: Option<(Attach, Option<Position>)>,
    wanting: bool,
    /// The epoch being recorded, and whether its end is known.
    epoch: Option<Epoch>,
    ended: bool,
    judged: Judged,
    /// There was work since `judged` was told.
    moved: bool,
    attached: Option<Epoch>,
    told: Told,
    /// It is retired, and goes when nothing is under way any more after this.
    leaving: Option<Instant>,
}

/// The last state told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Broken,
    Short,
    Done,
    Failed,
}

impl Slot {
    pub(super) fn new(partition: PartitionIndex, recorder: Recorder, judged: Judged) -> Slot {
        Slot {
            partition,
            recorder,
            judged,
            next: None,
            wanting: false,
            epoch: None,
            ended: false,
            moved: false,
            attached: None,
            told: Told::Nothing,
            leaving: None,
        }
    }

    /// Goes soon: it has time to note on disk how far it is durable.
    pub(super) fn retire(&mut self) {
        self.leaving = Some(Instant::now() + NOTE_MAX);
    }

    pub(super) fn has_left(&self) -> bool {
        self.leaving.is_some_and(|at| at <= Instant::now()) && self.recorder.in_flight() == 0
    }

    pub(super) fn attach_next(&mut self) -> usize {
        if self.recorder.in_flight() > 0 {
            return 0;
        }
        let Some((Attach { memory, control, start, at, .. }, end)) = self.next.take() else { return 0 };
        if matches!(self.recorder.state(), RecorderState::Failed { .. }) {
            // The control thread asked before it had heard.
            return 1;
        }
        self.recorder.attach(memory, control, &start, at);
        self.epoch = Some(start.epoch);
        self.attached = Some(start.epoch);
        self.told = Told::Nothing;
        self.ended = end.is_some();
        if let Some(end) = end {
            self.recorder.end_epoch(end);
        }
        1
    }

    pub(super) fn record(&mut self, io: &mut dyn Io, now_ns: u64) -> usize {
        let work = self.recorder.do_work(io, now_ns);
        self.moved |= work > 0;
        // Held by the other side for an instant now and then: told with the next turn.
        if self.moved
            && let Ok(mut judged) = self.judged.try_lock()
        {
            *judged = self.epoch.zip(self.recorder.tail());
            self.moved = false;
        }
        work
    }

    pub(super) fn end(&mut self, end: Position) {
        match &mut self.next {
            Some((_, known)) => *known = Some(end),
            None => {
                self.ended = true;
                self.recorder.end_epoch(end);
            }
        }
    }

    pub(super) fn give(&mut self, segment: Segment) {
        self.wanting = false;
        self.recorder.give(segment);
    }

    /// Tells what is new; what the queue does not take now is told in the next turn.
    pub(super) fn report(&mut self, events: &Events) -> usize {
        let mut count = 0;
        let mut tell = |event: Event| events.offer(event).map(|()| count += 1).is_ok();
        if let Some(epoch) = self.attached
            && tell(Event::Attached(self.partition, epoch))
        {
            self.attached = None;
        }
        // One at a time: until it is given the recorder names the same one by other positions.
        if !self.wanting
            && let Some(position) = self.recorder.wants_segment()
            && tell(Event::Wants(self.partition, position))
        {
            self.wanting = true;
        }
        let state = self.told_next();
        if state != self.told && self.event().is_none_or(tell) {
            self.told = state;
            if let (Told::Short, Some(at)) = (state, self.recorder.tail()) {
                self.recorder.end_epoch(at.position);
            }
        }
        if let Some(segment) = self.recorder.take_spent()
            && let Err(Event::Spent(segment)) = events.offer(Event::Spent(segment))
        {
            // Thousands of events wait: closing one file here is the smaller evil.
            drop(segment);
        }
        count
    }

    fn told_next(&self) -> Told {
        match self.recorder.state() {
            RecorderState::Broken { .. } if self.ended => Told::Short,
            RecorderState::Broken { .. } => Told::Broken,
            RecorderState::EpochDone { .. } => Told::Done,
            RecorderState::Failed { .. } => Told::Failed,
            _ => Told::Nothing,
        }
    }

    fn event(&self) -> Option<Event> {
        let partition = self.partition;
        match self.recorder.state() {
            RecorderState::Broken { at, cause } if self.ended => Some(Event::Short(partition, *at, cause.to_string())),
            RecorderState::Broken { at, cause } => Some(Event::Broken(partition, *at, cause.to_string())),
            RecorderState::EpochDone { .. } => Some(Event::Done(partition)),
            RecorderState::Failed { what, error } => Some(Event::Failed(partition, format!("{what}: {error}"))),
            _ => None,
        }
    }
}
