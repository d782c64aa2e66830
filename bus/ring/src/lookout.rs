//! What a core sees of one partition for the readers that sleep there.
//!
//! A sleeper waits at a position, and positions only rise: so a turn of the core is one look at how far the partition has
//! come, in each durability, and not one for each sleeper. Only where that has moved, or somebody has fallen asleep since,
//! are sleepers compared with it. So no wake-up is lost: whoever falls asleep is compared with a look that comes after.
//! A position that cannot be is its own sleeper's loss: it is woken at once, or by nothing.
//!
//! How far is published, the lookout's own reader finds, which walks along only while somebody sleeps.

use crate::area::Asleep;
use crate::reader::MARK_MAX;
use crate::{BLOCK, Control, EpochStart, Memory, Poll, Position, Reader, State};

/// Frames that one look walks over, and how far at most: their payloads are copied, and those of a large message are long.
const FRAMES_MAX: usize = if cfg!(loom) { 4 } else { 256 };
const WALK_BYTES_MAX: u64 = 8 * BLOCK;
/// Sleepers that one look wakes: each is a system call.
const WAKES_MAX: usize = 16;
/// Sleepers that one look compares.
const COMPARED_MAX: usize = 256;
/// Durabilities: published, written, durable.
const BOUNDS: usize = 3;

const EVERYTHING: Position = Position(u64::MAX);

/// One partition, seen by the core that wakes its sleepers. Keys of sleepers are small numbers of the caller's.
#[derive(Default)]
pub struct Lookout {
    ring: Option<Watched>,
    /// The ring before it may still be on its way to disk.
    former: Option<Control>,
    /// By key.
    sleepers: Vec<Option<Asleep>>,
    /// Keys of those that sleep. From `next` on, round and round, `due` of them, and perhaps one more for each that was woken,
    /// are still to be compared with how far the partition has come.
    asleep: Vec<usize>,
    next: usize,
    due: usize,
    /// How far the partition had come when it was looked at last.
    reached: [Position; BOUNDS],
    /// Whoever is due is woken.
    everybody: bool,
    /// Somebody may wait for more than that a message is published: else what is recorded is not looked at.
    is_bounded: bool,
}

struct Watched {
    reader: Reader,
    control: Control,
    start: Position,
    /// What the broker said of the epoch when everybody was woken by that last: an end, or a failure, is to be read too.
    state: State,
}

impl Lookout {
    /// From now on looks at the ring of this epoch, the newest.
    pub fn watch(&mut self, memory: Memory, control: Control, start: &EpochStart) {
        self.former = self.ring.take().map(|former| former.control);
        let reader = Reader::at(memory, start.epoch, start.position);
        let mut ring = Watched { reader, state: control.state(), control, start: start.position };
        ring.catch_up();
        self.ring = Some(ring);
    }

    /// Makes room for a sleeper of this key, so that falling asleep allocates nothing.
    pub fn join(&mut self, key: usize) {
        if self.sleepers.len() <= key {
            self.sleepers.resize(key + 1, None);
        }
        self.asleep.reserve(self.sleepers.len() - self.asleep.len());
    }

    /// A sleeper asks to be woken, or waits for something else than before.
    ///
    /// # Panics
    /// Where it has not joined.
    pub fn ask(&mut self, key: usize, asleep: Asleep) {
        if self.asleep.is_empty() {
            self.is_bounded = false;
            self.ring.iter_mut().for_each(Watched::catch_up);
        }
        self.is_bounded |= bound(asleep.durability) > 0;
        if self.sleepers[key].replace(asleep).is_some() {
            self.due = self.asleep.len();
            return;
        }
        // Behind those that are due, before those that are not.
        self.asleep.push(key);
        let (behind, last) = (self.next + self.due, self.asleep.len() - 1);
        self.asleep.swap(behind.min(last), last);
        self.due += 1;
    }

    /// It asks no more.
    pub fn leave(&mut self, key: usize) {
        if self.sleepers.get_mut(key).and_then(Option::take).is_some() {
            self.asleep.retain(|asleep| *asleep != key);
            // All that are due are compared then, from wherever it begins.
            self.next = 0;
            self.due = if self.due > 0 { self.asleep.len() } else { 0 };
        }
    }

    /// Wakes whoever has something to read, some in each call; how much there was to do, or is left.
    pub fn look(&mut self, mut wake: impl FnMut(usize)) -> usize {
        if self.asleep.is_empty() {
            return 0;
        }
        let moved = self.advance();
        if moved {
            self.due = self.asleep.len();
        }
        let (mut woken, mut compared) = (0, 0);
        while self.due > 0 && woken < WAKES_MAX && compared < COMPARED_MAX {
            self.next = if self.next < self.asleep.len() { self.next } else { 0 };
            let key = self.asleep[self.next];
            let sleeper = &mut self.sleepers[key];
            if self.everybody || sleeper.is_none_or(|asleep| asleep.position < self.reached[bound(asleep.durability)]) {
                *sleeper = None;
                // The last takes its place, which may have been compared before, or not.
                self.asleep.swap_remove(self.next);
                self.due = self.due.min(self.asleep.len());
                wake(key);
                woken += 1;
            } else {
                self.next += 1;
                self.due -= 1;
            }
            compared += 1;
        }
        self.everybody &= self.due > 0;
        woken + usize::from(moved || self.due > 0)
    }

    /// Looks how far the partition has come; whether that is further than before.
    fn advance(&mut self) -> bool {
        let Some(ring) = &mut self.ring else { return false };
        let published = ring.published();
        // What stands above the end is nobody's to read, whatever its writer made of it.
        let published = ring.control.end().map_or(published, |end| published.min(end));
        let recorded = |of: fn(&Control) -> Position| match &self.former {
            _ if !self.is_bounded => Position(0),
            Some(former) if former.end().is_some_and(|end| of(former) < end) => of(former),
            _ => of(&ring.control),
        };
        let reached = [published, recorded(Control::written), recorded(Control::durable)];
        let state = ring.control.state();
        let changed = std::mem::replace(&mut ring.state, state) != state;
        self.everybody |= changed;
        changed | (std::mem::replace(&mut self.reached, reached) != reached)
    }
}

impl Watched {
    /// Nobody slept for a while, and it need not walk over all that was published since.
    fn catch_up(&mut self) {
        let memory = self.reader.memory();
        let (oldest, mark) = memory.window(self.start);
        let (oldest, mark) = (oldest.min(MARK_MAX), mark.min(MARK_MAX));
        // The writer marks a block ahead at most, and so has opened the one before the last.
        let block = Position(mark.0.saturating_sub(2 * BLOCK)).block().max(oldest.next_block());
        if self.reader.position() < block {
            self.reader.seat(block);
        }
    }

    /// Where the next frame is looked for. What no honest writer writes ends every sleep: its readers see it too.
    fn published(&mut self) -> Position {
        let far = Position(self.reader.read_to().0.saturating_add(WALK_BYTES_MAX));
        for _ in 0..FRAMES_MAX {
            match self.reader.poll_any() {
                Ok(Poll::Frame(frame)) if frame.end < far => {}
                Ok(Poll::Frame(_)) => break,
                Ok(Poll::Empty) => break,
                Ok(Poll::Lapped) => {
                    self.catch_up();
                    break;
                }
                Err(_) => return EVERYTHING,
            }
        }
        self.reader.position()
    }
}

/// A durability that does not exist is the strongest.
fn bound(durability: u64) -> usize {
    usize::try_from(durability).unwrap_or(BOUNDS).min(BOUNDS - 1)
}
