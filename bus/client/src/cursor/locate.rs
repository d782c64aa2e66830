//! Finding the start: epoch, position and the message wanted first.

use super::want::{Asked, Want};
use super::{Answer, Cursor, CursorError, Held, Journal, Place, Ring, Seek, Source, margin_bytes};
use crate::{GapCause, Start};
use oyez_ring::layout::BlockOpening;
use oyez_ring::{BLOCK, Epoch, EpochStart, Frame, Poll, Position, Reader, Sequence};

/// How often a search of a ring is begun anew after the writer has lapped it.
const ATTEMPTS: usize = 8;

impl<S: Source> Cursor<S> {
    /// Goes to where `start` says, from wherever it was; `false` where that has to be asked for first: call again.
    ///
    /// # Errors
    /// [`CursorError`]: the journal cannot be read, or `start` names what never was.
    pub fn seek(&mut self, start: Start) -> Result<bool, CursorError> {
        self.source.refresh();
        self.attend();
        (self.want, self.place, self.spoilt) = (Want::default(), Place::Undecided, false);
        let Some(newest) = self.source.epochs().last().copied() else { return self.seek_nothing(start) };
        match start {
            Start::Live => Ok(self.seek_live(newest)),
            Start::Earliest => self.seek_within(Seek::Earliest, |_, _| false),
            Start::Time(time_ns) => {
                self.want.not_before_ns = time_ns;
                self.seek_within(Seek::Time(time_ns), |_, before_ns| before_ns < time_ns)
            }
            Start::Sequence(sequence) => {
                self.ask(sequence, Asked::Sequence);
                self.seek_sequence(sequence)
            }
            Start::Resume { epoch, sequence } => {
                self.ask(sequence, Asked::Resume);
                match self.is_rewound(epoch, sequence)? {
                    true => Ok(self.seek_end_of(epoch)),
                    false => self.seek_sequence(sequence),
                }
            }
        }
    }

    /// Nobody has published yet.
    fn seek_nothing(&mut self, start: Start) -> Result<bool, CursorError> {
        match start {
            Start::Sequence(sequence) => self.ask(sequence, Asked::Sequence),
            Start::Resume { epoch, sequence } => {
                self.is_rewound(epoch, sequence)?;
                self.ask(sequence, Asked::Resume);
            }
            Start::Time(time_ns) => self.want.not_before_ns = time_ns,
            Start::Live | Start::Earliest => self.want.next = Some(Sequence(0)),
        }
        Ok(true)
    }

    /// Whether a later epoch has taken back what was counted in `epoch`.
    fn is_rewound(&self, epoch: Epoch, sequence: Sequence) -> Result<bool, CursorError> {
        let epochs = self.source.epochs();
        let newest = epochs.last().map_or(Epoch(0), |start| start.epoch);
        if epoch > newest {
            return Err(CursorError::UnknownEpoch { wanted: epoch, newest });
        }
        Ok(epochs.iter().any(|start| start.epoch > epoch && start.sequence < sequence))
    }

    fn ask(&mut self, sequence: Sequence, asked: Asked) {
        (self.want.next, self.want.asked) = (Some(sequence), asked);
    }

    /// To where the epoch is crossed to the next one that stands, which brings the `Rewound`.
    fn seek_end_of(&mut self, epoch: Epoch) -> bool {
        self.epoch = epoch;
        self.attend();
        self.position = self.end;
        true
    }

    fn seek_sequence(&mut self, wanted: Sequence) -> Result<bool, CursorError> {
        self.seek_within(Seek::Sequence(wanted), |sequence, _| sequence <= wanted)
    }

    /// To the block that the journal finds, in the newest standing epoch that `may_hold` what is sought, or the oldest of
    /// all: it may where it begins with such a sequence, after such a time. How much is recorded is only asked of that
    /// epoch: a newer one's page does not speak for it.
    fn seek_within(&mut self, seek: Seek, may_hold: impl Fn(Sequence, u64) -> bool) -> Result<bool, CursorError> {
        let epochs = self.source.epochs();
        let holder = epochs.standing().find(|start| may_hold(start.sequence, start.time_ns));
        let Some(holder) = holder.or(epochs.standing().last()).copied() else { return Ok(false) };
        self.begin(holder);
        let (position, recorded) = (self.position, self.recorded().min(self.end));
        let is_unknown = matches!(self.held, Held::Unknown);
        let Some(journal) = self.source.journal() else { return Ok(self.seek_in_rings(holder, may_hold)) };
        if is_unknown {
            return Ok(false);
        }
        let found = journal.seek(seek, recorded).map_err(|source| CursorError::Journal { position, source })?;
        let Answer::Ready(block) = found else { return Ok(false) };
        self.want.cause = GapCause::Retention;
        let block = block.map_or(holder.position, |block| block.max(holder.position));
        let epoch = self.source.epochs().of(block).copied();
        self.begin(epoch.unwrap_or(holder));
        self.position = block;
        Ok(true)
    }

    /// Nothing is recorded: to the oldest that a ring has, of `from` or a later epoch.
    fn seek_in_rings(&mut self, from: EpochStart, may_hold: impl Fn(Sequence, u64) -> bool) -> bool {
        let epochs = self.source.epochs().standing().take_while(|start| start.epoch >= from.epoch);
        let candidates: Vec<_> = epochs.copied().collect();
        for start in candidates.into_iter().rev() {
            self.begin(start);
            match &self.held {
                Held::Unknown => return false,
                Held::Closed { .. } => self.position = self.end,
                Held::Ring(ring) => {
                    let (block, sequence) = block_of(ring, start, self.want.next, &may_hold);
                    self.position = block;
                    // Known from here on, so that being lapped before the first poll is told as well.
                    self.want.next = self.want.next.or(sequence);
                    self.want.cause = if block > start.position { GapCause::Lapped } else { GapCause::Lost };
                    return true;
                }
            }
        }
        true
    }

