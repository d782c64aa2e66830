//! A partition's way to disk, ring after ring: what the core's recorder is given, and what it tells.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::channel::Sender;
use oyez_protocol::Durability;
use oyez_ring::{Epoch, EpochStart, Position, State, Tail};

use super::Partition;
use crate::core::{Attach, Command};
use crate::log::log;
use crate::ring::Ring;

/// A way to the core that records the partition.
#[derive(Debug)]
pub(crate) struct RecorderHandle {
    pub(crate) commands: Sender<Command>,
    pub(crate) slot: u16,
    pub(crate) judged: Judged,
}

/// How far the recorder has read, and found good: told with each turn of the core.
pub(crate) type Judged = Arc<Mutex<Option<(Epoch, Tail)>>>;

impl Partition {
    /// Tells of each adopted ring what the files know: where it ended, how far it is recorded.
    pub(super) fn judge_adopted(&mut self, recovered: Tail) {
        let recorded = self.durability != Durability::Published;
        for ring in &mut self.rings {
            if let Some(next) = self.epochs.ended_by(ring.start.epoch) {
                let (position, sequence, time_ns) = (next.previous_end, next.sequence, next.time_ns);
                ring.close(Tail { position, sequence, time_ns }, State::Ended);
                ring.recorded = recorded && position <= recovered.position;
            }
            if recorded {
                ring.recorded_up_to((recovered.position, recovered.position));
            }
        }
        let done = self.rings.iter().take_while(|ring| ring.recorded).count();
        self.drop_rings(done.min(self.rings.len().saturating_sub(1)));
    }

    /// Connects the partition to the core that records it, and has it begin.
    pub(super) fn record_with(&mut self, recorder: RecorderHandle) {
        self.recorder = Some(recorder);
        self.record_next();
    }

    /// Gives the recorder the next ring that is not recorded yet, if it is free.
    pub(super) fn record_next(&mut self) {
        let Some(recorder) = &self.recorder else { return };
        if self.recording.is_some() || self.failed.is_some() {
            return;
        }
        let Some(ring) = self.rings.iter().find(|ring| !ring.recorded) else { return };
        let at = self.recorded_before(ring);
        let attach = Attach {
            slot: recorder.slot,
            memory: ring.memory.clone(),
            control: ring.control.clone(),
            start: ring.start,
            at,
        };
        // The core outlives all partitions.
        let _ = recorder.commands.send(Command::Attach(Box::new(attach)));
        if let Some(end) = ring.end {
            let _ = recorder.commands.send(Command::End { slot: recorder.slot, end: end.position });
        }
        self.recording = Some(ring.start.epoch);
    }

    /// What the journal had of a ring when this broker's life began.
    fn recorded_before(&self, ring: &Ring) -> Tail {
        let EpochStart { position, sequence, time_ns, .. } = ring.start;
        let begin = Tail { position, sequence, time_ns };
        if self.recovered.position > position { self.recovered } else { begin }
    }

    /// From where on the frames of the newest ring are still to be judged; unrecorded, where its newest block begins.
    pub(super) fn judged(&self, ring: &Ring) -> Option<Tail> {
        let Some(recorder) = &self.recorder else { return ring.newest_block() };
        let judged = recorder.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let of_ring = judged.filter(|(epoch, _)| *epoch == ring.start.epoch).map(|(_, tail)| tail);
        Some(of_ring.unwrap_or_else(|| self.recorded_before(ring)))
    }

    pub(super) fn end_recording(&mut self, epoch: Epoch, end: Position) {
        if let Some(recorder) = &self.recorder
            && self.recording == Some(epoch)
        {
            let _ = recorder.commands.send(Command::End { slot: recorder.slot, end });
        }
    }

    /// Hands a segment to the recorder.
    pub(crate) fn give(&mut self, segment: oyez_journal::Segment) {
        self.is_wanting = false;
        if let Some(recorder) = &self.recorder {
            let _ = recorder.commands.send(Command::Give { slot: recorder.slot, segment });
        }
    }

    /// The recorder has taken its epoch to the end.
    pub(crate) fn recorded(&mut self) {
        if let Some(epoch) = self.recording.take()
            && let Some(ring) = self.rings.iter_mut().find(|ring| ring.start.epoch == epoch)
        {
            ring.recorded = true;
        }
        self.record_next();
    }

    /// The recorder has begun on `epoch` and let go of the ring before it: nobody needs the earlier ones any more.
    pub(crate) fn attached(&mut self, epoch: Epoch) {
        let kept = self.rings.iter().position(|ring| ring.start.epoch >= epoch || !ring.recorded);
        self.drop_rings(kept.unwrap_or(0));
    }

    /// The owner wrote what no honest writer writes: the epoch ends before it, for readers at once. The partition is
    /// granted again when the kernel proves the ring free.
    pub(crate) fn broken(&mut self, at: Tail, cause: &str) {
        let Some(epoch) = self.recording else { return };
        let Some(ring) = self.rings.iter_mut().find(|ring| ring.start.epoch == epoch) else { return };
        if ring.end.is_some() {
            // It had ended before this was heard, by the same rules, and the recorder knows where.
            return;
        }
        ring.close(at, State::Broken);
        let pid = self.holder().map_or(0, |holder| holder.pid);
        log(format_args!(
            "{}: broken by its owner, process {pid}, at {}: {cause}; repair the publisher and start it again",
            self.label(),
            at.position
        ));
        self.end_recording(epoch, at.position);
    }

    /// An ended epoch was changed behind its end's back, which takes a writer that was proven gone.
    pub(crate) fn short(&mut self, at: Tail, cause: &str) {
        let (label, at) = (self.label(), at.position);
        log(format_args!("{label}: recorded to {at} only: {cause}; find out who else may write this host's memory"));
    }

    /// The journal failed: nothing more is taken, and everybody is told.
    pub(crate) fn journal_failed(&mut self, cause: String) {
        log(format_args!(
            "{}: journal failed: {cause}; the topic stops: check the disk, run `oyez journal verify`, restart the broker",
            self.label()
        ));
        self.rings.iter().filter(|ring| !ring.recorded).for_each(|ring| ring.control.set_state(State::JournalFailed));
        self.failed = Some(cause);
    }

    /// Whether everything published is recorded, or never will be.
    pub(crate) fn settled(&self) -> bool {
        self.recorder.is_none() || self.failed.is_some() || self.rings.iter().all(|ring| ring.recorded)
    }
}
