//! What is known here of one partition: filled by the connection's thread, or by the in-process bus, and read by a
//! cursor, which looks at one word to see whether anything has changed.

use crate::connection::Wake;
use crate::cursor::{Held, Source};
use crate::journal::Recorded;
use crate::sleep::Berth;
use oyez_journal::{Epochs, JournalId};
use oyez_ring::{Epoch, EpochStart, Position};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// One partition's facts, shared between who learns them and who reads by them.
pub(crate) struct Partition {
    generation: AtomicU64,
    facts: Mutex<Facts>,
    changed: Condvar,
    /// Tells whoever can ask that `Facts::asked` has something; nobody can on an in-process bus.
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What is known, and what is wanted to be known.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) epochs: Epochs,
    pub(crate) held: BTreeMap<Epoch, Held>,
    /// The segment asked for last: its base, and once it is answered the file, if there is one.
    pub(crate) segment: Option<(Position, Option<io::Result<Option<File>>>)>,
    /// The lowest position that the journal had when it was asked.
    pub(crate) earliest: Position,
    /// Why nothing more will be known.
    pub(crate) unreadable: Option<String>,
    /// Whether `epochs` has all that there are.
    pub(crate) is_complete: bool,
    pub(crate) asked: Asked,
    /// Where the broker lets this reader sleep; none while it is away.
    pub(crate) berth: Option<Arc<Berth>>,
    /// Wake the readers that have slept when anything changes here: several, where the bus is in-process.
    pub(crate) wakers: Vec<Weak<Wake>>,
}

/// What a cursor waits for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The epoch it reads, to be learnt again when the broker comes back.
    pub(crate) epoch: Option<Epoch>,
    /// Whether that epoch has to be asked for now.
    pub(crate) epoch_is_wanted: bool,
    pub(crate) segment: Option<Position>,
}

impl Partition {
    pub(crate) fn new(facts: Facts, wake: Option<Box<dyn Fn() + Send + Sync>>) -> Arc<Partition> {
        let (generation, changed) = (AtomicU64::new(1), Condvar::new());
        Arc::new(Partition { generation, facts: Mutex::new(facts), changed, wake })
    }

