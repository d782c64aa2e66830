//! One partition with its broker, recorder and disk, simulated around real rings.

use oyez::cursor::{Held, Ring};
use oyez::{BLOCK, Epoch, GapCause, Position, Sequence};
use oyez_ring::layout::FLAG_FIRST;
use oyez_ring::{
    Control, ControlMut, EpochStart, Frame, Kind, LEAD, Memory, Offer, Poll, Reader, RegionMut, State, Tail, Writer,
    write_head,
};
use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Eight blocks: some 150 long messages go round once, and one block is the margin of those who come back to the ring.
const CAPACITY: u64 = 8 * BLOCK;
pub(crate) const MESSAGE_BYTES_MAX: usize = CAPACITY as usize / 4;

/// A message that was published: what every reader's judge compares with.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) bytes: Vec<u8>,
    pub(crate) time_ns: u64,
    pub(crate) position: Position,
    pub(crate) end: Position,
}

/// A frame on disk.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) end: Position,
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) sequence: Sequence,
    pub(crate) time_ns: u64,
    pub(crate) payload: Vec<u8>,
}

impl Kept {
    pub(crate) fn begins_message(&self) -> bool {
        self.kind == Kind::Message || self.kind == Kind::Fragment && self.flags & FLAG_FIRST != 0
    }
}

/// An epoch's ring, and the recorder's place in it.
struct Living {
    start: EpochStart,
    data: RegionMut,
    memory: Memory,
    control: ControlMut,
    /// None once the owner is gone.
    writer: Option<Writer>,
    part: Option<Part>,
    recorder: Reader,
    /// Where the epoch ended, and the sequence after it.
    pub(crate) end: Option<(Position, Sequence)>,
}

/// A message of which a part is out.
struct Part {
    /// Where that part ends.
    end: Position,
    sequence: Sequence,
    told: Told,
    /// The memory once the rest is out, too.
    whole: Vec<u64>,
}

pub(crate) struct Partition {
    recorded: bool,
    now_ns: u64,
    pub(crate) epochs: Vec<EpochStart>,
    living: BTreeMap<Epoch, Living>,
    /// Epochs without a ring: their end, and the sequence after it.
    closed: BTreeMap<Epoch, (Position, Sequence)>,
    pub(crate) disk: BTreeMap<Position, Kept>,
    /// Everything below is written, or flushed, of any epoch.
    written: Position,
    durable: Position,
    /// How often something was lost that had been published.
    pub(crate) losses: usize,
    pub(crate) earliest: Position,
    pub(crate) damaged: BTreeSet<Position>,
    /// Every message that was ever published, also in vain.
    pub(crate) ever: BTreeMap<(Epoch, Sequence), Told>,
    /// What stands now: the epoch that each sequence belongs to.
    pub(crate) standing: BTreeMap<Sequence, Epoch>,
    /// Sequences of the standing epochs that no reader may be able to get any more.
    pub(crate) lost: BTreeMap<(Epoch, Sequence), GapCause>,
}

/// Shared by all that happens in one run.
#[derive(Clone)]
pub(crate) struct World(Rc<RefCell<Partition>>);

impl World {
    pub(crate) fn new(recorded: bool) -> World {
        World(Rc::new(RefCell::new(Partition {
            recorded,
            now_ns: 1_000,
            epochs: Vec::new(),
            living: BTreeMap::new(),
            closed: BTreeMap::new(),
            disk: BTreeMap::new(),
            written: Position(0),
            durable: Position(0),
            losses: 0,
            earliest: Position(0),
            damaged: BTreeSet::new(),
            ever: BTreeMap::new(),
            standing: BTreeMap::new(),
            lost: BTreeMap::new(),
        })))
    }