    /// To the tail of the newest epoch.
    fn seek_live(&mut self, newest: EpochStart) -> bool {
        self.begin(newest);
        match self.held.clone() {
            Held::Unknown => false,
            Held::Closed { end, sequence } => {
                self.position = end;
                self.want.next = Some(sequence);
                true
            }
            Held::Ring(ring) => {
                let (reader, _) = tail_of(&ring, newest);
                self.position = reader.position();
                self.want.next = reader.sequence();
                self.place = Place::Ring(reader);
                true
            }
        }
    }
}

/// The number that comes after all that was published in a ring before the call, and the publish time of the last of it,
/// ns since 1970 UTC. Reads one block, and before it what there is of a message that goes on there.
pub(crate) fn newest_of(ring: &Ring, start: EpochStart) -> Option<(Sequence, u64)> {
    let (reader, time_ns) = tail_of(ring, start);
    Some((reader.sequence()?, time_ns))
}

/// A reader that has passed all that was published before the call, and the publish time of the last of it.
fn tail_of(ring: &Ring, start: EpochStart) -> (Reader, u64) {
    loop {
        let (oldest, mark) = ring.memory.window(start.position);
        let newest = Reader::newest_block(&ring.memory, start.epoch, start.position);
        // A message that is under way is published only with its last fragment, and is wanted whole.
        let block =
            opening(ring, start.epoch, newest).map_or(newest, |(opening, _)| opening.message_block()).max(oldest);
        let mut reader = Reader::at(ring.memory.clone(), start.epoch, block);
        let mut newest_ns = opening(ring, start.epoch, block).map_or(0, |(_, time_ns)| time_ns);
        loop {
            match reader.poll() {
                Ok(Poll::Frame(Frame { position, time_ns, .. })) => {
                    newest_ns = time_ns;
                    if position >= mark {
                        return (reader, newest_ns);
                    }
                }
                Ok(Poll::Lapped) => break,
                Ok(Poll::Empty) | Err(_) => return (reader, newest_ns),
            }
        }
    }
}

/// The last block of a ring that `may_hold` what is sought, or the oldest but for a margin; or where the message begins
/// that goes on there, unless `wanted` comes after it. Without a number that is wanted, a message that is cut there is
/// passed over. With the sequence of the first message from there on, unless the writer laps the search again and again.
fn block_of(
    ring: &Ring,
    start: EpochStart,
    wanted: Option<Sequence>,
    may_hold: impl Fn(Sequence, u64) -> bool,
) -> (Position, Option<Sequence>) {
    let mut least = start.position;
    for _ in 0..ATTEMPTS {
        let (oldest, mark) = ring.memory.window(start.position);
        let margin = if oldest > start.position { margin_bytes(ring.memory.capacity_bytes()) } else { 0 };
        least = oldest.plus(margin);
        let (mut low, mut high) = (least.0 / BLOCK, mark.0 / BLOCK);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match opening(ring, start.epoch, Position(middle * BLOCK)) {
                Some((opening, time_ns)) if may_hold(opening.sequence, time_ns) => low = middle,
                _ => high = middle,
            }
        }
        if let Some((mut found, _)) = opening(ring, start.epoch, Position(low * BLOCK)) {
            // With what comes behind it in its last block, so that the number of the first message is known.
            while wanted.is_none()
                && found.message_block() < least
                && let Some((next, _)) = opening(ring, start.epoch, found.position.plus(BLOCK))
            {
                found = next;
            }
            let is_past = wanted > Some(found.sequence);
            let block = if is_past { found.position } else { found.message_block() };
            return (block.max(least), Some(found.sequence));
        }
    }
    (least, None)
}

/// How a block begins, and the last publish time before what it brings anew.
fn opening(ring: &Ring, epoch: Epoch, block: Position) -> Option<(BlockOpening, u64)> {
    match Reader::at(ring.memory.clone(), epoch, block).poll_any() {
        Ok(Poll::Frame(frame)) => Some((BlockOpening::decode(frame.payload)?, frame.time_ns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::{Control, ControlMut, Memory, Offer, RegionMut, Writer, write_head};

    /// A small message of time 1, and of a large one of time 2 all but its last fragment.
    fn within() -> (Ring, EpochStart) {
        let (capacity, none) = (16 * BLOCK, Position(0));
        let start =
            EpochStart { epoch: Epoch(1), position: none, sequence: Sequence(7), time_ns: 0, previous_end: none };
        let memory = RegionMut::heap(Memory::len_bytes(capacity) as usize);
        let tail = write_head(&memory, capacity, &start, 0);
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), none, Position(u64::MAX)).reader();
        let mut writer = Writer::new(memory.clone(), capacity, control.clone(), start.epoch, tail);
        for (len_bytes, time_ns) in [(64, 1), (3 * BLOCK as usize, 2)] {
            assert!(matches!(writer.offer(&vec![7; len_bytes], time_ns), Ok(Offer::Published(_))));
        }
        memory.zero(3 * BLOCK as usize + 48, (BLOCK - 48) as usize);
        (Ring { memory: Memory::new(memory.reader(), capacity), control }, start)
    }

    #[test]
    fn a_message_of_which_a_part_is_out_is_not_the_newest_yet_and_comes_whole_to_who_starts_now() {
        let (ring, start) = within();
        assert_eq!(newest_of(&ring, start), Some((Sequence(8), 1)));
        let (reader, _) = tail_of(&ring, start);
        // Where it begins.
        assert_eq!((reader.next_sequence(), reader.position().block()), (Some(Sequence(8)), start.position));
    }
}
