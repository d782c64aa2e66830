//! How far each publisher of many was taken, as a start finds it: by the newest `Publishers` frame and the messages behind
//! it, of the journal as far as that goes, and behind it of the rings that outlived the broker, which hold all the rest.

use std::collections::BTreeSet;
use std::path::Path;

use oyez_journal::{Folder, JournalReader};
use oyez_ring::layout::{EpochOpening, FLAG_FIRST, FLAG_LAST, PUBLISHERS_MAX};
use oyez_ring::{BLOCK, Epoch, EpochStart, Frame, Kind, Last, Memory, Origin, Poll, Position, Reader};

use super::Partition;
use crate::ingress::Lasts;

/// How far back the newest `Publishers` frame is looked for at first. It is at most half as far, and a message.
const BACK: u64 = 2_048 * BLOCK;

/// What a journal says, or a ring behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) lasts: Lasts,
    /// Of a message of which only a part stands there: who handed it in. Its end may stand where its beginning does not.
    under_way: Option<Origin>,
    /// The epoch that was read last.
    epoch: Epoch,
}

/// What a journal says.
///
/// # Errors
/// In one line: it cannot be read.
pub(super) fn of_journal(folder: &Path) -> Result<Known, String> {
    let journal = Folder::open(folder).map_err(|error| error.to_string())?;
    let mut reader = journal.reader().map_err(|error| error.to_string())?;
    let (earliest, end) = (reader.position(), journal.end().position);
    for start in standing(&journal, end) {
        // Of an epoch that began when the topic had one publisher at a time, the head alone is read.
        if start.position >= earliest && !read(&mut reader, start.position, start.position.plus(BLOCK).min(end))?.1 {
            continue;
        }
        let lowest = start.position.max(earliest);
        for back in [BACK, 4 * BACK, 16 * BACK] {
            let from = Position(end.0.saturating_sub(back)).block().max(lowest);
            let (known, is_whole) = read(&mut reader, from, end)?;
            if is_whole {
                return Ok(known);
            }
            if from == lowest {
                break;
            }
        }
        if start.position <= earliest {
            break;
        }
    }
    Ok(Known::default())
}

/// The epochs that begin below `end`, the newest first.
fn standing(journal: &Folder, end: Position) -> Vec<EpochStart> {
    let below = |start: &&EpochStart| start.position < end;
    let mut starts: Vec<EpochStart> = journal.epochs().standing().filter(below).copied().collect();
    starts.sort_by_key(|start| std::cmp::Reverse(start.epoch));
    starts
}

/// Whether a `Publishers` frame holds all that there were and all that are declared.
///
/// # Errors
/// In one line: it does not.
pub(super) fn have_room(lasts: &Lasts, declared: impl Iterator<Item = u16>) -> Result<(), String> {
    let numbers: BTreeSet<u16> = declared.chain(lasts.keys().copied()).collect();
    match numbers.len() {
        ..=PUBLISHERS_MAX => Ok(()),
        count => Err(format!("{count} publishers had, or have, a number, and {PUBLISHERS_MAX} may")),
    }
}

/// What stands in [from, to), and whether a `Publishers` frame is there, so that it is all there is to know.
fn read(reader: &mut JournalReader<Folder>, from: Position, to: Position) -> Result<(Known, bool), String> {
    reader.seek(from);
    let (mut known, mut is_whole) = (Known::default(), false);
    known.epoch = reader.epoch().unwrap_or_default();
    while let Some(frame) = reader.poll(to).map_err(|error| error.to_string())? {
        is_whole |= frame.kind == Kind::Publishers;
        known.add(&frame);
    }
    known.under_way = reader.under_way();
    Ok((known, is_whole))
}

impl Known {
    /// Adds what a frame tells, which may be a part of a message.
    fn add(&mut self, frame: &Frame<'_>) {
        let whose = match frame.kind {
            Kind::Publishers => {
                self.lasts = Last::decode_all(frame.payload).map(|last| (last.origin.publisher(), last)).collect();
                return;
            }
            Kind::Epoch => {
                self.epoch = EpochOpening::decode(frame.payload).map_or(self.epoch, |opening| opening.epoch);
                return;
            }
            Kind::Message => frame.origin,
            Kind::Fragment => {
                if frame.flags & FLAG_FIRST != 0 {
                    self.under_way = frame.origin;
                }
                if frame.flags & FLAG_LAST != 0 { self.under_way.take() } else { None }
            }
            _ => None,
        };
        self.lasts.extend(whose.map(|origin| (origin.publisher(), Last { origin, epoch: self.epoch })));
    }