    pub(crate) fn state(&self) -> RefMut<'_, Partition> {
        self.0.borrow_mut()
    }

    pub(crate) fn publish(&self, messages: usize, len_bytes: usize) {
        let state = &mut *self.state();
        if state.newest_ends() {
            state.begin();
        }
        state.publish(messages, len_bytes);
    }

    pub(crate) fn record(&self, frames: usize) {
        self.state().record(frames);
    }

    pub(crate) fn flush(&self) {
        self.state().flush();
    }

    pub(crate) fn change_owner(&self) {
        self.end_epoch();
        self.state().begin();
    }

    pub(crate) fn end_epoch(&self) {
        self.state().end();
    }

    pub(crate) fn stand_within(&self, fragments: usize, opens_block: bool) {
        self.state().stand_within(fragments, opens_block);
    }

    pub(crate) fn close_rings(&self) {
        self.state().close_rings();
    }

    /// All rings are lost; what the recorder has taken beyond what its words tell counts, too. Who wrote the newest one
    /// goes on for a while, in vain.
    pub(crate) fn lose_ring(&self, recorded: usize, in_vain: usize) {
        let state = &mut *self.state();
        // Without a journal the broker would go on at a reserve, which is another path than this one.
        if !state.recorded || state.living.is_empty() {
            return;
        }
        state.record_quietly(recorded);
        let newest = state.living.pop_last().map(|(_, living)| living);
        state.recover(newest.as_ref());
        newest.into_iter().for_each(|zombie| state.publish_in_vain(zombie, in_vain));
    }

    /// Whole frames between what is durable and what was written come through, or not. Readers die with the machine;
    /// whether anything was there to be lost.
    pub(crate) fn power_cut(&self, written: usize) -> bool {
        let state = &mut *self.state();
        if !state.recorded || state.epochs.is_empty() {
            return false;
        }
        let durable = state.durable;
        let kept: Vec<Position> = state.disk.range(durable..).map(|(_, kept)| kept.end).take(written).collect();
        let end = kept.last().copied().unwrap_or(durable);
        state.disk.retain(|position, _| *position < end);
        state.recover(None);
        true
    }

    /// Everything below some block is cleaned away.
    pub(crate) fn retain(&self, blocks: u64) {
        let state = &mut *self.state();
        if !state.recorded {
            return;
        }
        let durable = state.durable.block();
        let earliest = Position(state.earliest.0 + blocks * BLOCK).min(durable);
        state.earliest = earliest.max(state.earliest);
        state.living.values().for_each(|living| living.control.set_earliest(state.earliest));
        state.lose_below(state.earliest);
    }

    /// A block that is durable as a whole no longer verifies.
    pub(crate) fn damage(&self, block: usize) {
        self.state().damage(block);
    }

    /// What is not recorded never will be.
    pub(crate) fn fail_journal(&self) {
        self.state().living.values().for_each(|living| living.control.set_state(State::JournalFailed));
    }

    /// All is recorded and flushed, and no ring of an ended epoch is kept, so that nothing is left to wait for.
    pub(crate) fn settle(&self) {
        let state = &mut *self.state();
        state.record(usize::MAX);
        state.flush();
        if state.recorded {
            state.close_rings();
        }
    }

    pub(crate) fn sequence_at(&self, part: u64) -> Sequence {
        Sequence(self.tail_sequence().0 * part / 64)
    }

    pub(crate) fn time_at(&self, part: u64) -> u64 {
        1_000 + (self.state().now_ns - 1_000) * part / 64
    }

    pub(crate) fn tail_sequence(&self) -> Sequence {
        self.state().standing.last_key_value().map_or(Sequence(0), |(sequence, _)| Sequence(sequence.0 + 1))
    }

    pub(crate) fn newest(&self) -> Epoch {
        self.state().epochs.last().map_or(Epoch(0), |start| start.epoch)
    }

    pub(crate) fn durable(&self) -> Position {
        self.state().durable
    }
}

impl Living {
    /// The ring and its mark.
    fn words(&self) -> Vec<u64> {
        let mut bytes = vec![0; CAPACITY as usize + 8];
        self.data.copy_out(0, &mut bytes);
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).collect()
    }

    /// Where so many fragments of the message end that was published at `tail`, but not all; perhaps with the opening of
    /// the block behind them.
    fn end_within(&self, tail: Position, fragments: usize, opens_block: bool) -> Position {
        let mut reader = Reader::at(self.memory.clone(), self.start.epoch, tail.block());
        let mut frames = Vec::new();
        while let Poll::Frame(frame) = reader.poll_any().expect("an honest writer") {
            frames.extend((frame.position >= tail).then_some((frame.kind, frame.end)));
        }
        let parts: Vec<usize> = (0..frames.len()).filter(|at| frames[*at].0 == Kind::Fragment).collect();
        frames[parts[fragments.min(parts.len() - 1) - 1] + usize::from(opens_block)].1
    }
}

