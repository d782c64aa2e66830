//! Finding the start: epoch, position and the message wanted first.

use super::{Answer, Cursor, CursorError, Held, Journal, Place, Ring, Seek, Source, margin_bytes, standing};
use crate::{GapCause, Start};
use oyez_ring::{Epoch, EpochStart, Poll, Reader, Sequence};

impl<S: Source> Cursor<S> {
    /// Goes to where `start` says; `false` where that has to be asked for first: call again.
    ///
    /// # Errors
    /// [`CursorError`]: the journal cannot be read, or `start` names what never was.
    pub fn seek(&mut self, start: Start) -> Result<bool, CursorError> {
        self.take_over();
        let Some(newest) = self.source.epochs().last().copied() else { return self.seek_nothing(start) };
        self.begin(newest);
        if let Held::Unknown = self.held {
            return Ok(false);
        }
        match start {
            Start::Live => Ok(self.seek_live(newest)),
            Start::Earliest => self.seek_oldest(Seek::Earliest),
            Start::Time(time_ns) => {
                self.want.not_before_ns = time_ns;
                self.seek_oldest(Seek::Time(time_ns))
            }
            Start::Sequence(sequence) => self.seek_sequence(sequence),
            Start::Resume { epoch, sequence } => match self.is_rewound(epoch, sequence)? {
                true => Ok(self.seek_end_of(epoch, sequence)),
                false => self.seek_sequence(sequence),
            },
        }
    }

    /// Nobody has published yet.
    fn seek_nothing(&mut self, start: Start) -> Result<bool, CursorError> {
        match start {
            Start::Sequence(sequence) => self.want.next = Some(sequence),
            Start::Resume { epoch, sequence } => {
                self.is_rewound(epoch, sequence)?;
                self.want.next = Some(sequence);
            }
            Start::Time(time_ns) => self.want.not_before_ns = time_ns,
            Start::Live | Start::Earliest => {}
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

    /// To where the epoch is crossed to the next one that stands, which brings the `Rewound`.
    fn seek_end_of(&mut self, epoch: Epoch, sequence: Sequence) -> bool {
        self.epoch = epoch;
        self.attend();
        self.position = self.end;
        self.want.next = Some(sequence);
        true
    }

    fn seek_sequence(&mut self, sequence: Sequence) -> Result<bool, CursorError> {
        let epochs = self.source.epochs();
        let holder = standing(epochs).find(|start| start.sequence <= sequence).or(standing(epochs).last());
        let Some(holder) = holder.copied() else { return Ok(false) };
        self.want.next = Some(sequence);
        self.seek_block(Seek::Sequence(sequence), holder)
    }

    fn seek_oldest(&mut self, seek: Seek) -> Result<bool, CursorError> {
        let Some(first) = standing(self.source.epochs()).last().copied() else { return Ok(false) };
        self.seek_block(seek, first)
    }

    /// To the block that the journal finds, but not below `holder`, the epoch it must be in or after.
    fn seek_block(&mut self, seek: Seek, holder: EpochStart) -> Result<bool, CursorError> {
        let (position, recorded) = (self.position, self.recorded().min(self.end));
        let Some(journal) = self.source.journal() else { return Ok(self.oldest_in_ring(holder)) };
        let found = journal.seek(seek, recorded).map_err(|source| CursorError::Journal { position, source })?;
        let Answer::Ready(block) = found else { return Ok(false) };
        let block = block.map_or(holder.position, |block| block.max(holder.position));
        let epoch = standing(self.source.epochs()).find(|start| start.position <= block).copied();
        self.begin(epoch.unwrap_or(holder));
        self.position = block;
        Ok(true)
    }

    /// Nothing is recorded: to the oldest that a ring has, of `from` or a later epoch.
    fn oldest_in_ring(&mut self, from: EpochStart) -> bool {
        let candidates: Vec<_> =
            standing(self.source.epochs()).take_while(|start| start.epoch >= from.epoch).copied().collect();
        for start in candidates.into_iter().rev() {
            self.begin(start);
            match &self.held {
                Held::Unknown => return false,
                Held::Closed { .. } => self.position = self.end,
                Held::Ring(ring) => {
                    let (oldest, _) = ring.memory.window(start.position);
                    let lost = oldest > start.position;
                    self.position = oldest.plus(if lost { margin_bytes(ring.memory.capacity_bytes()) } else { 0 });
                    self.want.cause = if lost { GapCause::Lapped } else { GapCause::Lost };
                    return true;
                }
            }
        }
        true
    }

    /// To the tail of the newest epoch.
    fn seek_live(&mut self, newest: EpochStart) -> bool {
        match self.held.clone() {
            Held::Unknown => false,
            Held::Closed { end, sequence } => {
                self.position = end;
                self.want.next = Some(sequence);
                true
            }
            Held::Ring(ring) => {
                let reader = tail_of(&ring, newest);
                self.position = reader.position();
                self.want.next = reader.sequence();
                self.place = Place::Ring(reader);
                true
            }
        }
    }
}

/// A reader that has passed all that was published before the call.
fn tail_of(ring: &Ring, start: EpochStart) -> Reader {
    loop {
        let (_, mark) = ring.memory.window(start.position);
        let block = Reader::newest_block(&ring.memory, start.epoch, start.position);
        let mut reader = Reader::at(ring.memory.clone(), start.epoch, block);
        loop {
            match reader.poll() {
                Ok(Poll::Frame(frame)) if frame.position < mark => {}
                Ok(Poll::Lapped) => break,
                Ok(Poll::Frame(_) | Poll::Empty) | Err(_) => return reader,
            }
        }
    }
}