    /// Changes what is known, and tells the readers.
    pub(crate) fn learn<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        let mut facts = self.lock();
        let answer = change(&mut facts);
        // Under the lock: whoever is about to wait has seen it, or is woken.
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
        facts.wakers.retain(|waker| waker.upgrade().inspect(|waker| waker.wake()).is_some());
        answer
    }

    /// What is wanted, once: asking is then the caller's duty.
    pub(crate) fn take_asked(&self) -> Asked {
        let Facts { asked, held, .. } = &mut *self.lock();
        // It may have been told in the meantime, and a second answer would take from the reader the ring that it reads.
        asked.epoch_is_wanted &= asked.epoch.is_some_and(|epoch| !held.contains_key(&epoch));
        let taken = *asked;
        asked.epoch_is_wanted = false;
        asked.segment = None;
        taken
    }

    /// The segment that begins at `base`, where it is at hand; else it is asked for, and this would block.
    pub(crate) fn take_segment(&self, base: Position) -> io::Result<Option<File>> {
        let mut facts = self.lock();
        let is_asked = match facts.segment.take_if(|(asked, file)| *asked != base || file.is_some()) {
            Some((answered, Some(file))) if answered == base => return file,
            _ => facts.segment.is_some(),
        };
        if !is_asked {
            facts.segment = Some((base, None));
            facts.asked.segment = Some(base);
            drop(facts);
            self.wake();
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What was asked for is answered; it may be wanted no more.
    pub(crate) fn give_segment(&self, base: Position, file: io::Result<Option<File>>) {
        self.learn(|facts| match &mut facts.segment {
            Some((asked, answer @ None)) if *asked == base => *answer = Some(file),
            _ => {}
        });
    }

    /// The lowest position that the journal has, as far as is known: the control page of the newest ring tells.
    pub(crate) fn earliest(&self) -> Position {
        let facts = self.lock();
        let newest = facts.held.values().rev().find_map(|held| match held {
            Held::Ring(ring) => Some(ring.control.earliest()),
            _ => None,
        });
        newest.filter(|position| position.0 != u64::MAX).map_or(facts.earliest, |newest| newest.max(facts.earliest))
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// A panic in between leaves the facts whole: nothing that changes them panics.
    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cursor's way to its partition.
pub(crate) struct Attached {
    partition: Arc<Partition>,
    /// The generation that the copies below are of.
    seen: u64,
    epochs: Epochs,
    /// What is held of the epoch asked for last. An answer that went stale is kept until a new one comes.
    held: (Epoch, Held),
    unreadable: Option<String>,
    is_complete: bool,
    journal: Option<Recorded>,
    berth: Option<Arc<Berth>>,
    /// Berths so far, and times without one.
    areas: u64,
}

impl Attached {
    /// `journal` says which one, where the topic is recorded, and the bytes of a segment.
    pub(crate) fn new(partition: Arc<Partition>, journal: Option<(JournalId, u64)>) -> Attached {
        let journal = journal.map(|(id, segment_bytes)| Recorded::new(id, segment_bytes, Arc::clone(&partition)));
        let held = (Epoch(0), Held::Unknown);
        let mut attached = Attached {
            partition,
            seen: 0,
            epochs: Epochs::default(),
            held,
            unreadable: None,
            is_complete: false,
            journal,
            berth: None,
            areas: 0,
        };
        attached.refresh();
        attached
    }

    /// Waits until something has come that was not taken over yet; `false` when that does not happen in time.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let facts = self.partition.lock();
        let unchanged = |_: &mut Facts| self.partition.generation.load(Ordering::Acquire) == self.seen;
        match self.partition.changed.wait_timeout_while(facts, left, unchanged) {
            Ok((_, waited)) => !waited.timed_out(),
            Err(_) => false,
        }
    }

    #[cold]
    fn take_over(&mut self) {
        let facts = self.partition.lock();
        self.seen = self.partition.generation.load(Ordering::Relaxed);
        if self.epochs.last() != facts.epochs.last() {
            self.epochs.clone_from(&facts.epochs);
            if let Some(journal) = &mut self.journal {
                journal.set_epochs(self.epochs.clone());
            }
        }
        self.unreadable.clone_from(&facts.unreadable);
        self.is_complete = facts.is_complete;
        let [held, told] = [&self.berth, &facts.berth].map(|berth| berth.as_ref().map(Arc::as_ptr));
        self.areas += u64::from(held != told);
        self.berth.clone_from(&facts.berth);
    }

    /// Whether every epoch that there is is known: until then nothing can be sought.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The newest epoch, and what is held of it, as far as is known here and now.
    pub(crate) fn newest(&self) -> Option<(EpochStart, Held)> {
        let facts = self.partition.lock();
        let newest = *facts.epochs.last()?;
        Some((newest, known_of(&facts, newest.epoch)?))
    }

    /// Whether something has come that was not taken over yet: the next poll may bring something by that.
    pub(crate) fn has_news(&self) -> bool {
        self.partition.generation.load(Ordering::Acquire) != self.seen
    }

    /// Whether the connection's thread is asking for what has to be known before anything more can be read.
    pub(crate) fn is_asking(&self) -> bool {
        let facts = self.partition.lock();
        let unknown = facts.asked.epoch.is_some_and(|epoch| !facts.held.contains_key(&epoch));
        unknown || matches!(facts.segment, Some((_, None)))
    }

    /// Where it may sleep, if the broker is there.
    #[inline]
    pub(crate) fn berth(&self) -> Option<&Arc<Berth>> {
        self.berth.as_ref()
    }

    /// Which area that has: another one whenever a broker is back.
    #[inline]
    pub(crate) fn area_number(&self) -> u64 {
        self.areas
    }

    /// From now on whatever is learnt wakes this.
    pub(crate) fn wake_by(&self, waker: &Arc<Wake>) {
        self.partition.lock().wakers.push(Arc::downgrade(waker));
    }

    /// Why nothing more will be known, once that is so.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }
}

impl Source for Attached {
    type Journal = Recorded;

    #[inline]
    fn refresh(&mut self) -> bool {
        let changed = self.partition.generation.load(Ordering::Relaxed) != self.seen;
        if changed {
            self.take_over();
        }
        changed
    }

    fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    fn held(&mut self, epoch: Epoch) -> Held {
        let mut facts = self.partition.lock();
        match known_of(&facts, epoch) {
            Some(held) => self.held = (epoch, held),
            None if self.held.0 == epoch && !matches!(self.held.1, Held::Unknown) => {}
            None => self.held = (epoch, Held::Unknown),
        }
        let is_unknown = matches!(self.held.1, Held::Unknown);
        facts.asked.epoch = Some(epoch);
        facts.asked.epoch_is_wanted |= is_unknown;
        drop(facts);
        if is_unknown {
            self.partition.wake();
        }
        self.held.1.clone()
    }

    fn journal(&mut self) -> Option<&mut Recorded> {
        self.journal.as_mut()
    }
}

/// What is held of an epoch. After a loss the newest epoch may have ended below its own start: then everything ends there.
fn known_of(facts: &Facts, epoch: Epoch) -> Option<Held> {
    let known = facts.held.get(&epoch)?;
    let newest = facts.epochs.last().and_then(|newest| facts.held.get(&newest.epoch));
    match (known, newest) {
        (Held::Closed { end, .. }, Some(last @ Held::Closed { end: last_end, .. })) if last_end < end => {
            Some(last.clone())
        }
        _ => Some(known.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_asked_for_once_until_it_is_answered_or_the_answer_is_lost() {
        let partition = Partition::new(Facts::default(), Some(Box::new(|| ())));
        let [wanted, other] = [Position(0), Position(4 << 20)];
        let waits = |base| partition.take_segment(base).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(waits(wanted) && partition.take_asked().segment == Some(wanted));
        assert!(waits(wanted) && partition.take_asked().segment.is_none(), "with the second poll");
        partition.learn(|facts| facts.segment = None);
        assert!(waits(wanted) && partition.take_asked().segment == Some(wanted), "the broker came back");
        assert!(waits(other) && partition.take_asked().segment == Some(other));
        partition.give_segment(wanted, Ok(None));
        assert!(waits(other) && partition.take_asked().segment.is_none(), "an answer that is wanted no more");
        partition.give_segment(other, Ok(None));
        assert!(matches!(partition.take_segment(other), Ok(None)));
        assert!(waits(other) && partition.take_asked().segment == Some(other), "asked anew");
    }

    #[test]
    fn an_epoch_that_was_told_in_the_meantime_is_not_asked_for() {
        let partition = Partition::new(Facts::default(), Some(Box::new(|| ())));
        let mut attached = Attached::new(Arc::clone(&partition), None);
        for (epoch, is_told) in [(Epoch(1), false), (Epoch(2), true)] {
            assert!(matches!(attached.held(epoch), Held::Unknown));
            let closed = Held::Closed { end: Position(0), sequence: oyez_ring::Sequence(0) };
            partition.learn(|facts| is_told.then(|| facts.held.insert(epoch, closed)));
            assert_eq!(partition.take_asked().epoch_is_wanted, !is_told, "{epoch}");
        }
    }
}