impl Partition {
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Whether the writer has gone over the message, or over the block where who wants it next stands, or soon will: within
    /// the eighth of the ring that is given up.
    pub(crate) fn is_overwritten(&self, epoch: Epoch, sequence: Sequence) -> bool {
        self.living.get(&epoch).is_none_or(|living| {
            let (oldest, _) = living.memory.window(living.start.position);
            let before = self.ever.get(&(epoch, Sequence(sequence.0.wrapping_sub(1))));
            let stands =
                before.map_or(self.ever[&(epoch, sequence)].position, |before| Position(before.end.0 - 8).block());
            oldest > living.start.position && stands < oldest.plus(CAPACITY / 8)
        })
    }

    /// The message that the owner stands within, if its beginning was cleaned away.
    pub(crate) fn cut(&self) -> Option<Sequence> {
        let part = self.living.last_key_value().and_then(|(_, living)| living.part.as_ref())?;
        (part.told.position < self.earliest).then_some(part.sequence)
    }

    /// What the broker holds of an epoch.
    pub(crate) fn held(&self, epoch: Epoch) -> Option<Held> {
        if let Some(living) = self.living.get(&epoch) {
            return Some(Held::Ring(Ring { memory: living.memory.clone(), control: living.control.reader() }));
        }
        self.closed.get(&epoch).map(|(end, sequence)| Held::Closed { end: *end, sequence: *sequence })
    }

    fn newest_ends(&self) -> bool {
        let newest = self.epochs.last().and_then(|start| self.living.get(&start.epoch));
        newest.is_none_or(|living| living.end.is_some())
    }

    /// Where the partition goes on.
    fn tail(&self) -> (Position, Sequence) {
        let Some(epoch) = self.epochs.last().map(|start| start.epoch) else { return (Position(0), Sequence(0)) };
        match self.living.get(&epoch) {
            Some(living) => living.end.expect("an epoch ends before the next begins"),
            None => self.closed[&epoch],
        }
    }

