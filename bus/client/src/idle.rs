//! What a loop does with a turn that brought nothing.

use std::time::Duration;

/// Turns that only spin before a loop that backs off yields, and then sleeps.
const SPINS: u32 = 64;
const YIELDS: u32 = 64;
const SLEEP_US_MIN: u64 = 20;

/// How a polling loop rests: tell it after each poll how much that brought.
///
/// The wake-up after a rest is late by at most what it slept. Not shared between threads; never allocates.
///
/// ```
/// let mut idle = oyez::Idle::back_off();
/// for brought in [3, 0, 0] {
///     idle.rest(brought);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Idle {
    strategy: Strategy,
    empty_turns: u32,
}

#[derive(Clone, Debug)]
enum Strategy {
    Spin,
    BackOff { sleep_us_max: u64 },
    Sleep { for_ns: u64 },
}

impl Idle {
    /// Never rests: a core of its own, and the least latency.
    pub fn spin() -> Idle {
        Idle::new(Strategy::Spin)
    }

    /// Spins a little, yields a little, then sleeps ever longer, up to a millisecond. The default.
    pub fn back_off() -> Idle {
        Idle::new(Strategy::BackOff { sleep_us_max: 1_000 })
    }

    /// Sleeps at once, always as long: the least work for a reader that may be late.
    pub fn sleep(period: Duration) -> Idle {
        Idle::new(Strategy::Sleep { for_ns: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX) })
    }

    fn new(strategy: Strategy) -> Idle {
        Idle { strategy, empty_turns: 0 }
    }

    /// Rests after a turn that brought `brought` things; returns at once where it brought any.
    pub fn rest(&mut self, brought: usize) {
        if brought > 0 {
            self.empty_turns = 0;
            return;
        }
        match self.strategy {
            Strategy::Spin => std::hint::spin_loop(),
            Strategy::Sleep { for_ns } => std::thread::sleep(Duration::from_nanos(for_ns)),
            Strategy::BackOff { sleep_us_max } => match self.pause_us(sleep_us_max) {
                None if self.empty_turns <= SPINS => std::hint::spin_loop(),
                None => std::thread::yield_now(),
                Some(pause_us) => std::thread::sleep(Duration::from_micros(pause_us)),
            },
        }
    }

    /// Counts an empty turn; how long it sleeps, where it is past spinning and yielding.
    fn pause_us(&mut self, sleep_us_max: u64) -> Option<u64> {
        self.empty_turns = self.empty_turns.saturating_add(1);
        let sleeps = self.empty_turns.checked_sub(SPINS + YIELDS + 1)?;
        Some((SLEEP_US_MIN << sleeps.min(16)).min(sleep_us_max))
    }
}

impl Default for Idle {
    fn default() -> Idle {
        Idle::back_off()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_off_spins_then_yields_then_sleeps_up_to_its_bound_and_starts_over_after_work() {
        let mut idle = Idle::back_off();
        let pauses: Vec<_> = (0..SPINS + YIELDS + 12).map(|_| idle.pause_us(1_000)).collect();
        let busy = (SPINS + YIELDS) as usize;
        assert!(pauses[..busy].iter().all(Option::is_none));
        assert_eq!(pauses[busy..busy + 3], [Some(20), Some(40), Some(80)]);
        assert_eq!(pauses.last(), Some(&Some(1_000)));
        idle.rest(1);
        assert_eq!(idle.pause_us(1_000), None);
    }
}
