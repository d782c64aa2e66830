//! Where the next slot of the open block goes: one of three places, each a disk block of its own.
//!
//! A power cut may keep a slot and lose the data it speaks of: only a flush orders the two on disk. So the slot that
//! the last confirmed flush covered, and the one that a flush under way is to cover, stay untouched until a later flush
//! is confirmed: whatever else is lost, they say how much is whole. That takes a third place for what comes meanwhile.

/// How many places there are.
pub(crate) const PLACES: usize = 3;

/// Which place holds what.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Covered by the last confirmed flush. Recovery leaves the last block's slot at place 0, flushed.
    confirmed: usize,
    /// To be covered by the flush under way.
    flushing: Option<usize>,
    /// Holds the slot that was written last.
    newest: usize,
    /// Being written.
    writing: Option<usize>,
}

impl Places {
    /// The place for the next slot, which is being written from now on.
    pub(super) fn write(&mut self) -> usize {
        let free = |place: &usize| *place != self.confirmed && Some(*place) != self.flushing;
        let fresh = (0..PLACES).filter(free).find(|place| *place != self.newest);
        let place = fresh.or((0..PLACES).find(free)).expect("two places are taken at most");
        self.writing = Some(place);
        place
    }

    /// The slot is written.
    pub(super) fn written(&mut self) {
        self.newest = self.writing.take().unwrap_or(self.newest);
    }

    /// Whether a flush may be submitted now: not while the slot that it would cover is being written over.
    pub(super) fn may_flush(&self) -> bool {
        self.writing != Some(self.newest)
    }

    /// A flush is submitted.
    pub(super) fn flush(&mut self) {
        self.flushing = Some(self.newest);
    }

    /// The flush is confirmed.
    pub(super) fn flushed(&mut self) {
        self.confirmed = self.flushing.take().unwrap_or(self.confirmed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_flush_covered_is_never_written_over_before_the_next_is_confirmed() {
        // Every order of the four events, eight long.
        for order in 0..4_u32.pow(8) {
            let mut places = Places::default();
            let (mut kept, mut covered, mut under_way) = (0, None, None);
            for step in 0..8 {
                match order / 4_u32.pow(step) % 4 {
                    0 if under_way.is_none() => {
                        let place = places.write();
                        assert!(place != kept && Some(place) != covered, "{order}");
                        under_way = Some(place);
                    }
                    1 if under_way.is_some() => {
                        places.written();
                        under_way = None;
                    }
                    2 if covered.is_none() && places.may_flush() => {
                        places.flush();
                        covered = places.flushing;
                        assert_ne!(covered, under_way, "{order}");
                    }
                    3 if covered.is_some() => {
                        places.flushed();
                        kept = covered.take().unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
}