    fn begin(&mut self) {
        assert!(self.newest_ends());
        let (previous_end, sequence) = self.tail();
        let epoch = Epoch(self.epochs.last().map_or(0, |start| start.epoch.0) + 1);
        let (position, time_ns) = (previous_end.next_block(), self.now_ns);
        let start = EpochStart { epoch, position, sequence, time_ns, previous_end };
        let data = RegionMut::heap(Memory::len_bytes(CAPACITY) as usize);
        let tail: Tail = write_head(&data, CAPACITY, &start, self.now_ns);
        let gate = if self.recorded { position.plus(CAPACITY) } else { Position(u64::MAX) };
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, gate);
        control.set_earliest(self.earliest);
        let memory = Memory::new(data.reader(), CAPACITY);
        let recorder = Reader::at(memory.clone(), epoch, position);
        let writer = Some(Writer::new(data.clone(), CAPACITY, control.reader(), epoch, tail));
        self.epochs.push(start);
        self.living.insert(epoch, Living { start, data, memory, control, writer, part: None, recorder, end: None });
    }

    fn publish(&mut self, messages: usize, len_bytes: usize) {
        let Some(mut living) = self.living.pop_last().map(|(_, living)| living) else { return };
        if let Some(sequence) = self.finish_part(&mut living) {
            self.standing.insert(sequence, living.start.epoch);
            // What became of the part that was out became of the message.
            self.lose_below(self.earliest);
            self.damaged.clone().into_iter().for_each(|block| self.lose_block(block));
        }
        for _ in 0..messages {
            if !self.publish_one(&mut living, len_bytes) {
                break;
            }
            let sequence = living.writer.as_ref().expect("it lives").tail().sequence.0 - 1;
            self.standing.insert(Sequence(sequence), living.start.epoch);
        }
        self.living.insert(living.start.epoch, living);
    }

    fn publish_one(&mut self, living: &mut Living, len_bytes: usize) -> bool {
        let writer = living.writer.as_mut().expect("an owner publishes");
        self.now_ns += 1;
        let Tail { position: tail, sequence, .. } = writer.tail();
        let epoch = living.start.epoch;
        let mut bytes = vec![(sequence.0 * 7 + u64::from(epoch.0)) as u8; len_bytes];
        bytes[..8].copy_from_slice(&(sequence.0 << 16 | u64::from(epoch.0)).to_le_bytes());
        match writer.offer(&bytes, self.now_ns).expect("its length is right") {
            Offer::BackPressured => false,
            Offer::Published(published) => {
                let end = published.position;
                let room = tail.next_block().0 - tail.0;
                let position = match len_bytes {
                    ..=4096 => Position(end.0 - 16 - (len_bytes as u64).next_multiple_of(8)),
                    _ if room > 16 => tail,
                    _ => tail.next_block().plus(48),
                };
                self.ever.insert((epoch, sequence), Told { bytes, time_ns: published.time_ns, position, end });
                true
            }
        }
    }

    fn publish_in_vain(&mut self, mut zombie: Living, messages: usize) {
        self.finish_part(&mut zombie);
        for _ in 0..messages {
            if zombie.writer.is_none() || !self.publish_one(&mut zombie, 500) {
                return;
            }
        }
    }

    /// The owner is gone, perhaps within a message: the frames are scanned, the end is written.
    fn end(&mut self) {
        let Some(epoch) = self.epochs.last().map(|start| start.epoch) else { return };
        let Some(living) = self.living.get_mut(&epoch) else { return };
        if let Some(writer) = living.writer.take() {
            let Tail { position, sequence, .. } = writer.tail();
            let (end, sequence) = living.part.take().map_or((position, sequence), |part| (part.end, part.sequence));
            living.end = Some((end, sequence));
            living.control.set_end(end);
            living.control.set_state(State::Ended);
        }
    }

    /// The owner stands within a message: the memory is what it was before, but for what is out of it, and the zeros behind.
    fn stand_within(&mut self, fragments: usize, opens_block: bool) {
        let Some(mut living) = self.living.pop_last().map(|(_, living)| living) else { return };
        let tail = living.writer.as_ref().filter(|_| living.part.is_none()).map(Writer::tail);
        if let Some(Tail { position, sequence, .. }) = tail {
            let before = living.words();
            if self.publish_one(&mut living, MESSAGE_BYTES_MAX) {
                let told = self.ever.remove(&(living.start.epoch, sequence)).expect("it is out");
                let (end, whole) = (living.end_within(position, fragments, opens_block), living.words());
                for at in (end.0..position.0 + CAPACITY).step_by(8) {
                    let word = (at % CAPACITY) as usize / 8;
                    living.data.store(8 * word, if at < end.0 + LEAD { 0 } else { before[word] });
                }
                let mark = before[CAPACITY as usize / 8].max(end.plus(LEAD).next_block().0);
                living.data.store(CAPACITY as usize, mark);
                living.part = Some(Part { end, sequence, told, whole });
            }
        }
        self.living.insert(living.start.epoch, living);
    }

    /// The rest of the message comes out.
    fn finish_part(&mut self, living: &mut Living) -> Option<Sequence> {
        let Part { sequence, told, whole, .. } = living.part.take()?;
        whole.iter().enumerate().for_each(|(word, value)| living.data.store(8 * word, *value));
        self.ever.insert((living.start.epoch, sequence), told);
        Some(sequence)
    }

    fn record(&mut self, frames: usize) {
        self.record_quietly(frames);
        for living in self.living.values() {
            let at = self.written.max(living.start.position).min(living.end.map_or(Position(u64::MAX), |end| end.0));
            if self.recorded {
                living.control.set_written(at);
                living.control.set_gate(at.block().max(living.start.position).plus(CAPACITY));
            }
        }
    }

    /// To disk, without telling.
    fn record_quietly(&mut self, frames: usize) {
        if !self.recorded {
            return;
        }
        let mut left = frames;
        for living in self.living.values_mut() {
            while left > 0 {
                match living.recorder.poll_any().expect("an honest writer") {
                    Poll::Empty => break,
                    Poll::Lapped => panic!("the gate let the writer lap the recorder"),
                    Poll::Frame(frame) => {
                        let Frame { position, end, kind, flags, sequence, time_ns, payload, .. } = frame;
                        let payload = payload.to_vec();
                        self.disk.insert(position, Kept { end, kind, flags, sequence, time_ns, payload });
                        self.written = end;
                        left -= 1;
                    }
                }
            }
            // The next epoch is recorded only once this one is whole.
            if living.end.is_none_or(|(end, _)| living.recorder.position() < end) {
                return;
            }
            self.written = self.written.max(living.end.map_or(Position(0), |(end, _)| end));
        }
    }

    fn flush(&mut self) {
        if self.recorded {
            self.durable = self.written;
            for living in self.living.values() {
                let end = living.end.map_or(Position(u64::MAX), |end| end.0);
                living.control.set_durable(self.durable.max(living.start.position).min(end));
            }
        }
    }

    fn close_rings(&mut self) {
        let newest = self.epochs.last().map(|start| start.epoch);
        let (durable, recorded) = (self.durable, self.recorded);
        let is_over = |living: &Living| living.end.filter(|(end, _)| !recorded || *end <= durable);
        let over: Vec<(Epoch, (Position, Sequence))> =
            self.living.values().filter_map(|living| Some((living.start.epoch, is_over(living)?))).collect();
        for (epoch, end) in over {
            self.living.remove(&epoch);
            self.closed.insert(epoch, end);
            if !recorded || newest.is_none() {
                self.lose_epoch(epoch);
            }
        }
    }

    /// Nothing of an unrecorded epoch is left without its ring.
    fn lose_epoch(&mut self, epoch: Epoch) {
        for (sequence, _) in self.standing.iter().filter(|(_, holder)| **holder == epoch) {
            self.lost.insert((epoch, *sequence), GapCause::Lost);
        }
    }

    fn lose_below(&mut self, earliest: Position) {
        for (sequence, epoch) in &self.standing {
            if self.ever[&(*epoch, *sequence)].position < earliest {
                self.lost.insert((*epoch, *sequence), GapCause::Retention);
            }
        }
    }

    fn damage(&mut self, nth: usize) {
        let durable = self.durable.block();
        let blocks: Vec<Position> =
            self.disk.range(self.earliest..durable).map(|(position, _)| position.block()).collect();
        let Some(block) = blocks.get(nth * blocks.len() / 16).copied() else { return };
        self.damaged.insert(block);
        self.lose_block(block);
    }

    fn lose_block(&mut self, block: Position) {
        for (sequence, epoch) in &self.standing {
            let told = &self.ever[&(*epoch, *sequence)];
            if told.position < block.plus(BLOCK) && block < told.end {
                self.lost.entry((*epoch, *sequence)).or_insert(GapCause::Corrupt);
            }
        }
    }

    /// The partition goes on where the disk ends.
    fn recover(&mut self, newest: Option<&Living>) {
        self.losses += 1;
        let ended = std::mem::take(&mut self.living).into_values();
        let ended = ended.filter_map(|living| Some((living.start.epoch, living.end?)));
        self.closed.extend(ended);
        self.closed.extend(newest.and_then(|living| Some((living.start.epoch, living.end?))));
        let tail = match self.disk.last_key_value() {
            None => (Position(0), Sequence(0)),
            Some((_, last)) => (last.end, Sequence(last.sequence.0 + u64::from(last.kind.ends_message(last.flags)))),
        };
        for start in self.epochs.iter().rev() {
            let is_closed_before = self.closed.get(&start.epoch).is_some_and(|(end, _)| *end <= tail.0);
            if is_closed_before {
                break;
            }
            self.closed.insert(start.epoch, tail);
            if start.position < tail.0 {
                break;
            }
        }
        self.take_back(tail.1);
        (self.written, self.durable) = (tail.0, tail.0);
    }

    fn take_back(&mut self, sequence: Sequence) {
        drop(self.standing.split_off(&sequence));
    }
}