    /// Adds what a ring holds up to its end, of frames that end above `recorded`: what is below is known.
    ///
    /// # Errors
    /// In one line: it does not hold that any more.
    fn add_ring(
        &mut self,
        memory: &Memory,
        start: &EpochStart,
        recorded: Position,
        end: Position,
    ) -> Result<(), String> {
        self.epoch = start.epoch;
        if recorded <= start.position {
            // A message that the end of an epoch has cut never was.
            self.under_way = None;
        }
        let from = recorded.block().max(start.position);
        if from >= end {
            return Ok(());
        }
        let mut reader = Reader::at(memory.clone(), start.epoch, from);
        // Nobody writes it any more, and it was judged up to its end.
        while let Ok(Poll::Frame(frame)) = reader.poll_any_below(end) {
            if frame.end > recorded {
                self.add(&frame);
            }
        }
        match reader.read_to() {
            to if to < end => Err(format!("its ring of epoch {} is read to {to}, and ends at {end}", start.epoch)),
            _ => Ok(()),
        }
    }
}

impl Partition {
    /// Adds what the rings hold that the journal did not when this broker's life began.
    ///
    /// # Errors
    /// In one line: they do not hold it any more.
    pub(super) fn lasts_of_rings(&self, mut known: Known) -> Result<Lasts, String> {
        for ring in &self.rings {
            let end = ring.end.map_or(Position(0), |end| end.position);
            known.add_ring(&ring.memory, &ring.start, self.recovered.position, end)?;
        }
        Ok(known.lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_ring::{Control, ControlMut, Offer, RegionMut, Sequence, Writer, write_head_of_many};

    const CAPACITY: u64 = 32 * BLOCK;

    #[test]
    fn as_many_publishers_have_room_as_a_frame_tells_of_whether_declared_or_in_a_ring() {
        let declared = |count: usize| (1..=count).map(|number| number as u16);
        let origin = Origin::new(9_999, 1).expect("a publisher");
        let in_ring = Lasts::from([(9_999, Last { origin, epoch: Epoch(1) })]);
        assert_eq!(have_room(&in_ring, declared(PUBLISHERS_MAX - 1)), Ok(()));
        let refused = have_room(&in_ring, declared(PUBLISHERS_MAX)).unwrap_err();
        assert!(refused.contains("4097 publishers"), "{refused}");
        assert_eq!(have_room(&Lasts::new(), declared(PUBLISHERS_MAX)), Ok(()));
    }

    #[test]
    fn a_ring_tells_the_rest_wherever_the_journal_ends_also_within_a_message() {
        let (epoch, position) = (Epoch(2), Position(64 * BLOCK));
        let start = EpochStart { epoch, position, sequence: Sequence(0), time_ns: 0, previous_end: position };
        let region = RegionMut::heap(Memory::len_bytes(CAPACITY) as usize);
        let of = |publisher, number| Origin::new(publisher, number).expect("a publisher");
        let tail =
            write_head_of_many(&region, CAPACITY, &start, [Last { origin: of(9, 5), epoch: Epoch(1) }].into_iter(), 1);
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, Position(u64::MAX));
        let mut writer = Writer::new(region.clone(), CAPACITY, control.reader(), epoch, tail);
        for number in 1..=6 {
            for (publisher, len_bytes) in [(1, 150_000), (2, 64), (3, 70_000)] {
                let offered = writer.offer_from(of(publisher, number), &vec![7; len_bytes], 1);
                assert!(matches!(offered, Ok(Offer::Published(_))));
            }
        }
        let (end, memory) = (writer.tail().position, Memory::new(region.reader(), CAPACITY));
        let lasts = [(1, 6, 2), (2, 6, 2), (3, 6, 2), (9, 5, 1)];
        let last =
            |(publisher, number, epoch)| (publisher, Last { origin: of(publisher, number), epoch: Epoch(epoch) });
        let all = Lasts::from(lasts.map(last));
        let mut reader = Reader::at(memory.clone(), epoch, position);
        let mut journal = Known::default();
        while let Ok(Poll::Frame(frame)) = reader.poll_any_below(end) {
            journal.add(&frame);
            let mut known = journal.clone();
            // What is below the block that the journal ends in may be overwritten.
            region.zero(0, (frame.end.block().0 - position.0) as usize);
            known.add_ring(&memory, &start, frame.end, end).expect("all of it");
            assert_eq!(known.lasts, all, "behind {}", frame.end);
        }
        assert_eq!(journal.lasts, all);
        let mut known = Known { under_way: Some(of(4, 1)), ..Known::default() };
        known.add_ring(&memory, &start, position, Position(0)).expect("nothing");
        assert_eq!(known.under_way, None, "what was under way when the epoch before was cut");
        // A ring of which a part cannot be read tells nothing.
        let block = end.block();
        region.store((block.0 - position.0) as usize, 0);
        let short = Known::default().add_ring(&memory, &start, block, end).unwrap_err();
        assert!(short.contains("its ring of epoch 2 is read to"), "{short}");
    }
}
