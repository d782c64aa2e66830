//! The journal as a cursor reads it: the broker opens the segments' files, one at a time, as they are needed.

use crate::GapCause;
use crate::cursor::{Answer, Journal, JournalFailure, JournalPoll, Seek};
use crate::partition::Partition;
use oyez_journal::{Epochs, JournalId, JournalReader, ReadError, SegmentFile, Segments};
use oyez_ring::{Epoch, Position};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// A recorded partition's journal.
pub(crate) struct Recorded {
    reader: JournalReader<Handed>,
}

/// Segments as the broker hands them out. What it answered holds for one poll, or one seek, and is asked for anew after
/// that: a file that no longer verifies may have begun another life. One that has to wait for an answer goes on with it,
/// and may need those before it again.
struct Handed {
    partition: Arc<Partition>,
    segment_bytes: u64,
    answers: BTreeMap<Position, Option<File>>,
    waits: bool,
}

impl Handed {
    /// A poll or a seek begins.
    #[inline]
    fn begin(&mut self) {
        if !std::mem::take(&mut self.waits) && !self.answers.is_empty() {
            self.answers.clear();
        }
    }
}

impl Recorded {
    pub(crate) fn new(id: JournalId, segment_bytes: u64, partition: Arc<Partition>) -> Recorded {
        let segments = Handed { partition, segment_bytes, answers: BTreeMap::new(), waits: false };
        Recorded { reader: JournalReader::new(id, Epochs::default(), segments) }
    }

    pub(crate) fn set_epochs(&mut self, epochs: Epochs) {
        self.reader.set_epochs(epochs);
    }
}

/// What the reader says, told apart: an answer that is still to come is no failure.
enum Refusal {
    Pending,
    Missing { resume: Position, cause: GapCause },
    Failure(JournalFailure),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        match error {
            ReadError::Io { error, .. } if error.kind() == io::ErrorKind::WouldBlock => Refusal::Pending,
            // The connection tells each epoch as it begins.
            ReadError::NewEpoch { .. } => Refusal::Pending,
            ReadError::Retention { earliest, .. } => Refusal::Missing { resume: earliest, cause: GapCause::Retention },
            ReadError::Corrupt(corrupt) => Refusal::Missing { resume: corrupt.to, cause: GapCause::Corrupt },
            other => Refusal::Failure(other.into()),
        }
    }
}

impl Journal for Recorded {
    fn seek(&mut self, to: Seek, limit: Position) -> Result<Answer<Option<Position>>, JournalFailure> {
        self.reader.segments().begin();
        let found = match to {
            Seek::Earliest => {
                self.reader.segments().earliest().map_err(|error| ReadError::Io { position: Position(0), error }.into())
            }
            Seek::Sequence(sequence) => {
                self.reader.seek_sequence(sequence, limit).map(|()| self.reader.position()).map_err(Refusal::from)
            }
            Seek::Time(time_ns) => {
                self.reader.seek_time(time_ns, limit).map(|()| self.reader.position()).map_err(Refusal::from)
            }
        };
        match found {
            Ok(position) => Ok(Answer::Ready(Some(position.block()))),
            Err(Refusal::Pending) => Ok(Answer::Pending),
            Err(Refusal::Missing { resume, .. }) => Ok(Answer::Ready(Some(resume.block()))),
            Err(Refusal::Failure(failure)) => Err(failure),
        }
    }

    fn enter(&mut self, _: Epoch, block: Position) {
        self.reader.seek(block);
    }

    #[inline]
    fn poll(&mut self, limit: Position) -> Result<JournalPoll<'_>, JournalFailure> {
        self.reader.segments().begin();
        match self.reader.poll(limit) {
            Ok(Some(frame)) => Ok(JournalPoll::Frame(frame)),
            Ok(None) => Ok(JournalPoll::Empty),
            Err(error) => match error.into() {
                Refusal::Pending => Ok(JournalPoll::Pending),
                Refusal::Missing { resume, cause } => Ok(JournalPoll::Missing { resume, cause }),
                Refusal::Failure(failure) => Err(failure),
            },
        }
    }

    fn position(&self) -> Position {
        self.reader.position()
    }
}

impl Segments for Handed {
    fn segment(&mut self, position: Position) -> io::Result<Option<SegmentFile>> {
        let segment_bytes = self.segment_bytes;
        let base = Position(position.0 / segment_bytes * segment_bytes);
        if !self.answers.contains_key(&base) {
            let answer = self.partition.take_segment(base);
            self.waits = matches!(&answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            self.answers.insert(base, answer?);
        }
        let Some(Some(file)) = self.answers.get(&base) else { return Ok(None) };
        Ok(Some(SegmentFile { base, segment_bytes, file: file.try_clone()? }))
    }

    fn earliest(&mut self) -> io::Result<Position> {
        Ok(self.partition.earliest())
    }
}
