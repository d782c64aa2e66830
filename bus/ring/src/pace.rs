//! When a reader that has read everything looks again.
//!
//! One that looks at the tail of a dense stream takes the line from the writer at each frame, and makes the writer
//! three to ten times slower; so it rests some hundred ns first, and then finds several frames. Where frames come one by
//! one, it looks again at once.
//!
//! One by one is also how a dense stream comes to a reader that already slows its writer down. So a reader that only
//! ever finds single frames now and then rests all the same, and sees whether it finds several then. Each time it does
//! not, it takes twice as many frames until it tries again.

/// How long a rest is. None under loom, which explores all orders anyway.
const REST_PAUSES: u32 = if cfg!(loom) { 0 } else { 12 };
/// Single frames in a row before a rest is tried: at first, and at most.
const SINGLES: u32 = 64;
const SINGLES_MAX: u32 = 1 << 14;

/// A reader's pace.
pub(crate) struct Pace {
    /// Frames since a poll found nothing.
    run: u32,
    /// Single frames since the last rest.
    singles: u32,
    /// How many of them bring about a rest; `SINGLES` to `SINGLES_MAX`.
    patience: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { run: 0, singles: 0, patience: SINGLES }
    }
}

impl Pace {
    /// A frame was there.
    #[inline(always)]
    pub(crate) fn frame(&mut self) {
        self.run += 1;
    }

    /// Nothing was there: rests, where that is due.
    #[inline(always)]
    pub(crate) fn nothing(&mut self) {
        if self.run != 0 && self.is_due() {
            for _ in 0..REST_PAUSES {
                std::hint::spin_loop();
            }
        }
    }

    /// Whether a rest is due after this run of frames.
    #[inline(always)]
    fn is_due(&mut self) -> bool {
        if std::mem::take(&mut self.run) > 1 {
            (self.singles, self.patience) = (0, SINGLES);
            return true;
        }
        self.singles += 1;
        if self.singles < self.patience {
            return false;
        }
        (self.singles, self.patience) = (0, (self.patience * 2).min(SINGLES_MAX));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rests after so many runs, each of so many frames.
    fn rests(pace: &mut Pace, runs: u32, frames: u32) -> u32 {
        let due = |_: &u32| {
            (0..frames).for_each(|_| pace.frame());
            pace.is_due()
        };
        (0..runs).filter(due).count() as u32
    }

    #[test]
    fn after_several_frames_it_rests_each_time_after_single_ones_ever_more_seldom() {
        let mut pace = Pace::default();
        assert_eq!(rests(&mut pace, 100, 2), 100);
        assert_eq!(rests(&mut pace, SINGLES - 1, 1), 0);
        assert_eq!(rests(&mut pace, 1, 1), 1);
        assert_eq!(rests(&mut pace, 2 * SINGLES, 1), 1);
        assert_eq!(rests(&mut pace, 4 * SINGLES, 1), 1);
        // Five while it still doubles, which take less than one at the bound; then one each `SINGLES_MAX`.
        assert_eq!(rests(&mut pace, 100 * SINGLES_MAX, 1), 5 + 99);
        assert_eq!(rests(&mut pace, 1, 9), 1);
        assert_eq!(rests(&mut pace, SINGLES, 1), 1, "several frames did not make it curious again");
    }
}
