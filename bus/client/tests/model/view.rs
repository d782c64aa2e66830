//! What one reader's connection knows of the world, and the journal as it reads it.

use crate::world::{Kept, MESSAGE_BYTES_MAX, World};
use oyez::cursor::{Answer, Held, Journal, JournalFailure, JournalPoll, Seek, Source};
use oyez::{BLOCK, Epoch, GapCause, Position};
use oyez_journal::Epochs;
use oyez_ring::{EpochStart, Frame, Join, Kind};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What one reader's connection has been told.
#[derive(Clone)]
pub(crate) struct View {
    state: Rc<RefCell<ViewState>>,
    journal: SimulatedJournal,
    /// What was taken over.
    seen: u64,
    epochs: Epochs,
}

struct ViewState {
    world: World,
    generation: u64,
    epochs: Vec<EpochStart>,
    held: BTreeMap<Epoch, Held>,
    asked: Option<Epoch>,
    delay_polls: u32,
}

impl View {
    pub(crate) fn new(world: &World) -> View {
        let state = ViewState {
            world: world.clone(),
            generation: 0,
            epochs: Vec::new(),
            held: BTreeMap::new(),
            asked: None,
            delay_polls: 0,
        };
        let state = Rc::new(RefCell::new(state));
        let (view, join) = (Rc::clone(&state), Join::new(MESSAGE_BYTES_MAX));
        let journal = SimulatedJournal { view, epoch: Epoch(0), position: Position(0), payload: vec![], join };
        View { state, journal, seen: 0, epochs: Epochs::default() }
    }

    /// News: the epochs, and what is held of the newest and of the one that is read.
    pub(crate) fn tell(&self) {
        let view = &mut *self.state.borrow_mut();
        let world = view.world.clone();
        let world = world.state();
        view.generation += 1;
        view.epochs.clone_from(&world.epochs);
        let newest = world.epochs.last().map(|start| start.epoch);
        let closed = view.held.iter().filter(|(_, held)| matches!(held, Held::Closed { .. })).map(|(epoch, _)| *epoch);
        let known: Vec<Epoch> = closed.chain(newest).chain(view.asked).collect();
        view.held = known.into_iter().filter_map(|epoch| Some((epoch, world.held(epoch)?))).collect();
    }

    /// News of the epochs alone: what was held before is held still, stale or not.
    pub(crate) fn hint(&self) {
        let view = &mut *self.state.borrow_mut();
        view.generation += 1;
        view.epochs.clone_from(&view.world.state().epochs);
    }

    /// Where the epoch ends by all that was told: nothing above may come any more.
    pub(crate) fn told_end(&self, epoch: Epoch) -> Position {
        let view = self.state.borrow();
        let later = view.epochs.iter().filter(|start| start.epoch > epoch).map(|start| start.previous_end);
        let closed = view.held.get(&epoch).and_then(|held| match held {
            Held::Closed { end, .. } => Some(*end),
            _ => None,
        });
        later.chain(closed).min().unwrap_or(Position(u64::MAX))
    }

    pub(crate) fn delay(&self, polls: u32) {
        self.state.borrow_mut().delay_polls = polls;
    }
}

impl Source for View {
    type Journal = SimulatedJournal;

    fn refresh(&mut self) -> bool {
        let state = self.state.borrow();
        self.epochs = Epochs::from(state.epochs.clone());
        std::mem::replace(&mut self.seen, state.generation) != state.generation
    }

    fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    fn held(&mut self, epoch: Epoch) -> Held {
        let view = &mut *self.state.borrow_mut();
        view.asked = Some(epoch);
        view.held.get(&epoch).cloned().unwrap_or(Held::Unknown)
    }

    fn journal(&mut self) -> Option<&mut SimulatedJournal> {
        let recorded = self.state.borrow().world.state().is_recorded();
        recorded.then_some(&mut self.journal)
    }
}

/// The disk, as one reader reads it.
#[derive(Clone)]
pub(crate) struct SimulatedJournal {
    view: Rc<RefCell<ViewState>>,
    epoch: Epoch,
    position: Position,
    payload: Vec<u8>,
    join: Join,
}

impl SimulatedJournal {
    fn is_late(&self) -> bool {
        let view = &mut *self.view.borrow_mut();
        let is_late = view.delay_polls > 0;
        view.delay_polls = view.delay_polls.saturating_sub(1);
        is_late
    }

    fn world(&self) -> World {
        self.view.borrow().world.clone()
    }
}

impl Journal for SimulatedJournal {
    fn seek(&mut self, to: Seek, limit: Position) -> Result<Answer<Option<Position>>, JournalFailure> {
        if self.is_late() {
            return Ok(Answer::Pending);
        }
        let world = self.world();
        let world = world.state();
        let mut frames = world.disk.range(world.earliest..).filter(|(_, kept)| kept.end <= limit);
        let found = match to {
            Seek::Earliest => return Ok(Answer::Ready(Some(world.earliest))),
            Seek::Sequence(sequence) => frames.find(|(_, kept)| kept.begins_message() && kept.sequence >= sequence),
            Seek::Time(time_ns) => frames.find(|(_, kept)| kept.begins_message() && kept.time_ns >= time_ns),
        };
        Ok(Answer::Ready(Some(found.map_or(limit.block(), |(position, _)| position.block()))))
    }

    fn enter(&mut self, epoch: Epoch, block: Position) {
        assert_eq!(block.in_block(), 0, "a journal is entered at a block");
        (self.epoch, self.position) = (epoch, block);
        self.join.forget();
    }

    fn poll(&mut self, limit: Position) -> Result<JournalPoll<'_>, JournalFailure> {
        if self.is_late() {
            return Ok(JournalPoll::Pending);
        }
        let world = self.world();
        let world = world.state();
        loop {
            if self.position >= limit {
                return Ok(JournalPoll::Empty);
            }
            let (block, earliest) = (self.position.block(), world.earliest);
            if block < earliest {
                return Ok(JournalPoll::Missing { resume: earliest, cause: GapCause::Retention });
            }
            let end =
                world.epochs.iter().filter(|start| start.epoch > self.epoch).map(|start| start.previous_end).min();
            if world.damaged.contains(&block) {
                let resume = end.unwrap_or(Position(u64::MAX)).min(block.plus(BLOCK));
                return Ok(JournalPoll::Missing { resume, cause: GapCause::Corrupt });
            }
            let Some((position, kept)) = world.disk.get_key_value(&self.position) else {
                panic!("the cursor was promised that position {} is recorded: limit {limit}", self.position)
            };
            if kept.end > limit {
                return Ok(JournalPoll::Empty);
            }
            self.position = kept.end;
            let Kept { end, kind, flags, sequence, time_ns, .. } = *kept;
            let frame = |position, kind, payload| {
                Ok(JournalPoll::Frame(Frame {
                    position,
                    end,
                    kind,
                    flags: 0,
                    sequence,
                    time_ns,
                    origin: None,
                    payload,
                }))
            };
            match kind {
                Kind::Block | Kind::Padding => {}
                Kind::Fragment => {
                    if let Some(start) = self.join.add(*position, flags, &kept.payload) {
                        return frame(start, Kind::Message, self.join.bytes());
                    }
                }
                kind => {
                    self.payload.clone_from(&kept.payload);
                    return frame(*position, kind, &self.payload);
                }
            }
        }
    }

    fn position(&self) -> Position {
        self.join.start().unwrap_or(self.position)
    }
}
